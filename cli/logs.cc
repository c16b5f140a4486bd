#include <CLI/CLI.hpp>

#include "cli/backend.h"
#include "cli/signals.h"
#include "cli/verb.h"

namespace ybis::cli {
namespace {

struct Options {
  BackendOptions backend;
  std::string id;
  bool follow = false;
};

int Logs(Context& context, const Options& options) {
  StopOnSignals signals;
  const auto found = OpenTask(options.backend, options.id, signals.token());
  if (!found) return Explain(context, found.error());
  const Status done = found->backend->Logs(
      found->task, options.follow, [&context](std::string_view text) { (context.out << text).flush(); },
      signals.token());
  const bool stopped =
      !done && done.error().code == ErrorCode::kCancelled && signals.token().stop_requested();
  return done || stopped ? kExitOk : Explain(context, done.error());
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
