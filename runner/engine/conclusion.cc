#include "runner/engine/conclusion.h"

#include <nlohmann/json.hpp>

#include "base/digest.h"

namespace ybis::runner {
namespace {

using nlohmann::json;
using Kind = Conclusion::Kind;

const json& StateOf(const api::Checkpoint& checkpoint) {
  static const json kEmpty = json::object();
  return checkpoint.state && checkpoint.state->is_object() ? *checkpoint.state : kEmpty;
}

const json* Find(const json& object, const char* key) {
  const auto it = object.find(key);
  return it == object.end() || it->is_null() ? nullptr : &*it;
}

const json& RunStateOf(const json& state) {
  static const json kEmpty = json::object();
  const json* run = Find(state, kRunState);
  return run != nullptr && run->is_object() ? *run : kEmpty;
}

std::optional<api::Failure> FailureIn(const json& object, const char* key) {
  const json* value = Find(object, key);
  if (value == nullptr) return std::nullopt;
  auto failure = api::ParseFailure(*value);
  if (failure) return std::move(*failure);
  return api::Failure{api::FailureClass::kInfra, "StateInvalid", failure.error().message};
}

api::Failure Unapproved(std::string reason, std::string message) {
  return {api::FailureClass::kPolicy, std::move(reason), std::move(message)};
}

/// The node of the last gate. Checkpoints of earlier versions do not name it: their workflows had one.
std::string GateNode(const api::RunOrder& order, const json& state) {
  const std::string name = RunStateOf(state).value("gateNode", "");
  if (!name.empty()) return name;
  for (const api::NodeSpec& node : order.workflow.nodes) {
    if (node.type == "gate") return node.name;
  }
  return "gate";
}

/// A run that waits, or with mode Never the failure that it is instead.
Conclusion Wait(const api::RunOrder& order, const api::Checkpoint& checkpoint, std::string decision,
                std::string node, bool walk_goes_on, std::optional<api::Failure> failure) {
  if (order.spec.approval.mode == api::ApprovalMode::kNever)
    return {Kind::kFail, std::move(decision), std::move(failure)};
  Conclusion out{Kind::kBlock, std::move(decision), std::move(failure)};
  out.wait_node = std::move(node);
  out.subject_digest =
      api::SubjectDigest(order.run_id, checkpoint.seq, Digest(checkpoint.patch), out.decision);
  out.walk_goes_on = walk_goes_on;
  return out;
}

Conclusion ConcludeApproved(const api::RunOrder& order, const api::Checkpoint& checkpoint, const json& gate,
                            bool by_person) {
  if (gate.value("patchDigest", "") != Digest(checkpoint.patch)) {
    return {Kind::kFail, "approved",
            Unapproved(
                "ChangedAfterGate",
                "the change was edited after the gate approved it: put a gate after the last editing node")};
  }
  if (order.spec.approval.mode == api::ApprovalMode::kAlways && !by_person) {
    return Wait(
        order, checkpoint, "approved", GateNode(order, StateOf(checkpoint)), false,
        Unapproved("ApprovalRequired",
                   "the gate approved the change, and spec.approval.mode Always asks for a person too"));
  }
  const bool deliver = order.spec.delivery.mode == api::DeliveryMode::kBranch && !checkpoint.patch.empty();
  return {deliver ? Kind::kDeliver : Kind::kComplete, "approved", std::nullopt};
}

Conclusion ConcludeBlocked(const api::RunOrder& order, const api::Checkpoint& checkpoint, const json& gate) {
  const json& state = StateOf(checkpoint);
  const std::string node = GateNode(order, state);
  return Wait(order, checkpoint, "blocked", node, RunStateOf(state).value("lastNode", node) == node,
              FailureIn(gate, "failure"));
}

/// A human_approval node stopped the walk.
Conclusion ConcludeWaiting(const api::RunOrder& order, const api::Checkpoint& checkpoint, const json& waiting,
                           std::string decision) {
  std::string message = waiting.value("message", "");
  if (order.spec.approval.mode == api::ApprovalMode::kNever)
    message += " (spec.approval.mode Never lets no run wait: take another mode or another workflow)";
  return Wait(order, checkpoint, std::move(decision), waiting.value("node", ""), true,
              Unapproved("ApprovalRequired", std::move(message)));
}

}  // namespace

Conclusion Conclude(const api::RunOrder& order, const api::Checkpoint& checkpoint) {
  const json& state = StateOf(checkpoint);
  if (auto failure = FailureIn(state, "failure")) return {Kind::kFail, "", std::move(failure)};
  const json* gate = Find(state, "gate");
  const std::string decision = gate != nullptr ? gate->value("decision", "") : "";
  if (const json* waiting = Find(RunStateOf(state), "waiting"))
    return ConcludeWaiting(order, checkpoint, *waiting, decision);
  const json* approval = Find(RunStateOf(state), "approval");
  // A run that began with the checkpoint of another is not covered by what people said to that one.
  const bool by_person = approval != nullptr && approval->value("runID", "") == order.run_id;
  if (decision == "approved" || (decision == "blocked" && by_person))
    return ConcludeApproved(order, checkpoint, *gate, by_person);
  if (decision == "blocked") return ConcludeBlocked(order, checkpoint, *gate);
  if (decision == "rejected") return {Kind::kFail, decision, FailureIn(*gate, "failure")};
  if (auto error = FailureIn(state, "error")) return {Kind::kFail, decision, std::move(error)};
  if (gate != nullptr) {
    return {Kind::kFail, decision, Unapproved("NotApproved", "the workflow ended before its gate approved")};
  }
  if (order.spec.delivery.mode == api::DeliveryMode::kNone) return {};
  return {Kind::kFail, "",
          Unapproved("NotGated",
                     "the workflow has no gate, so nothing may be pushed: add a gate node before its exit")};
}

api::FinishReport ReportOf(const Conclusion& conclusion, const api::Checkpoint& checkpoint) {
  const json& state = StateOf(checkpoint);
  api::FinishReport report;
  report.outcome = conclusion.kind == Kind::kBlock  ? "Blocked"
                   : conclusion.kind == Kind::kFail ? "Failed"
                                                    : "Completed";
  report.failure = conclusion.failure;
  if (!checkpoint.base_commit.empty()) {
    const json diff = state.value("diff", json::object());
    report.result = api::RunResult{.decision = conclusion.decision,
                                   .base_commit = checkpoint.base_commit,
                                   .patch_digest = Digest(checkpoint.patch),
                                   .files_changed = diff.value("filesChanged", int64_t{0}),
                                   .insertions = diff.value("insertions", int64_t{0}),
                                   .deletions = diff.value("deletions", int64_t{0})};
  }
  if (const json* verifier = Find(state, "verifier")) {
    report.verification = api::VerificationResult{.passed = verifier->value("passed", int64_t{0}),
                                                  .failed = verifier->value("failed", int64_t{0})};
  }
  report.subject_digest = conclusion.subject_digest;
  report.wait_node = conclusion.wait_node;
  return report;
}

}  // namespace ybis::runner
