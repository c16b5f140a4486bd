#include <CLI/CLI.hpp>
#include <fstream>

#include "cli/local/session.h"
#include "cli/signals.h"
#include "cli/verb.h"
#include "control/run_ledger.h"
#include "control/task_catalog.h"

namespace ybis::cli {
namespace {

struct Options {
  BackendOptions backend;
  std::string id;
  bool follow = false;
};

/// Copies what a file has from `at` on.
void CopyFrom(std::ostream& out, const std::filesystem::path& file, std::streamoff& at) {
  std::ifstream in(file, std::ios::binary);
  in.seekg(at);
  char buffer[65'536];
  while (in.read(buffer, sizeof(buffer)) || in.gcount() > 0) {
    out.write(buffer, in.gcount());
    at += in.gcount();
  }
  out.flush();
}

/// The runner's own words when it ran on this machine, else what it put into the record.
int Logs(Context& context, const Options& options) {
  StopOnSignals signals;
  const auto session =
      Session::Open(options.backend, "kubectl logs -f job/JOB   (status.run.jobName)", signals.token());
  if (!session) return Explain(context, session.error());
  const auto task = control::TaskCatalog((*session)->pool()).Find(kLocalNamespace, options.id, {});
  if (!task) return Explain(context, task.error());
  control::RunLedger ledger((*session)->pool());
  const auto file = (*session)->folders().Run(task->run_id) / "runner.log";
  if (!std::filesystem::exists(file) && !options.follow) {
    const auto lines = ledger.GetArtifact(task->run_id, "logs.jsonl", {});
    if (!lines) return Explain(context, lines.error());
    context.out << *lines;
    return kExitOk;
  }
  for (std::streamoff at = 0;;) {
    const auto run = ledger.GetRun(task->run_id, {});
    if (!run) return Explain(context, run.error());
    CopyFrom(context.out, file, at);
    const bool over = control::IsTerminal(run->state) || run->state == control::RunState::kBlocked;
    if (!options.follow || over) return kExitOk;
    if (!SystemClock().SleepFor(std::chrono::milliseconds(300), signals.token())) return kExitOk;
  }
}

}  // namespace

void AddLogs(CLI::App& app, Context& context) {
  CLI::App* verb =
      app.add_subcommand("logs", "Print what the runner of a task's newest run said, one JSON object a line");
  auto options = std::make_shared<Options>();
  verb->add_option("ID", options->id, "Name, uid or run id")->required();
  verb->add_flag("-f,--follow", options->follow, "Go on until the run is over");
  AddBackendOptions(*verb, options->backend);
  verb->footer("Examples:\n  ybis logs hello\n  ybis logs hello -f");
  verb->callback(
      [&context, options] { context.action = [&context, options] { return Logs(context, *options); }; });
}

}  // namespace ybis::cli
