#include "cli/cluster/decisions.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace ybis::cli {

using control::ApprovalVerdict;
using nlohmann::json;

std::optional<control::Wait> WaitFrom(const TaskView& task) {
  if (!task.status.approval || task.status.phase != api::TaskPhase::kBlocked) return std::nullopt;
  const api::AwaitedDecision& awaited = *task.status.approval;
  control::Wait wait;
  wait.run_id = task.newest_run();
  wait.task_namespace = task.namespace_name;
  wait.task_name = task.name;
  wait.task_uid = task.uid;
  wait.subject_digest = awaited.subject_digest;
  wait.node = awaited.node;
  wait.since = awaited.since.value_or(task.created);
  wait.expires = awaited.expires.value_or(wait.since);
  wait.required = awaited.required;
  wait.approvers = awaited.approvers;
  if (task.status.failure) {
    wait.reason = task.status.failure->reason;
    wait.message = task.status.failure->message;
  } else if (const auto* asked = api::FindCondition(task.status.conditions, "AwaitingApproval")) {
    wait.reason = asked->reason;
    wait.message = asked->message;
  }
  return wait;
}

nlohmann::json ApprovalObject(const TaskView& task, const control::ApprovalRequest& request) {
  api::ApprovalDecisionSpec spec;
  spec.task = task.name;
  spec.run_id = request.run_id;
  spec.subject_digest = request.subject_digest;
  spec.decision = request.decision;
  spec.reason = request.reason;
  spec.feedback = request.feedback;
  spec.approver = request.approver;
  return {{"apiVersion", api::kApiVersion},
          {"kind", "YbisApproval"},
          {"metadata",
           {{"name", fmt::format("{}-{}", task.name, request.key)},
            {"namespace", task.namespace_name},
            // So that it goes with its task; who wants to keep it leaves this out of a manifest of their own.
            {"ownerReferences", json::array({{{"apiVersion", api::kApiVersion},
                                              {"kind", "YbisTask"},
                                              {"name", task.name},
                                              {"uid", task.uid}}})}}},
          {"spec", api::ToJson(spec)}};
}

control::ApprovalResult ResultOf(const TaskView& task, const api::Approval& approval) {
  control::ApprovalResult result;
  result.message = approval.status.message;
  result.task_key = task.namespace_name + "/" + task.name;
  if (task.status.approval) result.required = task.status.approval->required;
  switch (approval.status.phase) {
    case api::ApprovalPhase::kApplied:
      result.verdict = ApprovalVerdict::kDecided;
      break;
    case api::ApprovalPhase::kCounted:
      result.verdict = ApprovalVerdict::kCounted;
      break;
    case api::ApprovalPhase::kRefused:
      result.verdict = ApprovalVerdict::kRefused;
      break;
    default:
      result.verdict = ApprovalVerdict::kStale;
  }
  if (result.message.empty())
    result.message = fmt::format("the decision is {}", ToString(approval.status.phase));
  return result;
}

}  // namespace ybis::cli
