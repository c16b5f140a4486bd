#include "operator/approval/reconciler.h"

#include <nlohmann/json.hpp>

#include "base/log.h"
#include "operator/approval/approver_policy.h"
#include "operator/task/act.h"

namespace ybis::op {
namespace {

using api::ApprovalPhase;
using nlohmann::json;

constexpr Duration kCatchUp = std::chrono::seconds(1);  // a watch brings it sooner
constexpr Duration kNew = std::chrono::minutes(1);

control::ApprovalRequest RequestOf(const api::Approval& approval, const std::string& task_uid) {
  control::ApprovalRequest request;
  request.task_uid = task_uid;
  request.key = approval.meta.uid;
  request.run_id = approval.spec.run_id;
  request.subject_digest = approval.spec.subject_digest;
  request.decision = approval.spec.decision;
  request.reason = approval.spec.reason;
  request.feedback = approval.spec.feedback;
  request.approver = approval.spec.approver;
  return request;
}

/// Metadata and whatever can be read of the status of an object whose spec cannot.
Result<api::Approval> ParseShell(const json& object) {
  api::Approval shell;
  YBIS_ASSIGN(shell.meta, api::ParseObjectMeta(object));
  const json& phase = object.value(json::json_pointer("/status/phase"), json());
  if (phase.is_string() && phase != "Pending") shell.status.phase = ApprovalPhase::kRefused;
  return shell;
}

/// What decided tells by whom; of what did not it is said here.
std::string NoteOf(const api::Approval& approval, const ApprovalOutcome& outcome) {
  const bool decided = outcome.phase == ApprovalPhase::kApplied || outcome.phase == ApprovalPhase::kCounted;
  if (decided || approval.spec.approver.empty()) return outcome.message;
  return fmt::format("{} by {}: {}", ToString(approval.spec.decision), approval.spec.approver,
                     outcome.message);
}

/// Whoever takes that task decides. That may be us, if the watch is late with it.
ReconcileResult LeaveToItsOperator(const api::Approval& approval, TimePoint now) {
  if (now - approval.meta.creation_time < kNew) return {std::chrono::seconds(5)};
  return {};
}

}  // namespace

/// The task of an approval: ours, another operator's, or not there.
struct ApprovalReconciler::Subject {
  kube::Object task;
  bool foreign = false;  ///< it is there, and not one that we take
};

Result<ApprovalReconciler::Subject> ApprovalReconciler::FindSubject(const kube::Key& key,
                                                                    std::stop_token stop) {
  if (const kube::Object cached = ports_.tasks.Get(key)) return Subject{cached};
  // What is not in the cache is not there, another operator's, or not seen yet: the API server knows.
  const auto task = ports_.api.Get(kube::kTasks, key, stop);
  if (task) return Subject{nullptr, true};
  if (task.error().code == ErrorCode::kNotFound) return Subject{};
  return FailIn("looking for task " + key.ToString(), task.error());
}

/// Why its approver is not proven. One that has decided already was proven then, whatever became of the
/// policy.
Result<std::optional<std::string>> ApprovalReconciler::FindDoubt(const api::Approval& approval,
                                                                 std::stop_token stop) {
  if (!ports_.require_admission_policy) return std::nullopt;
  YBIS_ASSIGN(const bool known, ports_.decisions.Known(approval.meta.uid, stop));
  if (known) return std::nullopt;
  return WhyUnproven(ports_.api, approval.meta.creation_time, stop);
}

Result<ApprovalOutcome> ApprovalReconciler::Judge(const api::Approval& approval, const Subject& subject,
                                                  std::stop_token stop) {
  if (!subject.task) {
    return ApprovalOutcome{ApprovalPhase::kRefused, "TaskNotFound",
                           fmt::format("spec.taskRef.name: there is no YbisTask '{}' in namespace {}",
                                       approval.spec.task, approval.meta.namespace_name)};
  }
  const std::string uid = kube::MetaString(*subject.task, "uid");
  YBIS_ASSIGN(const auto latest, ports_.records.LatestRun(uid));
  if (const auto obstacle = FindObstacle(approval, uid, latest)) return *obstacle;
  YBIS_ASSIGN(const auto unproven, FindDoubt(approval, stop));
  if (unproven) {
    return ApprovalOutcome{ApprovalPhase::kRefused, "ApproverUnproven",
                           *unproven + "; make another once it is there (docs/operations.md)"};
  }
  const auto result = ports_.decisions.Decide(RequestOf(approval, uid), stop);
  if (result) return OutcomeOf(approval, *result);
  if (const auto outcome = OutcomeOf(result.error())) return *outcome;
  return FailIn("deciding run " + approval.spec.run_id, result.error());
}

Result<ReconcileResult> ApprovalReconciler::Reconcile(const kube::Key& key, std::stop_token stop) {
  const kube::Object object = ports_.approvals.Get(key);
  if (!object) return ReconcileResult{};
  if (!ports_.approvals.Current(key)) return ReconcileResult{kCatchUp};
  const auto parsed = api::ParseApproval(*object);
  YBIS_ASSIGN(const api::Approval approval, parsed ? parsed : ParseShell(*object));
  if (approval.status.phase != ApprovalPhase::kPending || approval.meta.deletion_time)
    return ReconcileResult{};
  ApprovalOutcome outcome{ApprovalPhase::kRefused, "InvalidSpec", parsed ? "" : parsed.error().message};
  Subject subject;
  if (parsed) {
    YBIS_ASSIGN(subject, FindSubject({key.ns, approval.spec.task}, stop));
    if (subject.foreign) return LeaveToItsOperator(approval, ports_.clock.Now());
    YBIS_ASSIGN(outcome, Judge(approval, subject, stop));
  }
  YBIS_TRY(Write(*object, BuildApprovalStatus(approval.meta, outcome, ports_.clock.Now()), stop));
  log::Info("approval looked at", {{"approval", key.ToString()},
                                   {"task", approval.spec.task},
                                   {"run", approval.spec.run_id},
                                   {"approver", approval.spec.approver},
                                   {"phase", ToString(outcome.phase)},
                                   {"reason", outcome.reason}});
  ports_.events.Record(subject.task ? *subject.task : *object, EventTypeOf(outcome), outcome.reason, "Decide",
                       NoteOf(approval, outcome));
  return ReconcileResult{};
}

Status ApprovalReconciler::Write(const json& object, const api::ApprovalStatus& status,
                                 std::stop_token stop) {
  const kube::Key key = kube::KeyOf(object);
  const json body = {
      {"apiVersion", api::kApiVersion},
      {"kind", "YbisApproval"},
      {"metadata", {{"name", key.name}, {"namespace", key.ns}, {"uid", kube::MetaString(object, "uid")}}},
      {"status", api::ToJson(status)}};
  kube::PatchOptions options{kube::PatchType::kApply, "status", std::string(kFieldManager), true};
  const auto patched = ports_.api.Patch(kube::kApprovals, key, body, options, stop);
  if (!patched && patched.error().code == ErrorCode::kNotFound) return {};
  if (!patched) return FailIn("writing the status of approval " + key.ToString(), patched.error());
  ports_.approvals.ExpectVersion(key, kube::MetaString(*patched, "resourceVersion"));
  return {};
}

}  // namespace ybis::op
