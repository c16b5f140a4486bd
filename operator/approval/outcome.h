#pragma once
// What comes of a YbisApproval, and how it is shown; pure.
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "api/approval.h"
#include "control/approvals.h"
#include "kube/events.h"

namespace ybis::op {

struct ApprovalOutcome {
  api::ApprovalPhase phase = api::ApprovalPhase::kPending;
  std::string reason;  ///< CamelCase: of the condition and of the task's event
  std::string message;
};

/// What keeps an approval from being brought before the record at all: it names no run of that very task.
/// `latest` is the newest run of the task whose UID that is.
std::optional<ApprovalOutcome> FindObstacle(const api::Approval& approval, const std::string& task_uid,
                                            const std::optional<control::RunRecord>& latest);

/// Of what the record said.
ApprovalOutcome OutcomeOf(const api::Approval& approval, const control::ApprovalResult& result);
/// Of an error that asking again cannot mend; none when it can.
std::optional<ApprovalOutcome> OutcomeOf(const Error& error);

api::ApprovalStatus BuildApprovalStatus(const api::ObjectMeta& meta, const ApprovalOutcome& outcome,
                                        TimePoint now);

/// Whether its event is a warning: it decided nothing, or it ended the run.
kube::EventType EventTypeOf(const ApprovalOutcome& outcome);

}  // namespace ybis::op
