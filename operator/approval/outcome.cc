#include "operator/approval/outcome.h"

#include <fmt/format.h>

#include <charconv>
#include <nlohmann/json.hpp>

namespace ybis::op {
namespace {

using api::ApprovalPhase;
using api::DecisionKind;
using control::ApprovalVerdict;

/// How much of a task's UID the ids of its runs may begin with: more where another task's begins alike
/// (store::RunStore::AddRun).
constexpr size_t kUidParts[] = {8, 13, std::string::npos};

/// The number of a run of that task by the form of its id, or 0. Another task's may look the same, which the
/// record tells apart.
int64_t NumberOf(const std::string& run_id, const std::string& task_uid) {
  for (const size_t part : kUidParts) {
    const std::string prefix = task_uid.substr(0, part) + "-";
    if (!run_id.starts_with(prefix)) continue;
    int64_t number = 0;
    const char* end = run_id.data() + run_id.size();
    const auto [stopped, error] = std::from_chars(run_id.data() + prefix.size(), end, number);
    if (error == std::errc() && stopped == end && run_id == prefix + std::to_string(number)) return number;
  }
  return 0;
}

const char* DecidedReason(DecisionKind decision) {
  switch (decision) {
    case DecisionKind::kApprove:
      return "Approved";
    case DecisionKind::kReject:
      return "Rejected";
    case DecisionKind::kRevise:
      return "Revised";
  }
  return "Rejected";
}

api::Condition MakeCondition(const char* type, bool status, std::string reason, std::string message,
                             const api::ObjectMeta& meta, TimePoint now) {
  return {type, status ? "True" : "False", std::move(reason), std::move(message), meta.generation, now};
}

}  // namespace

std::optional<ApprovalOutcome> FindObstacle(const api::Approval& approval, const std::string& task_uid,
                                            const std::optional<control::RunRecord>& latest) {
  const int64_t number = NumberOf(approval.spec.run_id, task_uid);
  if (latest && number > 0 && number <= latest->number) return std::nullopt;
  return ApprovalOutcome{
      ApprovalPhase::kRefused, "RunNotFound",
      fmt::format("spec.runID: {} is no run of task {}; status.run.id of the task is {}",
                  approval.spec.run_id, approval.spec.task, latest ? latest->run_id : "not there yet")};
}

ApprovalOutcome OutcomeOf(const api::Approval& approval, const control::ApprovalResult& result) {
  switch (result.verdict) {
    case ApprovalVerdict::kDecided:
      return {ApprovalPhase::kApplied, DecidedReason(approval.spec.decision), result.message};
    case ApprovalVerdict::kCounted:
      return {ApprovalPhase::kCounted, "ApprovalCounted", result.message};
    case ApprovalVerdict::kStale:
      return {ApprovalPhase::kStale, "StaleApproval", result.message};
    case ApprovalVerdict::kDuplicate:
      return {ApprovalPhase::kRefused, "ApprovedBefore", result.message};
    case ApprovalVerdict::kRefused:
      return {ApprovalPhase::kRefused, "ApprovalRefused", result.message};
  }
  return {ApprovalPhase::kRefused, "ApprovalRefused", result.message};
}

std::optional<ApprovalOutcome> OutcomeOf(const Error& error) {
  if (error.retryable) return std::nullopt;
  switch (error.code) {
    case ErrorCode::kNotFound:
      return ApprovalOutcome{ApprovalPhase::kRefused, "RunNotFound", error.message};
    case ErrorCode::kInvalid:
    case ErrorCode::kTooLarge:
      return ApprovalOutcome{ApprovalPhase::kRefused, "InvalidSpec", error.message};
    case ErrorCode::kConflict:
      return ApprovalOutcome{ApprovalPhase::kRefused, "ApprovalRefused", error.message};
    default:
      return std::nullopt;
  }
}

api::ApprovalStatus BuildApprovalStatus(const api::ObjectMeta& meta, const ApprovalOutcome& outcome,
                                        TimePoint now) {
  const bool counts = outcome.phase == ApprovalPhase::kApplied || outcome.phase == ApprovalPhase::kCounted;
  api::ApprovalStatus status;
  status.observed_generation = meta.generation;
  status.phase = outcome.phase;
  status.message = outcome.message;
  status.observed = now;
  status.conditions = {
      MakeCondition("Accepted", counts, outcome.reason, outcome.message, meta, now),
      MakeCondition("Stalled", !counts, counts ? "NotStalled" : outcome.reason,
                    counts ? "" : "it decided nothing and never will; make another YbisApproval", meta, now)};
  return status;
}

kube::EventType EventTypeOf(const ApprovalOutcome& outcome) {
  const bool good =
      outcome.reason == "Approved" || outcome.reason == "Revised" || outcome.phase == ApprovalPhase::kCounted;
  return good ? kube::EventType::kNormal : kube::EventType::kWarning;
}

}  // namespace ybis::op
