#pragma once
// Spreading what many would do at the same moment.
#include <chrono>

namespace ybis {

/// A random time from half of `wait` to the whole, so that those held up by one outage do not come back at
/// once.
std::chrono::milliseconds Jittered(std::chrono::milliseconds wait);

}  // namespace ybis
