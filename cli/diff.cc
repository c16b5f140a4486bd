
#include "cli/backend.h"
#include "cli/verb.h"
#include "cli/views.h"
#include "cli/wait_view.h"

namespace ybis::cli {
namespace {

struct Options {
  BackendOptions backend;
  std::string id;
};

int Diff(Context& context, const Options& options) {
  const auto found = OpenTask(options.backend, options.id, {});
  if (!found) return Explain(context, found.error());
  const auto patch = found->backend->Artifact(found->task, "patch.diff", {});
  if (!patch && patch.error().code == ErrorCode::kNotFound) {
    context.err << fmt::format("run {} of task {} has changed nothing yet\n", found->task.run_id(),
                               found->task.name);
    return kExitNotFound;
  }
  if (!patch) return Explain(context, patch.error());
  context.out << PaintedPatch(*patch, PaintFor(context.out));
  if (const Status shown = CheckShown(found->task, *patch); !shown)
    context.err << shown.error().message << "\n";
  return kExitOk;
}

}  // namespace

void AddDiff(Command app, Context& context) {
  Command verb = app.Add("diff", "Print the change that a task's newest run made");
  auto options = std::make_shared<Options>();
  verb.Option("ID", options->id, "Name, uid or run id").Required();
  AddBackendOptions(verb, options->backend);
  verb.Footer("Examples:\n  ybis diff hello\n  ybis diff hello | git apply --check");
  verb.OnParsed(
      [&context, options] { context.action = [&context, options] { return Diff(context, *options); }; });
}

}  // namespace ybis::cli
