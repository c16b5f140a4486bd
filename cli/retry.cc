#include <nlohmann/json.hpp>

#include "cli/backend.h"
#include "cli/output.h"
#include "cli/verb.h"

namespace ybis::cli {
namespace {

struct Options {
  BackendOptions backend;
  std::string id;
  std::string from;
  std::string output = "table";
};

int RetryTask(Context& context, const Options& options) {
  const auto found = OpenTask(options.backend, options.id, {});
  if (!found) return Explain(context, found.error());
  const TaskView& task = found->task;
  if (const Status newest = CheckNewest(task, ErrorCode::kInvalid); !newest)
    return Explain(context, newest.error());
  if (!IsOver(task)) {
    return Explain(
        context, Fail(ErrorCode::kConflict, fmt::format("run {} of task {} is not over ({}); `{}` ends it",
                                                        task.run_id(), task.name, ToString(task.status.phase),
                                                        found->backend->Command()("cancel " + task.name)))
                     .value());
  }
  const auto outcome = found->backend->Retry(task, options.from, {});
  if (!outcome) return Explain(context, outcome.error());
  nlohmann::json value = {{"name", task.name}, {"uid", task.uid}, {"message", *outcome}};
  if (options.output == "json" || options.output == "yaml") {
    // In a cluster the new run has no id before its operator has looked.
    const auto now = found->backend->Find(task.name, {});
    if (!now) return Explain(context, now.error());
    value["runId"] = now->current ? now->run_id() : std::string();
  }
  if (!PrintAs(context.out, options.output, value, {task.name})) context.out << *outcome << "\n";
  return kExitOk;
}

}  // namespace

void AddRetry(Command app, Context& context) {
  Command verb = app.Add("retry", "Queue a new run of a task whose run is over or blocked");
  auto options = std::make_shared<Options>();
  verb.Option("ID", options->id, "Name, uid or run id").Required();
  verb.Option("--from", options->from,
              "Begin at this node, with all that the run had before it; default: at the beginning");
  AddOutput(verb, options->output, kActionOutputs);
  AddBackendOptions(verb, options->backend, true);
  verb.Footer(
      "Exit codes: 2 the run never came to that node or its workflow has changed, 3 no such task or node.\n\n"
      "Examples:\n  ybis retry hello\n  ybis retry hello --from verify");
  verb.OnParsed(
      [&context, options] { context.action = [&context, options] { return RetryTask(context, *options); }; });
}

}  // namespace ybis::cli
