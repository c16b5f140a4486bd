#include <nlohmann/json.hpp>

#include "api/run_api.h"
#include "cli/backend.h"
#include "cli/output.h"
#include "cli/table.h"
#include "cli/terminal_text.h"
#include "cli/verb.h"

namespace ybis::cli {
namespace {

struct Options {
  BackendOptions backend;
  std::string id;
  std::string action;
  std::string name;
  std::string output = "table";
};

int ListArtifacts(Context& context, const FoundTask& found, const std::string& output) {
  const auto artifacts = found.backend->Artifacts(found.task, {});
  if (!artifacts) return Explain(context, artifacts.error());
  nlohmann::json rows = nlohmann::json::array();
  std::vector<std::string> names;
  Table table({"NAME", "SIZE", "DIGEST"});
  const size_t shown = output == "wide" ? std::string::npos : 19;
  for (const auto& artifact : *artifacts) {
    rows.push_back(api::ToJson(artifact));
    names.push_back(artifact.name);
    table.Add({artifact.name, std::to_string(artifact.size), artifact.digest.substr(0, shown)});
  }
  if (!PrintAs(context.out, output, rows, names)) table.Print(context.out);
  return kExitOk;
}

int Artifacts(Context& context, const Options& options) {
  if (!options.action.empty() && (options.action != "get" || options.name.empty())) {
    return Explain(context,
                   Fail(ErrorCode::kInvalid, "artifacts: after ID comes nothing, or `get NAME`").value());
  }
  const auto found = OpenTask(options.backend, options.id, {});
  if (!found) return Explain(context, found.error());
  if (options.action.empty()) return ListArtifacts(context, *found, options.output);
  const auto bytes = found->backend->Artifact(found->task, options.name, {});
  if (!bytes) return Explain(context, bytes.error());
  // A program that reads it gets it as it is.
  context.out << (IsTerminal(context.out) ? Visible(*bytes) : *bytes);
  return kExitOk;
}

}  // namespace

void AddArtifacts(Command app, Context& context) {
  Command verb = app.Add("artifacts", "List what a run left, or print one of it");
  auto options = std::make_shared<Options>();
  verb.Option("ID", options->id, "Name, uid or run id").Required();
  verb.Option("ACTION", options->action, "get");
  verb.Option("NAME", options->name, "Of an artifact, e.g. plan.json");
  AddOutput(verb, options->output);
  AddBackendOptions(verb, options->backend);
  verb.Footer("Examples:\n  ybis artifacts hello\n  ybis artifacts hello get verifier.json");
  verb.OnParsed(
      [&context, options] { context.action = [&context, options] { return Artifacts(context, *options); }; });
}

}  // namespace ybis::cli
