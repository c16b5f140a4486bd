#pragma once
// What comes of a decision: pure. Internal to lib/control.
#include <optional>
#include <string>
#include <vector>

#include "api/run_api.h"
#include "control/approvals.h"
#include "store/approval_store.h"

namespace ybis::control {

/// What is so when somebody decides.
struct ApprovalFacts {
  std::string run_state;
  bool cancel_requested = false;
  std::optional<store::WaitRow> wait;
  std::string workflow;
  bool can_repair = false;  ///< a repair node can be reached from where the run waits
};

/// A request that could never be recorded: kInvalid names the field.
Status CheckRequest(const ApprovalRequest& request);
/// The verdict with its message and counts; everything else of the result is left as it is.
ApprovalResult JudgeDecision(const ApprovalRequest& request, const ApprovalFacts& facts);
/// The decision that ended a wait, out of what counted for it, oldest first; none when nothing ended it.
std::optional<api::ApprovalDecision> DecisionOf(const std::vector<store::ApprovalRow>& rows);
std::optional<ApprovalVerdict> ParseVerdict(std::string_view name);

}  // namespace ybis::control
