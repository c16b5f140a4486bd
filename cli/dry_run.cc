#include "cli/dry_run.h"

#include <fmt/ranges.h>

#include <nlohmann/json.hpp>

#include "cli/table.h"
#include "workflow/graph.h"

namespace ybis::cli {
namespace {

constexpr const char* kOperators = "(the operator's)";

bool AsksModel(const api::NodeSpec& node) {
  return node.type == "spec_generator" || node.type == "planner" || node.type == "repair" ||
         (node.type == "executor" && node.config->value("adapter", "llm") == "llm");
}

std::string ModelOf(const api::TaskSpec& spec, const control::Config* config) {
  if (config == nullptr) return spec.model.name.empty() ? kOperators : spec.model.name;
  const control::ModelConfig* model = config->FindModel(spec.model.name);
  return model == nullptr ? "(none configured)" : model->name;
}

void PrintGraph(std::ostream& out, const Rehearsal& rehearsal, const std::string& model) {
  Table table({"NODE", "TYPE", "VISITS", "TIMEOUT", "MODEL", "NEXT"});
  const api::WorkflowSpec& workflow = rehearsal.workflow;
  for (const api::NodeSpec& node : workflow.nodes) {
    std::vector<std::string> next;
    for (const api::Edge& edge : node.next) next.push_back(edge.to);
    if (workflow::IsExit(workflow, node.name)) next.emplace_back("(exit)");
    table.Add({node.name + (node.name == workflow.entry_point ? "*" : ""), node.type,
               std::to_string(workflow::VisitCap(workflow, node, rehearsal.spec.limits.max_repairs)),
               node.timeout_seconds > 0 ? fmt::format("{}s", node.timeout_seconds) : "-",
               AsksModel(node) ? model : "-", fmt::format("{}", fmt::join(next, ", "))});
  }
  table.Print(out);
}

/// Of the whole run.
std::string TimeOf(const api::TaskSpec& spec, const control::Config* config) {
  if (config != nullptr) return fmt::format("{}s", control::TimeoutSeconds(*config, spec));
  return spec.limits.timeout_seconds > 0 ? fmt::format("{}s", spec.limits.timeout_seconds) : kOperators;
}

void PrintCeiling(std::ostream& out, const api::TaskSpec& spec, const control::Config* config) {
  const api::LimitsSpec& limits = spec.limits;
  const int64_t most_tokens = config == nullptr ? 0 : config->limits.max_tokens_per_run;
  const double most_cost = config == nullptr ? 0 : config->limits.max_cost_usd_per_run;
  const int64_t tokens = limits.max_tokens > 0 ? limits.max_tokens : most_tokens;
  const double cost = limits.max_cost_usd > 0 ? limits.max_cost_usd : most_cost;
  out << fmt::format(
      "\nCeiling   {} tokens, {}, {} in all, {} repairs\n", tokens > 0 ? std::to_string(tokens) : kOperators,
      cost > 0 ? fmt::format("${:.2f}", cost) : kOperators, TimeOf(spec, config), limits.max_repairs);
}

}  // namespace

void PrintDryRun(std::ostream& out, const Rehearsal& rehearsal, const control::Config* config) {
  const api::TaskSpec& spec = rehearsal.spec;
  out << fmt::format("task {}: workflow {} on {}\n\n", rehearsal.name, rehearsal.workflow.name,
                     OneLine(spec.repository.url, kLongLine));
  PrintGraph(out, rehearsal, ModelOf(spec, config));
  PrintCeiling(out, spec, config);
  if (config == nullptr) {
    out << fmt::format("Policy    {}\n", kOperators);
  } else {
    const api::RunPolicy policy = control::EffectivePolicy(*config, spec);
    out << fmt::format("Policy    at most {} files and {} bytes; protected: {}; network: {}\n",
                       policy.max_changed_files, policy.max_diff_bytes,
                       fmt::join(policy.protected_paths, " "), policy.network ? "yes" : "no");
  }
  std::vector<std::string> commands;
  for (const auto& command : spec.verification.commands)
    commands.push_back(fmt::format("{}", fmt::join(command, " ")));
  out << fmt::format("Verify    {}\n",
                     commands.empty() ? "detected from the repository"
                                      : OneLine(fmt::format("{}", fmt::join(commands, "; ")), kLongLine));
}

}  // namespace ybis::cli
