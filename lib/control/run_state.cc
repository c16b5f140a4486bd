#include "control/run_state.h"

#include <fmt/format.h>

#include <optional>

namespace ybis::control {
namespace {

struct Rule {
  RunState from;
  RunEvent event;
  RunState to;
};

/// Everything that may happen; what is not here is refused.
constexpr Rule kRules[] = {
    {RunState::kQueued, RunEvent::kAdmit, RunState::kDispatched},
    {RunState::kQueued, RunEvent::kHold, RunState::kQueued},
    {RunState::kQueued, RunEvent::kFail, RunState::kFailed},
    {RunState::kQueued, RunEvent::kCancel, RunState::kCancelled},
    {RunState::kDispatched, RunEvent::kClaim, RunState::kRunning},
    {RunState::kDispatched, RunEvent::kHold, RunState::kQueued},
    {RunState::kDispatched, RunEvent::kFail, RunState::kFailed},
    {RunState::kDispatched, RunEvent::kCancel, RunState::kCancelled},
    {RunState::kRunning, RunEvent::kClaim, RunState::kRunning},
    {RunState::kRunning, RunEvent::kComplete, RunState::kCompleted},
    {RunState::kRunning, RunEvent::kFail, RunState::kFailed},
    {RunState::kRunning, RunEvent::kBlock, RunState::kBlocked},
    {RunState::kRunning, RunEvent::kRelease, RunState::kDispatched},
    {RunState::kRunning, RunEvent::kExpire, RunState::kDispatched},
    {RunState::kRunning, RunEvent::kCancel, RunState::kCancelled},
    {RunState::kBlocked, RunEvent::kResume, RunState::kQueued},
    {RunState::kBlocked, RunEvent::kFail, RunState::kFailed},
    {RunState::kBlocked, RunEvent::kCancel, RunState::kCancelled},
};

}  // namespace

std::string_view ToString(RunState state) {
  switch (state) {
    case RunState::kQueued:
      return "Queued";
    case RunState::kDispatched:
      return "Dispatched";
    case RunState::kRunning:
      return "Running";
    case RunState::kBlocked:
      return "Blocked";
    case RunState::kCompleted:
      return "Completed";
    case RunState::kFailed:
      return "Failed";
    case RunState::kCancelled:
      return "Cancelled";
  }
  return "Unknown";
}

std::string_view ToString(RunEvent event) {
  switch (event) {
    case RunEvent::kAdmit:
      return "Admit";
    case RunEvent::kClaim:
      return "Claim";
    case RunEvent::kComplete:
      return "Complete";
    case RunEvent::kFail:
      return "Fail";
    case RunEvent::kBlock:
      return "Block";
    case RunEvent::kRelease:
      return "Release";
    case RunEvent::kExpire:
      return "Expire";
    case RunEvent::kCancel:
      return "Cancel";
    case RunEvent::kResume:
      return "Resume";
    case RunEvent::kHold:
      return "Hold";
  }
  return "Unknown";
}

bool IsTerminal(RunState state) {
  return state == RunState::kCompleted || state == RunState::kFailed || state == RunState::kCancelled;
}

Result<RunState> Transition(RunState state, RunEvent event) {
  for (const Rule& rule : kRules) {
    if (rule.from == state && rule.event == event) return rule.to;
  }
  Error error;
  error.code = ErrorCode::kConflict;
  error.message = fmt::format("a run that is {} cannot take {}", ToString(state), ToString(event));
  return ybis::Fail(std::move(error));
}

Result<RunState> ParseRunState(std::string_view name) {
  for (const RunState state : kAllRunStates) {
    if (ToString(state) == name) return state;
  }
  return ybis::Fail(ErrorCode::kInternal, fmt::format("'{}' is not the name of a run's state", name));
}

}  // namespace ybis::control
