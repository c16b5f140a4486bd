#include "runner/engine/approval.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/digest.h"
#include "runner/engine/conclusion.h"
#include "workflow/graph.h"

namespace ybis::runner {
namespace {

using nlohmann::json;

json Text(std::string_view text) { return std::string(text); }

json Record(const api::ApprovalDecision& decision) {
  return {{"decision", Text(ToString(decision.decision))},
          {"approvers", decision.approvers},
          {"reason", decision.reason},
          {"decided", FormatRfc3339Micro(decision.decided)},
          {"subjectDigest", decision.subject_digest}};
}

void PutFailure(json& state, std::string reason, std::string message) {
  state["failure"] =
      api::ToJson(api::Failure{api::FailureClass::kInvalid, std::move(reason), std::move(message)});
}

/// The node behind the one that waited; edges see a gate's decision as approved.
std::string Behind(const api::WorkflowSpec& workflow, const std::string& name, json& state) {
  const api::NodeSpec* node = workflow::FindNode(workflow, name);
  const bool gate = node != nullptr && node->type == "gate";
  json view = state;
  if (gate) view["gate"]["decision"] = "approved";
  const workflow::NodeOutcome outcome{.decision = gate ? "approved" : ""};
  const workflow::NextStep next = workflow::Next(workflow, name, outcome, view);
  if (next.kind == workflow::NextStep::Kind::kNode) return next.node;
  if (next.kind != workflow::NextStep::Kind::kEnd)
    PutFailure(state, "WorkflowInvalid",
               fmt::format("node {}: no edge applies after the approval and it is no exit point", name));
  return {};
}

void Approve(const api::RunOrder& order, const api::ApprovalDecision& decision, const Conclusion& waited,
             json& state, api::Checkpoint& out) {
  json record = Record(decision);
  record["runID"] = order.run_id;
  record["node"] = waited.wait_node;
  record["patchDigest"] = Digest(out.patch);
  json& run = state[kRunState];
  run["approval"] = record;
  state["approvedAt"] = FormatRfc3339(decision.decided);
  if (state.contains("gate")) {
    // Beside the verdict, which stays what the facts gave.
    state["gate"]["approval"] = record;
    const std::string gate = run.value("gateNode", "");
    if (state.contains(gate) && state[gate].is_object()) state[gate]["approval"] = record;
  }
  if (run.contains("waiting")) {
    state["human_approval"]["decision"] = "approved";
    state[waited.wait_node] = state["human_approval"];
  }
  run.erase("waiting");
  if (waited.walk_goes_on) out.next_node = Behind(order.workflow, waited.wait_node, state);
}

void Revise(const api::RunOrder& order, const api::ApprovalDecision& decision, const Conclusion& waited,
            json& state, api::Checkpoint& out) {
  const int64_t revisions = Revisions(out) + 1;
  json& run = state[kRunState];
  run["revisions"] = revisions;
  run["revision"] = Record(decision);
  run["revision"]["feedback"] = decision.feedback;
  run.erase("waiting");
  run.erase("approval");
  state.erase("error");
  const api::NodeSpec* repair = workflow::RepairNodeFor(order.workflow, waited.wait_node);
  if (repair == nullptr) {
    PutFailure(
        state, "NoRepairNode",
        fmt::format("no repair node can be reached from {}: there is nowhere to revise", waited.wait_node));
    return;
  }
  out.next_node = repair->name;
}

}  // namespace

int64_t Revisions(const api::Checkpoint& checkpoint) {
  if (!checkpoint.state || !checkpoint.state->is_object()) return 0;
  const json run = checkpoint.state->value(kRunState, json::object());
  return run.is_object() ? run.value("revisions", int64_t{0}) : 0;
}

api::Checkpoint ApplyDecision(const api::RunOrder& order, const api::Checkpoint& checkpoint,
                              const api::ApprovalDecision& decision) {
  if (decision.seq != checkpoint.seq || !checkpoint.next_node.empty()) return checkpoint;
  const Conclusion waited = Conclude(order, checkpoint);
  if (waited.kind != Conclusion::Kind::kBlock || waited.subject_digest != decision.subject_digest)
    return checkpoint;
  api::Checkpoint out = checkpoint;
  json state = *checkpoint.state;
  if (decision.decision == api::DecisionKind::kRevise) {
    Revise(order, decision, waited, state, out);
  } else {
    Approve(order, decision, waited, state, out);
  }
  out.state = std::make_shared<const json>(std::move(state));
  return out;
}

}  // namespace ybis::runner
