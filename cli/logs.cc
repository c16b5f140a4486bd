
#include "cli/backend.h"
#include "cli/signals.h"
#include "cli/terminal_text.h"
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
  LinkedStop stop(signals.token());
  // A terminal would obey what the runner passes on; by whole lines, so that no character is torn apart.
  const bool terminal = IsTerminal(context.out);
  std::string begun;
  const auto write = [&](std::string_view text) {
    begun += text;
    const size_t end = terminal ? begun.rfind('\n') + 1 : begun.size();
    const std::string whole = begun.substr(0, end);
    begun.erase(0, end);
    if (!(context.out << (terminal ? Visible(whole) : whole)).flush()) stop.Request();
  };
  const Status done = found->backend->Logs(found->task, options.follow, write, stop.token());
  context.out << Visible(begun);
  const bool stopped = !done && done.error().code == ErrorCode::kCancelled && stop.token().stop_requested();
  return done || stopped ? kExitOk : Explain(context, done.error());
}

}  // namespace

void AddLogs(Command app, Context& context) {
  Command verb = app.Add("logs", "Print what the runner of a task's newest run said, one JSON object a line");
  auto options = std::make_shared<Options>();
  verb.Option("ID", options->id, "Name, uid or run id").Required();
  verb.Switch("-f,--follow", options->follow, "Go on until the run is over");
  AddBackendOptions(verb, options->backend);
  verb.Footer("Examples:\n  ybis logs hello\n  ybis logs hello -f");
  verb.OnParsed(
      [&context, options] { context.action = [&context, options] { return Logs(context, *options); }; });
}

}  // namespace ybis::cli
