#include "runner/nodes/prompt_parts.h"

#include <nlohmann/json.hpp>

#include "base/digest.h"
#include "base/json.h"
#include "runner/edit/engine.h"
#include "runner/nodes/ignored_edits.h"
#include "runner/nodes/prompt.h"

namespace ybis::runner {

using nlohmann::json;

std::string ObjectiveText(const NodeContext& context) {
  return Substitute(context.order.spec.objective, context.order.spec.parameters);
}

std::string SpecText(const NodeContext& context) {
  const auto it = context.state.find("spec_generator");
  return it == context.state.end() ? "(none was made: the objective is all there is)" : DumpJsonPretty(*it);
}

std::string PlanText(const NodeContext& context) {
  const auto it = context.state.find("planner");
  return it == context.state.end() ? "(none was made: decide yourself which files to touch)"
                                   : DumpJsonPretty(*it);
}

std::string ChecksText(const NodeContext& context, const RepositoryFacts& facts) {
  std::vector<std::string> lines;
  for (const auto& argv : context.order.spec.verification.commands) {
    lines.push_back(fmt::format("{}", fmt::join(argv, " ")));
  }
  if (lines.empty()) {
    for (const Check& check : facts.checks) lines.push_back(fmt::format("{}", fmt::join(check.argv, " ")));
  }
  return lines.empty() ? "none is known yet" : fmt::format("{}", fmt::join(lines, "; "));
}

std::vector<std::string> PlannedPaths(const NodeContext& context) {
  std::vector<std::string> paths;
  const auto plan = context.state.find("planner");
  if (plan == context.state.end() || !plan->contains("files")) return paths;
  for (const json& file : (*plan)["files"]) {
    if (file.value("action", "") != "create") paths.push_back(file.value("path", ""));
  }
  return paths;
}

Outcome<void> BringMissing(NodeContext& context, const std::vector<std::string>& paths,
                           std::stop_token stop) {
  for (const std::string& path : paths) {
    YBIS_PASS(context.project.Bring(path, stop).map([](bool) {}));
  }
  return {};
}

json PromptInput(const PreparedPrompt& prompt) {
  return {{"prompt", prompt.name},
          {"promptVersion", prompt.version},
          {"systemDigest", Digest(prompt.system)},
          {"userDigest", Digest(prompt.user)},
          {"bytes", prompt.system.size() + prompt.user.size()}};
}

json ModelSummary(const ModelCaller& model) {
  const api::Usage& usage = model.usage();
  return {{"model", model.model()},        {"llmCalls", usage.llm_calls}, {"tokensIn", usage.tokens_in},
          {"tokensOut", usage.tokens_out}, {"costUSD", usage.cost_usd},   {"replayed", model.replayed()}};
}

namespace {

constexpr int kMaxEditReasks = 2;

/// The files that edits start from. Whole files and deletions need none.
std::vector<std::string> Targets(const std::vector<Edit>& edits) {
  std::vector<std::string> paths;
  for (const Edit& edit : edits) {
    if (const auto* replace = std::get_if<SearchReplace>(&edit)) paths.push_back(replace->path);
    if (const auto* rename = std::get_if<RenameFile>(&edit)) paths.push_back(rename->from);
  }
  return paths;
}

/// What is wrong with the edits of an answer, or "" with the plan to apply in `plan`.
Outcome<std::string> CheckEdits(NodeContext& context, const EditEngine& engine, const json& answer,
                                EditPlan& plan, std::stop_token stop) {
  const auto edits = ParseEdits(answer);
  if (!edits) return edits.error().message;
  if (edits->empty()) return std::string("the list of edits is empty");
  YBIS_PASS(BringMissing(context, Targets(*edits), stop));
  auto planned = engine.Plan(*edits, stop);
  if (!planned) {
    if (planned.error().code == ErrorCode::kTooLarge) return planned.error().message;
    return FaultUnexpected(FaultOf(FaultSource::kWorkspace, planned.error()));
  }
  YBIS_TRY_FAULT(FaultSource::kWorktree, MissIgnored(context.tree, *planned, std::move(stop)));
  if (!planned->misses.empty())
    return "no edit was applied, since some do not fit:\n" + Describe(planned->misses);
  plan = std::move(*planned);
  return std::string();
}

json ChangeList(const std::vector<FileChange>& changes) {
  json list = json::array();
  for (const FileChange& change : changes) {
    const char* kind = change.kind == FileChange::Kind::kCreated   ? "created"
                       : change.kind == FileChange::Kind::kDeleted ? "deleted"
                                                                   : "modified";
    list.push_back({{"path", change.path}, {"kind", kind}, {"bytes", change.bytes}});
  }
  return list;
}

}  // namespace

Outcome<NodeOutput> AskForEdits(NodeContext& context, const PreparedPrompt& prompt, std::stop_token stop) {
  const EditEngine engine(context.tree.root_fd());
  EditPlan plan;
  YBIS_TAKE(const json answer,
            context.model.Ask(
                prompt, BuiltInSchema("edits"), kMaxEditReasks, "EditsRejected",
                [&](const json& edits) { return CheckEdits(context, engine, edits, plan, stop); }, stop));
  YBIS_ASSIGN_FAULT(FaultSource::kWorkspace, const auto changes, engine.Apply(plan));
  NodeOutput out;
  out.state = {{"patchId", plan.patch_id}, {"changes", ChangeList(changes)}};
  out.input = PromptInput(prompt);
  out.summary = ModelSummary(context.model);
  out.summary["filesTouched"] = changes.size();
  return out;
}

}  // namespace ybis::runner
