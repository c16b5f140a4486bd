#include <CLI/CLI.hpp>

#include "cli/local/session.h"
#include "cli/table.h"
#include "cli/verb.h"
#include "control/run_ledger.h"
#include "control/task_catalog.h"

namespace ybis::cli {
namespace {

struct Options {
  BackendOptions backend;
  std::string id;
};

std::string Painted(const std::string& patch, const Paint& paint) {
  if (!paint.on) return patch;
  std::string out;
  for (size_t at = 0; at < patch.size();) {
    const size_t end = std::min(patch.find('\n', at), patch.size());
    const std::string_view line(patch.data() + at, end - at);
    if (line.starts_with("+++") || line.starts_with("---") || line.starts_with("diff ")) {
      out += paint.Dim(line);
    } else if (line.starts_with('+')) {
      out += paint.Green(line);
    } else {
      out += line.starts_with('-') ? paint.Red(line) : std::string(line);
    }
    out += '\n';
    at = end + 1;
  }
  return out;
}

int Diff(Context& context, const Options& options) {
  const auto session = Session::Open(
      options.backend, "git fetch origin && git show origin/BRANCH   (status.result.branch)", {});
  if (!session) return Explain(context, session.error());
  const auto task = control::TaskCatalog((*session)->pool()).Find(kLocalNamespace, options.id, {});
  if (!task) return Explain(context, task.error());
  const auto patch = control::RunLedger((*session)->pool()).GetArtifact(task->run_id, "patch.diff", {});
  if (!patch && patch.error().code == ErrorCode::kNotFound) {
    context.err << fmt::format("run {} of task {} has changed nothing yet\n", task->run_id, task->name);
    return kExitNotFound;
  }
  if (!patch) return Explain(context, patch.error());
  context.out << Painted(*patch, PaintFor(context.out));
  return kExitOk;
}

}  // namespace

void AddDiff(CLI::App& app, Context& context) {
  CLI::App* verb = app.add_subcommand("diff", "Print the change that a task's newest run made");
  auto options = std::make_shared<Options>();
  verb->add_option("ID", options->id, "Name, uid or run id")->required();
  AddBackendOptions(*verb, options->backend);
  verb->footer("Examples:\n  ybis diff hello\n  ybis diff hello | git apply --check");
  verb->callback(
      [&context, options] { context.action = [&context, options] { return Diff(context, *options); }; });
}

}  // namespace ybis::cli
