#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "base/json.h"
#include "cli/local/session.h"
#include "cli/signals.h"
#include "cli/table.h"
#include "cli/verb.h"
#include "control/journal.h"
#include "control/run_ledger.h"
#include "control/task_catalog.h"

namespace ybis::cli {
namespace {

struct Options {
  BackendOptions backend;
  std::string id;
  bool follow = false;
  std::string output = "table";
};

void Print(Context& context, const control::JournalEntry& entry, const std::string& output) {
  if (output == "json") {
    nlohmann::json line = {{"id", entry.id},
                           {"runId", entry.run_id},
                           {"time", FormatRfc3339Micro(entry.time)},
                           {"type", entry.type},
                           {"message", entry.message}};
    if (entry.fields) line["fields"] = *entry.fields;
    context.out << DumpJson(line) << std::endl;
    return;
  }
  context.out << fmt::format("{}  {:<22}  {}", FormatRfc3339(entry.time), entry.type,
                             OneLine(entry.message, 200))
              << std::endl;
}

int Events(Context& context, const Options& options) {
  StopOnSignals signals;
  const auto session =
      Session::Open(options.backend, "kubectl events --for ybistask/NAME --watch", signals.token());
  if (!session) return Explain(context, session.error());
  const auto task = control::TaskCatalog((*session)->pool()).Find(kLocalNamespace, options.id, {});
  if (!task) return Explain(context, task.error());
  control::Journal journal((*session)->pool());
  control::RunLedger ledger((*session)->pool());
  for (int64_t after = 0;;) {
    // Asked before the journal is read, so that its last entries are not missed.
    const auto run = ledger.GetRun(task->run_id, {});
    if (!run) return Explain(context, run.error());
    const auto entries = journal.Read(task->run_id, after, 1000, {});
    if (!entries) return Explain(context, entries.error());
    for (const auto& entry : *entries) {
      Print(context, entry, options.output);
      after = entry.id;
    }
    if (entries->size() == 1000) continue;
    const bool over = control::IsTerminal(run->state) || run->state == control::RunState::kBlocked;
    if (!options.follow || over) return kExitOk;
    if (!SystemClock().SleepFor(std::chrono::milliseconds(300), signals.token())) return kExitOk;
  }
}

}  // namespace

void AddEvents(CLI::App& app, Context& context) {
  CLI::App* verb = app.add_subcommand("events", "Print the journal of a task's newest run");
  auto options = std::make_shared<Options>();
  verb->add_option("ID", options->id, "Name, uid or run id")->required();
  verb->add_flag("-f,--follow", options->follow, "Go on until the run is over");
  verb->add_option("-o,--output", options->output, "table, or json: one object a line")
      ->check(CLI::IsMember({"table", "json"}));
  AddBackendOptions(*verb, options->backend);
  verb->footer("Examples:\n  ybis events hello\n  ybis events hello -f -o json");
  verb->callback(
      [&context, options] { context.action = [&context, options] { return Events(context, *options); }; });
}

}  // namespace ybis::cli
