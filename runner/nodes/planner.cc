// planner: spec and retrieved context → plan.json. Invented names are sent back.
#include <nlohmann/json.hpp>

#include "base/json.h"
#include "runner/nodes/node.h"
#include "runner/nodes/plan.h"
#include "runner/nodes/prompt.h"
#include "runner/nodes/prompt_parts.h"

namespace ybis::runner {
namespace {

using nlohmann::json;

constexpr int kMaxPlanReasks = 2;

std::vector<FileText> RelevantFiles(const NodeContext& context, const RepositoryFacts& facts) {
  const std::string query = ObjectiveText(context) + "\n" + SpecText(context);
  const auto ranked =
      RankFiles(facts.files, query, [&](const std::string& path) { return ReadText(context.tree, path); });
  return CollectFiles(context.tree, ranked, {.total_bytes = 48 * 1024, .file_bytes = 16 * 1024, .files = 12});
}

/// A file that the plan means to change and only the task's checkout has is copied in.
Outcome<void> BringPlanned(NodeContext& context, const json& answer, std::stop_token stop) {
  if (!answer.is_object() || !answer.contains("files") || !answer["files"].is_array()) return {};
  for (const json& file : answer["files"]) {
    if (!file.is_object() || file.value("action", json()) != "modify") continue;
    const json path = file.value("path", json());
    if (!path.is_string()) continue;
    YBIS_PASS(context.project.Bring(path.get<std::string>(), stop));
  }
  return {};
}

}  // namespace

Outcome<NodeOutput> RunPlanner(NodeContext& context, std::stop_token stop) {
  YBIS_TAKE(const RepositoryFacts facts, ReadFacts(context.tree, stop));
  YBIS_ASSIGN_FAULT(FaultSource::kWorkspace, const PreparedPrompt prompt,
                    BuiltInPrompt("planner",
                                  {{"objective", ObjectiveText(context)},
                                   {"spec", SpecText(context)},
                                   {"repository", FactsText(facts)},
                                   {"files", FilesText(RelevantFiles(context, facts))}},
                                  context.order.spec.parameters));
  json plan;
  const auto check = [&](const json& answer) -> Outcome<std::string> {
    YBIS_PASS(BringPlanned(context, answer, stop));
    const auto exists = [&](const std::string& path) { return context.tree.Has(path); };
    return CheckPlan(answer, facts.files, exists, plan);
  };
  YBIS_TAKE(const json answer,
            context.model.Ask(prompt, BuiltInSchema("plan"), kMaxPlanReasks, "PlanRejected", check, stop));
  YBIS_PASS(context.folder.PutArtifact("plan.json", plan, stop));
  NodeOutput out{.state = plan, .input = PromptInput(prompt), .summary = ModelSummary(context.model)};
  out.summary["files"] = plan["files"].size();
  return out;
}

}  // namespace ybis::runner
