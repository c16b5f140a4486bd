#include <CLI/CLI.hpp>

#include "cli/local/session.h"
#include "cli/verb.h"
#include "control/run_ledger.h"
#include "control/task_catalog.h"
#include "control/task_queue.h"

namespace ybis::cli {
namespace {

struct Options {
  BackendOptions backend;
  std::string id;
  std::string reason = "cancelled by the user";
};

int Cancel(Context& context, const Options& options) {
  const auto session = Session::Open(
      options.backend, "kubectl patch ybistask NAME --type merge -p '{\"spec\":{\"cancel\":true}}'", {});
  if (!session) return Explain(context, session.error());
  const auto task = control::TaskCatalog((*session)->pool()).Find(kLocalNamespace, options.id, {});
  if (!task) return Explain(context, task.error());
  control::RunLedger ledger((*session)->pool());
  const auto before = ledger.GetRun(task->run_id, {});
  if (!before) return Explain(context, before.error());
  if (control::IsTerminal(before->state)) {
    context.out << fmt::format("run {} of task {} is over already: {}\n", task->run_id, task->name,
                               ToString(before->state));
    return kExitOk;
  }
  control::TaskQueue queue((*session)->pool(), {});
  if (const Status cancelled = queue.Cancel(task->run_id, options.reason); !cancelled) {
    return Explain(context, cancelled.error());
  }
  const auto after = ledger.GetRun(task->run_id, {});
  if (!after) return Explain(context, after.error());
  const bool over = control::IsTerminal(after->state);
  context.out << fmt::format(
      "run {} of task {} {}\n", task->run_id, task->name,
      over ? "is cancelled" : "is being stopped: its runner hears of it at its next heartbeat");
  return kExitOk;
}

}  // namespace

void AddCancel(CLI::App& app, Context& context) {
  CLI::App* verb = app.add_subcommand("cancel", "Stop a task's run, wherever it is");
  auto options = std::make_shared<Options>();
  verb->add_option("ID", options->id, "Name, uid or run id")->required();
  verb->add_option("--reason", options->reason, "Kept in the journal");
  AddBackendOptions(*verb, options->backend);
  verb->footer("Example:\n  ybis cancel hello --reason \"not needed any more\"");
  verb->callback(
      [&context, options] { context.action = [&context, options] { return Cancel(context, *options); }; });
}

}  // namespace ybis::cli
