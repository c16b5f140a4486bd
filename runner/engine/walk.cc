#include "runner/engine/walk.h"

#include <nlohmann/json.hpp>
#include <optional>

#include "base/json.h"
#include "runner/engine/approval.h"
#include "runner/engine/conclusion.h"
#include "runner/engine/run_stop.h"
#include "workflow/graph.h"

namespace ybis::runner {
namespace {

using nlohmann::json;

/// Of kRunState: the run in which a node over its visit limit has gone to the error handler.
constexpr const char* kLimitHandled = "limitHandled";

Fault WorkflowFault(const std::string& message) {
  return TaskFault(api::FailureClass::kInvalid, "WorkflowInvalid", message);
}

void AddUsage(json& state, const api::Usage& usage) {
  json& sum = state["usage"];
  if (!sum.is_object()) sum = json::object();
  sum["tokensIn"] = sum.value("tokensIn", int64_t{0}) + usage.tokens_in;
  sum["tokensOut"] = sum.value("tokensOut", int64_t{0}) + usage.tokens_out;
  sum["costUSD"] = sum.value("costUSD", 0.0) + usage.cost_usd;
  sum["llmCalls"] = sum.value("llmCalls", int64_t{0}) + usage.llm_calls;
}

/// Counts what ran, by how it ended. Of one node: not thread-safe.
class CountedCommands final : public CommandRunner {
 public:
  CountedCommands(CommandRunner& next, std::map<std::string, int64_t>& counts)
      : next_(next), counts_(counts) {}
  Result<CommandResult> Run(const CommandRequest& request, std::stop_token stop) override {
    auto result = next_.Run(request, std::move(stop));
    if (result) ++counts_[result->timed_out ? "timedOut" : result->exit_code == 0 ? "ok" : "failed"];
    return result;
  }
  bool IsInstalled(const std::string& program) const override { return next_.IsInstalled(program); }

