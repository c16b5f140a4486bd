#pragma once
// What a process and all its descendants use, as the kernel tells it in /proc.
#include <cstdint>

namespace ybis::runner {

struct TreeUsage {
  uint64_t processes = 0;
  uint64_t memory_bytes = 0;  ///< resident, without what is mapped from files
};

/// Of every descendant of `root`, itself left out. What ends meanwhile is passed over. Costs a look at every
/// process.
TreeUsage MeasureDescendants(int root);

}  // namespace ybis::runner
