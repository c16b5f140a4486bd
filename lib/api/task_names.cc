// The names of YbisTask's enumerations.
#include <fmt/format.h>

#include "api/task.h"

namespace ybis::api {

std::string_view ToString(Priority value) {
  switch (value) {
    case Priority::kHigh:
      return "HIGH";
    case Priority::kMedium:
      return "MEDIUM";
    case Priority::kLow:
      return "LOW";
  }
  return "MEDIUM";
}

std::string_view ToString(DeliveryMode value) { return value == DeliveryMode::kBranch ? "Branch" : "None"; }

std::string_view ToString(ApprovalMode value) {
  switch (value) {
    case ApprovalMode::kNever:
      return "Never";
    case ApprovalMode::kOnBlock:
      return "OnBlock";
    case ApprovalMode::kAlways:
      return "Always";
  }
  return "OnBlock";
}

std::string_view ToString(DecisionKind value) {
  switch (value) {
    case DecisionKind::kApprove:
      return "Approve";
    case DecisionKind::kReject:
      return "Reject";
    case DecisionKind::kRevise:
      return "Revise";
  }
  return "Reject";
}

Result<DecisionKind> ParseDecisionKind(std::string_view name) {
  for (const DecisionKind kind : {DecisionKind::kApprove, DecisionKind::kReject, DecisionKind::kRevise}) {
    if (ToString(kind) == name) return kind;
  }
  return Fail(ErrorCode::kInvalid,
              fmt::format("'{}' is no decision: Approve, Reject or Revise", name.substr(0, 64)));
}

std::string_view ToString(TaskPhase value) {
  switch (value) {
    case TaskPhase::kPending:
      return "Pending";
    case TaskPhase::kQueued:
      return "Queued";
    case TaskPhase::kRunning:
      return "Running";
    case TaskPhase::kBlocked:
      return "Blocked";
    case TaskPhase::kCompleted:
      return "Completed";
    case TaskPhase::kFailed:
      return "Failed";
    case TaskPhase::kCancelled:
      return "Cancelled";
  }
  return "Pending";
}

namespace {
constexpr std::pair<FailureClass, std::string_view> kFailureClasses[] = {
    {FailureClass::kInfra, "Infra"},         {FailureClass::kAgent, "Agent"},
    {FailureClass::kVerify, "Verify"},       {FailureClass::kPolicy, "Policy"},
    {FailureClass::kRejected, "Rejected"},   {FailureClass::kExpired, "Expired"},
    {FailureClass::kBudget, "Budget"},       {FailureClass::kTimeout, "Timeout"},
    {FailureClass::kCancelled, "Cancelled"}, {FailureClass::kInvalid, "Invalid"},
};
}  // namespace

std::string_view ToString(FailureClass value) {
  for (const auto& [known, name] : kFailureClasses) {
    if (known == value) return name;
  }
  return "Infra";
}

Result<FailureClass> ParseFailureClass(std::string_view name) {
  for (const auto& [known, text] : kFailureClasses) {
    if (text == name) return known;
  }
  return Fail(ErrorCode::kInvalid, fmt::format("'{}' is no failure class", name.substr(0, 64)));
}

}  // namespace ybis::api