 private:
  CommandRunner& next_;
  std::map<std::string, int64_t>& counts_;
};

/// Whether the gate's verdict is the last word: only an edge with a condition leads on from it.
bool IsFinal(const std::string& decision) { return decision == "blocked" || decision == "rejected"; }

bool HasConditionalEdge(const api::NodeSpec& node, const std::string& to) {
  return std::any_of(node.next.begin(), node.next.end(),
                     [&](const api::Edge& edge) { return edge.when && edge.to == to; });
}

}  // namespace

Walk::Walk(WalkParts parts, api::Checkpoint checkpoint)
    : parts_(std::move(parts)), checkpoint_(std::move(checkpoint)) {
  if (!checkpoint_.state || !checkpoint_.state->is_object()) {
    checkpoint_.state = std::make_shared<const json>(json::object());
  }
}

Outcome<void> Walk::Run(std::stop_token stop) {
  while (!checkpoint_.next_node.empty()) {
    if (stop.stop_requested()) return FaultUnexpected(Fault{FaultKind::kStop, {}});
    YBIS_PASS(RunStep(stop));
  }
  return {};
}

Outcome<Walk::Step> Walk::NextStep() const {
  const api::WorkflowSpec& workflow = parts_.order.workflow;
  Step step{.node = workflow::FindNode(workflow, checkpoint_.next_node), .started = parts_.clock.Now()};
  if (step.node == nullptr) {
    return FaultUnexpected(
        WorkflowFault(fmt::format("the workflow has no node '{}'", checkpoint_.next_node)));
  }
  step.type = FindNodeType(step.node->type);
  if (step.type == nullptr) {
    return FaultUnexpected(
        WorkflowFault(fmt::format("node {}: unknown type '{}'", step.node->name, step.node->type)));
  }
  const auto visited = checkpoint_.visits.find(step.node->name);
  step.visit = (visited == checkpoint_.visits.end() ? 0 : visited->second) + 1;
  const int64_t cap =
      workflow::VisitCap(workflow, *step.node, parts_.order.spec.limits.max_repairs) + Revisions(checkpoint_);
  if (step.visit > cap) {
    step.over_limit = TaskFault(api::FailureClass::kAgent, "VisitLimitReached",
                                fmt::format("node {} was reached more than {} times", step.node->name, cap));
    if (!MayHandleLimit(*step.node)) return FaultUnexpected(*step.over_limit);
  }
  return step;
}

/// Once in a run, so that a handler which leads back into the loop ends it all the same.
bool Walk::MayHandleLimit(const api::NodeSpec& node) const {
  if (node.name == workflow::kErrorHandler) return false;
  const json run = checkpoint_.state->value(kRunState, json::object());
  if (run.value(kLimitHandled, std::string()) == parts_.order.run_id) return false;
  return workflow::Next(parts_.order.workflow, node.name, {.error = true}, *checkpoint_.state).kind ==
         workflow::NextStep::Kind::kNode;
}

int64_t Walk::RepairsLeft(const api::NodeSpec& gate) const {
  for (const api::Edge& edge : gate.next) {
    const api::NodeSpec* target = workflow::FindNode(parts_.order.workflow, edge.to);
    if (target == nullptr || target->type != "repair") continue;
    const auto visited = checkpoint_.visits.find(target->name);
    const int64_t used = visited == checkpoint_.visits.end() ? 0 : visited->second;
    const int64_t cap =
        workflow::VisitCap(parts_.order.workflow, *target, parts_.order.spec.limits.max_repairs) +
        Revisions(checkpoint_);
    return std::max<int64_t>(0, cap - used);
  }
  return 0;
}

Outcome<NodeOutput> Walk::RunNode(Step& step, std::stop_token stop) {
  ModelCaller model(parts_.api, parts_.folder.lease().epoch, step.node->name, step.visit);
  ProjectFiles project(parts_.checkout, parts_.tree, parts_.journal);
  CountedCommands commands(parts_.commands, step.commands);
  NodeContext context{.order = parts_.order,
                      .node = *step.node,
                      .state = *checkpoint_.state,
                      .visit = step.visit,
                      .repairs_left = step.node->type == "gate" ? RepairsLeft(*step.node) : 0,
                      .tree = parts_.tree,
                      .commands = commands,
                      .model = model,
                      .folder = parts_.folder,
                      .journal = parts_.journal,
                      .project = project};
  std::stop_source node_stop;
  std::atomic<bool> timed_out = false;
  const std::stop_callback pass_on(stop, [&] { node_stop.request_stop(); });
  std::optional<Timer> timer;
  if (step.node->timeout_seconds > 0) {
    timer.emplace(parts_.clock, std::chrono::seconds(step.node->timeout_seconds), [&] {
      timed_out = true;
      node_stop.request_stop();
    });
  }
  Outcome<NodeOutput> result = step.type->run(context, node_stop.get_token());
  timer.reset();
  step.usage = model.usage();
  if (result || result.error().kind == FaultKind::kStale || stop.stop_requested() || !timed_out)
    return result;
  return FaultUnexpected(TaskFault(api::FailureClass::kTimeout, "NodeTimedOut",
                                   fmt::format("node {} did not end within its timeoutSeconds {}",
                                               step.node->name, step.node->timeout_seconds)));
}

/// Takes up what an editing node changed.
Outcome<void> Walk::TakePatch(json& state, std::stop_token stop) {
  edited_ = true;
  YBIS_ASSIGN_FAULT(FaultSource::kWorktree, std::string patch, parts_.tree.Snapshot(stop));
  YBIS_PASS(parts_.folder.PutArtifact("patch.diff", patch, stop));
  checkpoint_.patch = std::move(patch);
  if (const auto diff = parts_.tree.Diff(size_t{64} * 1024 * 1024, stop)) {
    state["diff"] = {{"filesChanged", diff->files.size()},
                     {"insertions", diff->insertions},
                     {"deletions", diff->deletions}};
  }
  return {};
}

/// The node's output, with what it changed taken up. A change that cannot be is the node's failure.
Outcome<NodeOutput> Walk::Perform(Step& step, json& state, std::stop_token stop) {
  if (step.over_limit) return FaultUnexpected(*step.over_limit);
  Outcome<NodeOutput> result = RunNode(step, stop);
  if (!result || step.type->effect != Effect::kEdits) return result;
  YBIS_PASS(TakePatch(state, std::move(stop)));
  return result;
}

/// The next node's name, or "" when the walk ends here; what ends it is put into the state.
std::string Walk::Route(const Step& step, const NodeOutput* output, const Fault* fault, json& state) const {
  using Kind = workflow::NextStep::Kind;
  if (output != nullptr && output->waits) {
    state[kRunState]["waiting"] = {{"node", step.node->name},
                                   {"message", output->state.value("message", "")}};
    return {};
  }
  const std::string decision = output != nullptr ? output->decision : "";
  const workflow::NodeOutcome outcome{.error = fault != nullptr,
                                      .approved = decision.empty() || decision == "approved",
                                      .decision = decision};
  const workflow::NextStep next = workflow::Next(parts_.order.workflow, step.node->name, outcome, state);
  if (next.kind == Kind::kNode && (!IsFinal(decision) || HasConditionalEdge(*step.node, next.node))) {
    return next.node;
  }
  if (next.kind == Kind::kUnhandledError && fault != nullptr) state["failure"] = api::ToJson(fault->failure);
  if (next.kind == Kind::kNoRoute && !IsFinal(decision)) {
    state["failure"] = api::ToJson(
        WorkflowFault(fmt::format("node {}: no edge applies and it is no exit point", step.node->name))
            .failure);
  }
  return {};
}

/// Everything that the record needs goes up before the report that says the node is done.
Outcome<void> Walk::Report(const Step& step, const NodeOutput* output, const Fault* fault,
                           std::stop_token stop) {
  json error = json::object();
  if (fault != nullptr) error = {{"error", api::ToJson(fault->failure)}};
  const json input = output != nullptr ? output->input : json::object();
  json summary = output != nullptr ? output->summary : error;
  if (!step.commands.empty()) summary["commands"] = step.commands;
  const std::string& name = step.node->name;
  YBIS_PASS(parts_.folder.PutNodeFile(checkpoint_.seq, name, "input.json", input, stop));
  YBIS_PASS(parts_.folder.PutNodeFile(checkpoint_.seq, name, "output.json",
                                      output != nullptr ? output->state : error, stop));
  YBIS_PASS(parts_.journal.Flush(stop));
  const api::NodeReport report{.epoch = parts_.folder.lease().epoch,
                               .seq = checkpoint_.seq,
                               .node = name,
                               .type = step.node->type,
                               .visit = step.visit,
                               .outcome = fault == nullptr ? "ok" : "error",
                               .error = fault == nullptr ? "" : fault->failure.message,
                               .started = step.started,
                               .finished = parts_.clock.Now(),
                               .input = std::make_shared<const json>(input),
                               .output = std::make_shared<const json>(std::move(summary)),
                               .checkpoint = checkpoint_};
  YBIS_TRY_FAULT(FaultSource::kRunApi, parts_.api.ReportNode(report, stop));
  return {};
}

Outcome<void> Walk::RunStep(std::stop_token stop) {
  YBIS_TAKE(Step step, NextStep());
  parts_.on_node(step.node->name);
  parts_.journal.Info("node started", {{"node", step.node->name}, {"visit", step.visit}});
  YBIS_PASS(parts_.folder.FreshScratch());
  if (edited_ && step.type->effect == Effect::kScratches) {
    // What is checked is what would be delivered: a file that git ignores is no part of the change.
    YBIS_TRY_FAULT(FaultSource::kWorktree, parts_.tree.Restore(checkpoint_.patch, stop));
    edited_ = false;
  }
  json state = *checkpoint_.state;
  const Outcome<NodeOutput> result = Perform(step, state, stop);
  const NodeOutput* output = result ? &*result : nullptr;
  const Fault* fault = result ? nullptr : &result.error();
  if (fault != nullptr && (fault->kind != FaultKind::kFail || stop.stop_requested())) {
    return FaultUnexpected(*fault);
  }
  if (step.type->effect == Effect::kScratches || (step.type->effect == Effect::kEdits && fault != nullptr)) {
    YBIS_TRY_FAULT(FaultSource::kWorktree, parts_.tree.Restore(checkpoint_.patch, stop));
  }
  AddUsage(state, step.usage);
  if (output != nullptr) {
    state[step.node->type] = output->state;
    state[step.node->name] = output->state;
    if (output->decision == "approved") state["approvedAt"] = FormatRfc3339(parts_.clock.Now());
  } else {
    state["error"] = api::ToJson(fault->failure);
    parts_.journal.Error(
        "node failed",
        {{"node", step.node->name}, {"reason", fault->failure.reason}, {"error", fault->failure.message}});
  }
  json& run = state[kRunState];
  if (!run.is_object()) run = json::object();
  run.erase("waiting");  // of a run that this one began from
  if (step.node->type == "gate" && output != nullptr) {
    run["gateNode"] = step.node->name;
    run.erase("approval");  // whoever approved has not seen this verdict
  }
  run["lastNode"] = step.node->name;
  if (step.over_limit) run[kLimitHandled] = parts_.order.run_id;
  checkpoint_.next_node = Route(step, output, fault, state);
  checkpoint_.state = std::make_shared<const json>(std::move(state));
  checkpoint_.seq += 1;
  if (!step.over_limit) checkpoint_.visits[step.node->name] = step.visit;
  checkpoint_.base_commit = parts_.tree.base_commit();
  parts_.journal.Info("node finished", {{"node", step.node->name}, {"next", checkpoint_.next_node}});
  return Report(step, output, fault, stop);
}

}  // namespace ybis::runner
