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

Conclusion ConcludeApproved(const api::RunOrder& order, const api::Checkpoint& checkpoint, const json& gate) {
  if (gate.value("patchDigest", "") != Digest(checkpoint.patch)) {
    return {Kind::kFail, "approved",
            Unapproved(
                "ChangedAfterGate",
                "the change was edited after the gate approved it: put a gate after the last editing node")};
  }
  const bool deliver = order.spec.delivery.mode == api::DeliveryMode::kBranch && !checkpoint.patch.empty();
  return {deliver ? Kind::kDeliver : Kind::kComplete, "approved", std::nullopt};
}

}  // namespace

Conclusion Conclude(const api::RunOrder& order, const api::Checkpoint& checkpoint) {
  const json& state = StateOf(checkpoint);
  if (auto failure = FailureIn(state, "failure")) return {Kind::kFail, "", std::move(failure)};
  const json* gate = Find(state, "gate");
  const std::string decision = gate != nullptr ? gate->value("decision", "") : "";
  if (decision == "approved") return ConcludeApproved(order, checkpoint, *gate);
  if (decision == "blocked") return {Kind::kBlock, decision, FailureIn(*gate, "failure")};
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
  if (conclusion.kind == Kind::kBlock) report.subject_digest = Digest(checkpoint.patch);
  return report;
}

}  // namespace ybis::runner
