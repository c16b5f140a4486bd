#include <CLI/CLI.hpp>

#include "base/digest.h"
#include "cli/local/session.h"
#include "cli/local/task_input.h"
#include "cli/verb.h"
#include "control/run_ledger.h"
#include "control/task_catalog.h"
#include "control/task_queue.h"

namespace ybis::cli {
namespace {

struct Options {
  BackendOptions backend;
  std::string id;
};

Result<control::RunRecord> Retry(Session& session, const control::Config& config, const std::string& id) {
  control::TaskCatalog catalog(session.pool());
  control::RunLedger ledger(session.pool());
  control::TaskQueue queue(session.pool(), config.limits.admission);
  YBIS_ASSIGN(const auto task, catalog.Find(kLocalNamespace, id, {}));
  YBIS_ASSIGN(const auto run, ledger.GetRun(task.run_id, {}));
  if (run.state == control::RunState::kBlocked) {
    YBIS_TRY(queue.Cancel(run.run_id, "superseded by a retry"));
  } else if (!control::IsTerminal(run.state)) {
    return Fail(ErrorCode::kConflict,
                fmt::format("run {} of task {} is not over ({}); `ybis cancel {}` ends it", run.run_id,
                            task.name, ToString(run.state), task.name));
  }
  TaskInput input{task.name, {}, {}};
  YBIS_ASSIGN(input.spec, ledger.RunSpec(run.run_id, {}));
  YBIS_ASSIGN(input.workflow, catalog.RunWorkflow(run.run_id, {}));
  input.spec.rerun_token = RandomHex(8);
  return queue.Enqueue(SubmissionOf(config, input, task.uid));
}

int RetryTask(Context& context, const Options& options) {
  const auto session = Session::Open(
      options.backend,
      "kubectl patch ybistask NAME --type merge -p '{\"spec\":{\"rerun\":{\"token\":\"again\"}}}'", {});
  if (!session) return Explain(context, session.error());
  const auto config = LoadConfigOf(options.backend, (*session)->environment(), (*session)->folders());
  if (!config) return Explain(context, config.error());
  const auto run = Retry(**session, *config, options.id);
  if (!run) return Explain(context, run.error());
  context.out << fmt::format("task {} is queued again as run {}; `ybis run {}` runs it here\n",
                             run->task_name, run->run_id, run->task_name);
  return kExitOk;
}

}  // namespace

void AddRetry(CLI::App& app, Context& context) {
  CLI::App* verb = app.add_subcommand("retry", "Queue a new run of a task whose run is over or blocked");
  auto options = std::make_shared<Options>();
  verb->add_option("ID", options->id, "Name, uid or run id")->required();
  AddBackendOptions(*verb, options->backend, true);
  verb->footer("Example:\n  ybis retry hello");
  verb->callback(
      [&context, options] { context.action = [&context, options] { return RetryTask(context, *options); }; });
}

}  // namespace ybis::cli
