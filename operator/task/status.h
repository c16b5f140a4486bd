#pragma once
// A task's status from where it stands; pure.
#include <optional>
#include <string>

#include "api/task.h"
#include "control/approvals.h"
#include "control/run_record.h"

namespace ybis::op {

/// Where a task stands, as people see it.
enum class Stage {
  kRejected,    ///< not accepted: something is to be mended first
  kSuspended,   ///< accepted, held back by spec.suspend
  kQueued,      ///< recorded, waits for its turn
  kRunning,     ///< its Job is there or being made
  kCancelling,  ///< asked to stop, not stopped yet
  kBlocked,     ///< waits for a person
  kCompleted,
  kFailed,
  kCancelled,
};

struct Situation {
  Stage stage = Stage::kQueued;
  std::string reason;  ///< CamelCase; goes into the conditions
  std::string message;
  bool stalled = false;                 ///< nothing will happen until somebody does something
  std::optional<control::Wait> wait{};  ///< of kBlocked: what a person is asked to decide
};

bool InProgress(Stage stage);
api::TaskPhase PhaseOf(Stage stage);

/// The whole status. Of a run under way only what tells of a change is shown (a new attempt, trouble): the
/// node it is at would be a write for every node. What is equal to `task.status` means that nothing is to be
/// written.
api::TaskStatus BuildStatus(const api::Task& task, const std::optional<control::RunRecord>& run,
                            const Situation& situation, TimePoint now);

/// Whether writing `wanted` would change anything that is stored.
bool StatusDiffers(const nlohmann::json& stored_object, const api::TaskStatus& wanted);

}  // namespace ybis::op
