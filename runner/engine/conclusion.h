#pragma once
// What a finished walk comes to. Pure: a second attempt that resumes after the last node concludes the same.
#include <optional>
#include <string>

#include "api/run_api.h"

namespace ybis::runner {

struct Conclusion {
  enum class Kind { kDeliver, kComplete, kBlock, kFail } kind = Kind::kComplete;
  std::string decision;                 ///< the gate's, empty when none ran
  std::optional<api::Failure> failure;  ///< of kBlock and kFail
};

/// Reads the checkpoint after the last node. A change is delivered only when a gate approved exactly this
/// patch.
Conclusion Conclude(const api::RunOrder& order, const api::Checkpoint& checkpoint);

/// The parts of the finish report that the checkpoint tells; branch and commit come from the delivery.
api::FinishReport ReportOf(const Conclusion& conclusion, const api::Checkpoint& checkpoint);

}  // namespace ybis::runner
