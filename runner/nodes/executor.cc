// executor: makes the change, by the adapter that its config names.
#include <nlohmann/json.hpp>

#include "base/digest.h"
#include "base/json.h"
#include "runner/edit/engine.h"
#include "runner/nodes/ignored_edits.h"
#include "runner/nodes/node.h"
#include "runner/nodes/prompt.h"
#include "runner/nodes/prompt_parts.h"

namespace ybis::runner {
namespace {

using nlohmann::json;

/// The files that the plan names first, then what else the objective and the plan speak of.
std::vector<FileText> FilesToShow(const NodeContext& context, const RepositoryFacts& facts) {
  std::vector<std::string> wanted = PlannedPaths(context);
  const std::string query = ObjectiveText(context) + "\n" + PlanText(context);
  const auto ranked =
      RankFiles(facts.files, query, [&](const std::string& path) { return ReadText(context.tree, path); });
  wanted.insert(wanted.end(), ranked.begin(), ranked.end());
  return CollectFiles(context.tree, wanted,
                      {.total_bytes = 128 * 1024, .file_bytes = 64 * 1024, .files = 24});
}

/// adapter llm: a model answers with edits.
Outcome<NodeOutput> ExecuteByModel(NodeContext& context, std::stop_token stop) {
  YBIS_PASS(BringMissing(context, PlannedPaths(context), stop));
  YBIS_TAKE(const RepositoryFacts facts, ReadFacts(context.tree, stop));
  YBIS_ASSIGN_FAULT(FaultSource::kWorkspace, const PreparedPrompt prompt,
                    BuiltInPrompt("executor",
                                  {{"objective", ObjectiveText(context)},
                                   {"spec", SpecText(context)},
                                   {"plan", PlanText(context)},
                                   {"checks", ChecksText(context, facts)},
                                   {"files", FilesText(FilesToShow(context, facts))}},
                                  context.order.spec.parameters));
  return AskForEdits(context, prompt, stop);
}

/// adapter patch: config.patch, a unified diff.
Outcome<NodeOutput> ExecutePatch(NodeContext& context, const std::string& patch, std::stop_token stop) {
  const EditEngine engine(context.tree.root_fd());
  const std::array<Edit, 1> edits = {UnifiedDiff{patch}};
  const auto rejected = [&](const std::string& why) {
    return FaultUnexpected(
        TaskFault(api::FailureClass::kInvalid, "PatchRejected",
                  fmt::format("node {}: config.patch does not apply: {}", context.node.name, why)));
  };
  auto planned = engine.Plan(edits, stop);
  // Another attempt would find the same patch, and the same files.
  if (!planned && planned.error().code == ErrorCode::kTooLarge) return rejected(planned.error().message);
  YBIS_ASSIGN_FAULT(FaultSource::kWorkspace, EditPlan plan, std::move(planned));
  YBIS_TRY_FAULT(FaultSource::kWorktree, MissIgnored(context.tree, plan, std::move(stop)));
  if (!plan.misses.empty()) return rejected(Describe(plan.misses));
  YBIS_ASSIGN_FAULT(FaultSource::kWorkspace, const auto changes, engine.Apply(plan));
  NodeOutput out;
  out.state = {{"patchId", Digest(patch)}, {"filesTouched", changes.size()}};
  out.input = {{"adapter", "patch"}, {"patchDigest", Digest(patch)}};
  out.summary = {{"filesTouched", changes.size()}};
  return out;
}

}  // namespace

Outcome<NodeOutput> RunExecutor(NodeContext& context, std::stop_token stop) {
  ObjectReader reader(*context.node.config, fmt::format("node {}: config", context.node.name));
  const std::string adapter = reader.Choice("adapter", "llm", {"llm", "patch", "command"});
  if (adapter == "command") return RunCommand(context, stop);
  const std::string patch = adapter == "patch" ? reader.RequiredString("patch") : "";
  if (const Status status = reader.Finish(); !status) {
    return FaultUnexpected(
        TaskFault(api::FailureClass::kInvalid, "NodeConfigInvalid", status.error().message));
  }
  if (adapter == "patch") return ExecutePatch(context, patch, std::move(stop));
  return ExecuteByModel(context, stop);
}

}  // namespace ybis::runner
