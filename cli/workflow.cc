#include "workflow/loader.h"

#include <fmt/ranges.h>

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/json.h"
#include "cli/backend.h"
#include "cli/output.h"
#include "cli/table.h"
#include "cli/verb.h"
#include "workflow/graph.h"

namespace ybis::cli {
namespace {

using nlohmann::json;

struct Options {
  BackendOptions backend;
  std::string name;
  std::string output = "table";
};

int List(Context& context, const Options& options) {
  const auto backend = OpenBackend(options.backend, {});
  if (!backend) return Explain(context, backend.error());
  const auto workflows = (*backend)->Workflows({});
  if (!workflows) return Explain(context, workflows.error());
  const bool wide = options.output == "wide";
  json rows = json::array();
  std::vector<std::string> names;
  std::vector<std::string> heading = {"NAME", "NODES", "DESCRIPTION"};
  if (wide) heading.insert(heading.begin() + 2, {"ENTRY", "EXITS"});
  Table table(std::move(heading));
  for (const auto& [spec, problem] : *workflows) {
    rows.push_back({{"name", spec.name}, {"nodes", spec.nodes.size()}, {"description", spec.description}});
    if (!problem.empty()) rows.back()["problem"] = problem;
    names.push_back(spec.name);
    std::vector<std::string> row = {
        spec.name, std::to_string(spec.nodes.size()),
        OneLine(problem.empty() ? spec.description : "not accepted: " + problem, wide ? 1024 : 120)};
    if (wide)
      row.insert(row.begin() + 2, {spec.entry_point, fmt::format("{}", fmt::join(spec.exit_points, ", "))});
    table.Add(std::move(row));
  }
  if (!PrintAs(context.out, options.output, rows, names)) table.Print(context.out);
  return kExitOk;
}

std::string EdgeText(const api::Edge& edge) {
  if (!edge.when) return edge.to;
  constexpr const char* kOperators[] = {"=", "in", "exists"};
  return fmt::format("{} if {} {} {}", edge.to, edge.when->path, kOperators[static_cast<int>(edge.when->op)],
                     DumpJson(*edge.when->value));
}

void PrintNodes(std::ostream& out, const api::WorkflowSpec& spec, bool wide) {
  std::vector<std::string> heading = {"NODE", "TYPE", "VISITS", "NEXT"};
  if (wide) heading.insert(heading.begin() + 3, {"TIMEOUT", "CONFIG"});
  Table table(std::move(heading));
  for (const api::NodeSpec& node : spec.nodes) {
    std::vector<std::string> next;
    for (const api::Edge& edge : node.next) next.push_back(EdgeText(edge));
    if (workflow::IsExit(spec, node.name)) next.emplace_back("(exit)");
    std::vector<std::string> row = {node.name + (node.name == spec.entry_point ? "*" : ""), node.type,
                                    node.max_visits > 0 ? std::to_string(node.max_visits) : "-",
                                    fmt::format("{}", fmt::join(next, ", "))};
    if (wide) {
      row.insert(row.begin() + 3, {node.timeout_seconds > 0 ? fmt::format("{}s", node.timeout_seconds) : "-",
                                   OneLine(DumpJson(*node.config), 80)});
    }
    table.Add(std::move(row));
  }
  table.Print(out);
}

int Show(Context& context, const Options& options) {
  const auto backend = OpenBackend(options.backend, {});
  if (!backend) return Explain(context, backend.error());
  const auto found = (*backend)->Workflow(options.name, {});
  if (!found) return Explain(context, found.error());
  const api::WorkflowSpec* spec = &found->spec;
  if (PrintAs(context.out, options.output, api::ToJson(*spec), {spec->name})) return kExitOk;
  if (!found->problem.empty()) context.err << "not accepted: " << found->problem << "\n";
  context.out << spec->name << ": " << OneLine(spec->description, 1024) << "\n\n";
  PrintNodes(context.out, *spec, options.output == "wide");
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

void AddWorkflow(Command app, Context& context) {
  Command verb = app.Add("workflow", "List, show and check workflows");
  verb.NeedsSubcommand();
  auto options = std::make_shared<Options>();
  auto files = std::make_shared<std::vector<std::string>>();

  Command list = verb.Add("list", "List the workflows: the built-in ones, or a cluster's");
  AddOutput(list, options->output);
  AddBackendOptions(list, options->backend);
  list.Footer("Example:\n  ybis workflow list");
  list.OnParsed(
      [&context, options] { context.action = [&context, options] { return List(context, *options); }; });

  Command show = verb.Add("show", "Show a workflow's graph");
  show.Option("NAME", options->name, "A built-in workflow or a file; of a cluster: a YbisWorkflow")
      .Required();
  AddOutput(show, options->output);
  AddBackendOptions(show, options->backend);
  show.OnParsed(
      [&context, options] { context.action = [&context, options] { return Show(context, *options); }; });
  show.Footer("Examples:\n  ybis workflow show ybis-native\n  ybis workflow show my-workflow.yaml -o json");

  Command lint = verb.Add("lint", "Check workflow files; every problem is named with its line");
  lint.Option("FILE", *files, "Workflow files or YbisWorkflow manifests").Required();
  lint.OnParsed([&context, files] { context.action = [&context, files] { return Lint(context, *files); }; });
  lint.Footer("Example:\n  ybis workflow lint workflows/*.yaml");
}

}  // namespace ybis::cli
