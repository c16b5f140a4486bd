#include <nlohmann/json.hpp>

#include "cli/backend.h"
#include "cli/output.h"
#include "cli/verb.h"

namespace ybis::cli {
namespace {

struct Options {
  BackendOptions backend;
  std::string id;
  std::string output = "table";
  std::string reason = "cancelled by the user";
};

int Tell(Context& context, const Options& options, const TaskView& task, const std::string& message) {
  const nlohmann::json value = {
      {"name", task.name}, {"uid", task.uid}, {"runId", task.run_id()}, {"message", message}};
  if (!PrintAs(context.out, options.output, value, {task.name})) context.out << message << "\n";
  return kExitOk;
}

int Cancel(Context& context, const Options& options) {
  const auto found = OpenTask(options.backend, options.id, {});
  if (!found) return Explain(context, found.error());
  const TaskView& task = found->task;
  if (const Status newest = CheckNewest(task, ErrorCode::kInvalid); !newest)
    return Explain(context, newest.error());
  if (task.current && IsTerminal(task.status.phase)) {
    return Tell(context, options, task,
                fmt::format("run {} of task {} is over already: {}", task.run_id(), task.name,
                            ToString(task.status.phase)));
  }
  const auto outcome = found->backend->Cancel(task, options.reason, {});
  if (!outcome) return Explain(context, outcome.error());
  return Tell(context, options, task, *outcome);
}

}  // namespace

void AddCancel(Command app, Context& context) {
  Command verb = app.Add("cancel", "Stop a task's run, wherever it is");
  auto options = std::make_shared<Options>();
  verb.Option("ID", options->id, "Name, uid or run id").Required();
  verb.Option("--reason", options->reason, "Kept in the journal; in a cluster, in an annotation of the task");
  AddOutput(verb, options->output, kActionOutputs);
  AddBackendOptions(verb, options->backend);
  verb.Footer("Example:\n  ybis cancel hello --reason \"not needed any more\"");
  verb.OnParsed(
      [&context, options] { context.action = [&context, options] { return Cancel(context, *options); }; });
}

}  // namespace ybis::cli
