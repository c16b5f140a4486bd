#include "workflow/loader.h"

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/json.h"
#include "cli/backend.h"
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
  if (options.output == "json") {
    json rows = json::array();
    for (const auto& [spec, problem] : *workflows) {
      rows.push_back({{"name", spec.name}, {"nodes", spec.nodes.size()}, {"description", spec.description}});
      if (!problem.empty()) rows.back()["problem"] = problem;
    }
    context.out << DumpJsonPretty(rows);
    return kExitOk;
  }
  if (options.output == "table")
    context.out << fmt::format("{:<14} {:>5}  {}\n", "NAME", "NODES", "DESCRIPTION");
  for (const auto& [spec, problem] : *workflows) {
    if (options.output == "name") {
      context.out << spec.name << "\n";
      continue;
    }
    context.out << fmt::format("{:<14} {:>5}  {}\n", spec.name, spec.nodes.size(),
                               problem.empty() ? spec.description : "not accepted: " + OneLine(problem, 120));
  }
  return kExitOk;
}

std::string EdgeText(const api::Edge& edge) {
  if (!edge.when) return edge.to;
  constexpr const char* kOperators[] = {"=", "in", "exists"};
  return fmt::format("{} if {} {} {}", edge.to, edge.when->path, kOperators[static_cast<int>(edge.when->op)],
                     DumpJson(*edge.when->value));
}

int Show(Context& context, const Options& options) {
  const auto backend = OpenBackend(options.backend, {});
  if (!backend) return Explain(context, backend.error());
  const auto found = (*backend)->Workflow(options.name, {});
  if (!found) return Explain(context, found.error());
  const api::WorkflowSpec* spec = &found->spec;
  if (options.output == "json") {
    context.out << DumpJsonPretty(api::ToJson(*spec));
    return kExitOk;
  }
  if (!found->problem.empty()) context.err << "not accepted: " << found->problem << "\n";
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

void AddWorkflow(Command app, Context& context) {
  Command verb = app.Add("workflow", "List, show and check workflows");
  verb.NeedsSubcommand();
  auto options = std::make_shared<Options>();
  auto files = std::make_shared<std::vector<std::string>>();

  Command list = verb.Add("list", "List the workflows: the built-in ones, or a cluster's");
  list.Option("-o,--output", options->output, "table, json or name").OneOf({"table", "json", "name"});
  AddBackendOptions(list, options->backend);
  list.Footer("Example:\n  ybis workflow list");
  list.OnParsed(
      [&context, options] { context.action = [&context, options] { return List(context, *options); }; });

  Command show = verb.Add("show", "Show a workflow's graph");
  show.Option("NAME", options->name, "A built-in workflow or a file; of a cluster: a YbisWorkflow")
      .Required();
  show.Option("-o,--output", options->output, "table or json").OneOf({"table", "json"});
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
