#include "cli/follow.h"

#include <algorithm>

#include "cli/views.h"
#include "workflow/loader.h"

namespace ybis::cli {
namespace {

constexpr auto kPause = std::chrono::milliseconds(400);

/// As wide as the names of the workflow's nodes, where it is known.
size_t NameWidth(Backend& backend, const TaskView& task, std::stop_token stop) {
  auto workflow = backend.Workflow(task.workflow, stop);
  if (!workflow) {
    auto built_in = workflow::BuiltInWorkflow(task.workflow);
    if (!built_in) return 12;
    workflow = WorkflowView{std::move(*built_in), {}};
  }
  size_t width = 0;
  for (const api::NodeSpec& node : workflow->spec.nodes) width = std::max(width, node.name.size());
  return width;
}

class Follower {
 public:
  Follower(Context& context, Backend& backend, size_t width)
      : context_(context), backend_(backend), width_(width), paint_(PaintFor(context.out)) {}

  /// What is new since the last call.
  Status Print(const TaskView& task, std::stop_token stop) {
    const bool started = !task.run_id().empty() && task.current;
    if (readable_ && started) YBIS_TRY(PrintNodes(task, std::move(stop)));
    const std::string phase(ToString(task.status.phase));
    if (phase == phase_ || !task.current) return {};
    phase_ = phase;
    if (!readable_ || !started) context_.out << phase << std::endl;
    return {};
  }

 private:
  Status PrintNodes(const TaskView& task, std::stop_token stop) {
    const auto nodes = backend_.Nodes(task, seen_, std::move(stop));
    if (!nodes) {
      const ErrorCode code = nodes.error().code;
      readable_ = false;
      // One may follow a task without the right to read its record.
      if (code == ErrorCode::kUnsupported || code == ErrorCode::kDenied || code == ErrorCode::kUnavailable)
        return {};
      return Fail(nodes.error());
    }
    for (const control::NodeSummary& node : *nodes) {
      seen_ = node.seq;
      context_.out << NodeLine(node, width_, paint_) << std::endl;
    }
    return {};
  }

  Context& context_;
  Backend& backend_;
  size_t width_;
  Paint paint_;
  int64_t seen_ = 0;
  bool readable_ = true;
  std::string phase_;
};

}  // namespace

int FollowTask(Context& context, Backend& backend, TaskView task, std::stop_token stop) {
  const size_t width = NameWidth(backend, task, stop);
  context.out << fmt::format("task {} ({}): workflow {} on {}", task.name, task.uid.substr(0, 8),
                             task.workflow, OneLine(task.spec.repository.url, kLongLine))
              << std::endl;
  Follower follower(context, backend, width);
  for (bool over = IsOver(task);;) {
    if (const Status printed = follower.Print(task, stop); !printed) return Explain(context, printed.error());
    if (over) break;
    if (!context.out) return kExitFailed;
    if (!SystemClock().SleepFor(kPause, stop)) {
      context.err << fmt::format("stopped looking; the run goes on, `{}` looks again\n",
                                 backend.Command()("run " + task.name));
      return kExitStopped;
    }
    const auto now = backend.Find(task.name, stop);
    if (!now) return Explain(context, now.error());
    task = *now;
    over = IsOver(task);
  }
  context.out << "\n";
  PrintResult(context.out, task.name, task.spec, task.status, backend.Command(), PaintFor(context.out));
  return ExitCodeOf(task.status.phase);
}

}  // namespace ybis::cli
