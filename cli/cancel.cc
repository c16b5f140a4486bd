
#include "cli/backend.h"
#include "cli/verb.h"

namespace ybis::cli {
namespace {

struct Options {
  BackendOptions backend;
  std::string id;
  std::string reason = "cancelled by the user";
};

int Cancel(Context& context, const Options& options) {
  const auto found = OpenTask(options.backend, options.id, {});
  if (!found) return Explain(context, found.error());
  const TaskView& task = found->task;
  if (task.current && IsTerminal(task.status.phase)) {
    context.out << fmt::format("run {} of task {} is over already: {}\n", task.run_id(), task.name,
                               ToString(task.status.phase));
    return kExitOk;
  }
  const auto outcome = found->backend->Cancel(task, options.reason, {});
  if (!outcome) return Explain(context, outcome.error());
  context.out << *outcome << "\n";
  return kExitOk;
}

}  // namespace

void AddCancel(Command app, Context& context) {
  Command verb = app.Add("cancel", "Stop a task's run, wherever it is");
  auto options = std::make_shared<Options>();
  verb.Option("ID", options->id, "Name, uid or run id").Required();
  verb.Option("--reason", options->reason, "Kept in the journal");
  AddBackendOptions(verb, options->backend);
  verb.Footer("Example:\n  ybis cancel hello --reason \"not needed any more\"");
  verb.OnParsed(
      [&context, options] { context.action = [&context, options] { return Cancel(context, *options); }; });
}

}  // namespace ybis::cli
