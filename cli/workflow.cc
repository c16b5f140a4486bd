#include "workflow/loader.h"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/json.h"
#include "cli/verb.h"
#include "workflow/graph.h"

namespace ybis::cli {
namespace {

using nlohmann::json;

int List(Context& context, const std::string& output) {
  json rows = json::array();
  for (const std::string& name : workflow::BuiltInWorkflowNames()) {
    const auto spec = workflow::BuiltInWorkflow(name);
    if (!spec) return Explain(context, spec.error());
    rows.push_back({{"name", name}, {"nodes", spec->nodes.size()}, {"description", spec->description}});
  }
  if (output == "json") {
    context.out << DumpJsonPretty(rows);
    return kExitOk;
  }
  if (output == "table") context.out << fmt::format("{:<14} {:>5}  {}\n", "NAME", "NODES", "DESCRIPTION");
  for (const json& row : rows) {
    const auto name = row["name"].get<std::string>();
    context.out << (output == "name" ? name + "\n"
                                     : fmt::format("{:<14} {:>5}  {}\n", name, row["nodes"].get<int>(),
                                                   row["description"].get<std::string>()));
  }
  return kExitOk;
}

/// A file when there is one of that name, else a built-in workflow.
Result<api::WorkflowSpec> Find(const std::string& name) {
  if (!std::filesystem::exists(name)) return workflow::BuiltInWorkflow(name);
  YBIS_ASSIGN(const std::string text, ReadFile(name, 1024 * 1024));
  return workflow::LoadWorkflow(text, name);
}

std::string EdgeText(const api::Edge& edge) {
  if (!edge.when) return edge.to;
  constexpr const char* kOperators[] = {"=", "in", "exists"};
  return fmt::format("{} if {} {} {}", edge.to, edge.when->path, kOperators[static_cast<int>(edge.when->op)],
                     DumpJson(*edge.when->value));
}

int Show(Context& context, const std::string& name, const std::string& output) {
  const auto spec = Find(name);
  if (!spec) return Explain(context, spec.error());
  if (output == "json") {
    context.out << DumpJsonPretty(api::ToJson(*spec));
    return kExitOk;
  }
  context.out << spec->name << ": " << spec->description << "\n\n"
              << fmt::format("{:<16} {:<16} {:>6}  {}\n", "NODE", "TYPE", "VISITS", "NEXT");
  for (const api::NodeSpec& node : spec->nodes) {
    std::vector<std::string> next;
    for (const api::Edge& edge : node.next) next.push_back(EdgeText(edge));
    if (workflow::IsExit(*spec, node.name)) next.push_back("(exit)");
    const std::string visits = node.max_visits > 0 ? std::to_string(node.max_visits) : "-";
    const std::string mark = node.name == spec->entry_point ? "*" : "";
    context.out << fmt::format("{:<16} {:<16} {:>6}  {}\n", node.name + mark, node.type, visits,
                               fmt::join(next, ", "));
  }
  return kExitOk;
}

int Lint(Context& context, const std::vector<std::string>& files) {
  int code = kExitOk;
  for (const std::string& file : files) {
    const auto text = ReadFile(file, 1024 * 1024);
    if (!text) {
      code = Explain(context, text.error());
      continue;
    }
    const auto spec = workflow::LoadWorkflow(*text, file);
    if (spec) {
      context.out << fmt::format("{}: {} is valid, {} nodes\n", file, spec->name, spec->nodes.size());
    } else {
      code = Explain(context, spec.error());
    }
  }
  return code;
}

}  // namespace

void AddWorkflow(CLI::App& app, Context& context) {
  CLI::App* verb = app.add_subcommand("workflow", "List, show and check workflows");
  verb->require_subcommand(1);
  auto output = std::make_shared<std::string>("table");
  auto name = std::make_shared<std::string>();
  auto files = std::make_shared<std::vector<std::string>>();

  CLI::App* list = verb->add_subcommand("list", "List the built-in workflows");
  list->add_option("-o,--output", *output, "table, json or name")
      ->check(CLI::IsMember({"table", "json", "name"}));
  list->callback(
      [&context, output] { context.action = [&context, output] { return List(context, *output); }; });

  CLI::App* show = verb->add_subcommand("show", "Show a workflow's graph");
  show->add_option("NAME", *name, "A built-in workflow or a file")->required();
  show->add_option("-o,--output", *output, "table or json")->check(CLI::IsMember({"table", "json"}));
  show->callback([&context, name, output] {
    context.action = [&context, name, output] { return Show(context, *name, *output); };
  });
  show->footer("Examples:\n  ybis workflow show ybis-native\n  ybis workflow show my-workflow.yaml -o json");

  CLI::App* lint = verb->add_subcommand("lint", "Check workflow files; every problem is named with its line");
  lint->add_option("FILE", *files, "Workflow files or YbisWorkflow manifests")->required();
  lint->callback([&context, files] { context.action = [&context, files] { return Lint(context, *files); }; });
  lint->footer("Example:\n  ybis workflow lint workflows/*.yaml");
}

}  // namespace ybis::cli
