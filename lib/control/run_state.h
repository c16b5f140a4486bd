#pragma once
// The state machine of a run: a table, no I/O.
#include <array>
#include <string_view>

#include "base/result.h"
#include "control/run_record.h"

namespace ybis::control {

/// What can happen to a run.
enum class RunEvent {
  kAdmit,     ///< its turn came
  kClaim,     ///< a runner took the lease
  kComplete,  ///< finished: delivered
  kFail,      ///< finished: failed, or ended from outside
  kBlock,     ///< finished for now: waits for a person
  kRelease,   ///< the runner gave the lease back
  kExpire,    ///< the lease ran out without a finish
  kCancel,    ///< cancelled with nobody holding a lease, or its holder is gone
  kResume,    ///< a person approved or asked for a revision
  kHold,      ///< nothing can start it now
};

inline constexpr std::array kAllRunStates = {RunState::kQueued,   RunState::kDispatched, RunState::kRunning,
                                             RunState::kBlocked,  RunState::kCompleted,  RunState::kFailed,
                                             RunState::kCancelled};
inline constexpr std::array kAllRunEvents = {
    RunEvent::kHold,  RunEvent::kAdmit,   RunEvent::kClaim,  RunEvent::kComplete, RunEvent::kFail,
    RunEvent::kBlock, RunEvent::kRelease, RunEvent::kExpire, RunEvent::kCancel,   RunEvent::kResume};

std::string_view ToString(RunEvent event);
/// The state after `event`, or kConflict naming both.
Result<RunState> Transition(RunState state, RunEvent event);
/// The state of a name as ToString(RunState) gives it; kInternal for another text.
Result<RunState> ParseRunState(std::string_view name);

}  // namespace ybis::control
