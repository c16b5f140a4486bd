// ybis watch: a live view of the tasks, or of one run's nodes.
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/json.h"
#include "cli/backend.h"
#include "cli/screen.h"
#include "cli/signals.h"
#include "cli/verb.h"
#include "cli/views.h"

namespace ybis::cli {
namespace {

using control::TaskSummary;
using nlohmann::json;

struct Options {
  BackendOptions backend;
  std::string id;
  int64_t limit = 50;
  double interval = 0.5;
  std::string output = "table";
};

std::string Standing(const TaskSummary& task) {
  return task.state + (task.reason.empty() ? "" : "(" + task.reason + ")");
}

json TaskJson(const TaskSummary& task) {
  return {{"task", task.name}, {"uid", task.uid},         {"runId", task.run_id}, {"status", task.state},
          {"node", task.node}, {"attempt", task.attempt}, {"reason", task.reason}};
}

std::chrono::milliseconds IntervalOf(const Options& options) {
  return std::chrono::milliseconds(static_cast<int64_t>(options.interval * 1000));
}

/// All tasks, until a signal.
class TasksView {
 public:
  TasksView(Context& context, const Options& options, Backend& backend)
      : context_(context), options_(options), backend_(backend), screen_(context.out, FrameEnd::kFirst) {}

  int Show(std::stop_token stop) {
    const bool redraw = options_.output == "table" && Screen::Fits(context_.out);
    for (;;) {
      const auto tasks = backend_.List({.limit = options_.limit}, stop);
      if (!tasks) return stop.stop_requested() ? kExitOk : Explain(context_, tasks.error());
      if (redraw) {
        screen_.Draw(Frame(*tasks));
      } else {
        for (auto task = tasks->rbegin(); task != tasks->rend(); ++task) PrintChange(*task);
      }
      if (!context_.out) return kExitFailed;
      if (!SystemClock().SleepFor(IntervalOf(options_), stop)) return kExitOk;
    }
  }

 private:
  static std::string Frame(const std::vector<TaskSummary>& tasks) {
    const TimePoint now = SystemClock().Now();
    Table table({"NAME", "STATUS", "NODE", "ATTEMPT", "AGE", "TITLE"});
    for (const TaskSummary& task : tasks) {
      table.Add({task.name, Standing(task), task.node.empty() ? "-" : task.node, std::to_string(task.attempt),
                 AgeText(task.created, now), OneLine(task.title.empty() ? task.objective : task.title, 60)});
    }
    std::ostringstream out;
    table.Print(out);
    if (tasks.empty()) out << "no tasks yet\n";
    return out.str();
  }

  void PrintChange(const TaskSummary& task) {
    const std::string what = DumpJson(TaskJson(task));
    std::string& known = known_[task.uid];
    if (known == what) return;
    known = what;
    if (options_.output == "json") {
      context_.out << what << std::endl;
      return;
    }
    context_.out << fmt::format("{}  {:<24}  {:<10}  {}", FormatRfc3339(SystemClock().Now()), task.name,
                                Standing(task), task.node.empty() ? "-" : task.node)
                 << std::endl;
  }

  Context& context_;
  const Options& options_;
  Backend& backend_;
  Screen screen_;
  std::map<std::string, std::string> known_;
};

/// One run, until it is over or waits for a person.
class RunView {
 public:
  RunView(Context& context, const Options& options, Backend& backend, TaskView task)
      : context_(context),
        options_(options),
        backend_(backend),
        task_(std::move(task)),
        screen_(context.out, FrameEnd::kLast),
        paint_(PaintFor(context.out)) {}

  int Show(std::stop_token stop) {
    redraw_ = options_.output == "table" && Screen::Fits(context_.out);
    if (options_.output == "table") {
      context_.out << fmt::format("task {}, run {}: workflow {}", task_.name,
                                  task_.run_id().empty() ? "-" : task_.run_id(), task_.workflow)
                   << std::endl;
    }
    for (bool over = IsOver(task_);;) {
      const auto nodes = backend_.Nodes(task_, seen_, stop);
      if (stop.stop_requested()) return kExitStopped;
      if (!nodes && nodes.error().code != ErrorCode::kUnsupported) return Explain(context_, nodes.error());
      Tell(nodes.value_or(std::vector<control::NodeSummary>()));
      if (over) return End();
      if (!context_.out) return kExitFailed;
      if (!SystemClock().SleepFor(IntervalOf(options_), stop)) return kExitStopped;
      // Asked before the nodes are read, so that the last ones are not missed.
      const auto ended = HasEnded(backend_, task_, stop);
      if (stop.stop_requested()) return kExitStopped;
      if (!ended) return Explain(context_, ended.error());
      over = *ended;
    }
  }

 private:
  void Tell(const std::vector<control::NodeSummary>& nodes) {
    for (const control::NodeSummary& node : nodes) {
      seen_ = node.seq;
      if (options_.output == "json") {
        context_.out << DumpJson(NodeJson(node)) << std::endl;
      } else if (redraw_) {
        done_ += NodeLine(node, kNameWidth, paint_) + "\n";
      } else {
        context_.out << NodeLine(node, kNameWidth, paint_) << std::endl;
      }
    }
    if (redraw_) return screen_.Draw(done_ + Now());
    const std::string standing = DumpJson(RunJson());
    if (standing == standing_) return;
    standing_ = standing;
    if (options_.output == "json") {
      context_.out << standing << std::endl;
    } else {
      context_.out << Now() << std::flush;
    }
  }

  /// What it does at this moment; nothing when it is over.
  std::string Now() const {
    const api::TaskPhase phase = task_.status.phase;
    if (IsTerminal(phase)) return {};
    if (phase != api::TaskPhase::kRunning || !task_.status.run)
      return fmt::format("          {}\n", ToString(phase));
    return fmt::format("          {:<{}}  attempt {}\n", task_.status.run->node, kNameWidth,
                       task_.status.run->attempt);
  }

  json NodeJson(const control::NodeSummary& node) const {
    json line = {{"type", "node"},
                 {"runId", task_.run_id()},
                 {"seq", node.seq},
                 {"node", node.node},
                 {"visit", node.visit},
                 {"outcome", node.outcome},
                 {"started", FormatRfc3339(node.started)},
                 {"finished", FormatRfc3339(node.finished)}};
    if (!node.error.empty()) line["error"] = node.error;
    if (node.output) line["output"] = *node.output;
    return line;
  }

  json RunJson() const {
    const api::TaskStatus& status = task_.status;
    json line = {{"type", "run"},
                 {"task", task_.name},
                 {"runId", task_.run_id()},
                 {"status", std::string(ToString(status.phase))}};
    if (status.run) {
      line["node"] = status.run->node;
      line["attempt"] = status.run->attempt;
    }
    if (status.failure) line["reason"] = status.failure->reason;
    if (status.result && !status.result->branch.empty()) line["branch"] = status.result->branch;
    return line;
  }

  int End() {
    if (options_.output == "table") {
      context_.out << "\n";
      PrintResult(context_.out, task_.name, task_.spec, task_.status, backend_.Command(), paint_);
    }
    return ExitCodeOf(task_.status.phase);
  }

  static constexpr size_t kNameWidth = 12;

  Context& context_;
  const Options& options_;
  Backend& backend_;
  TaskView task_;
  Screen screen_;
  Paint paint_;
  bool redraw_ = false;
  int64_t seen_ = 0;
  std::string done_;
  std::string standing_;
};

int Watch(Context& context, const Options& options) {
  StopOnSignals signals;
  if (options.id.empty()) {
    const auto backend = OpenBackend(options.backend, signals.token());
    if (!backend) return Explain(context, backend.error());
    return TasksView(context, options, **backend).Show(signals.token());
  }
  const auto found = OpenTask(options.backend, options.id, signals.token());
  if (!found) return Explain(context, found.error());
  if (const Status newest = CheckNewest(found->task, ErrorCode::kInvalid); !newest)
    return Explain(context, newest.error());
  return RunView(context, options, *found->backend, found->task).Show(signals.token());
}

}  // namespace

void AddWatch(Command app, Context& context) {
  Command verb = app.Add("watch", "Show tasks, or the nodes of one run, as they change");
  auto options = std::make_shared<Options>();
  verb.Option("ID", options->id, "Name, uid or run id; none: all tasks, until Ctrl-C");
  verb.Option("--limit", options->limit, "Without an ID: at most so many tasks")
      .Between(1, 10'000)
      .ShowDefault();
  verb.Option("--interval", options->interval, "Seconds between looks").Between(0.05, 3600.0).ShowDefault();
  verb.Option("-o,--output", options->output, "table, or json: one object a line").OneOf({"table", "json"});
  AddBackendOptions(verb, options->backend);
  verb.Footer(
      "On a terminal the view is redrawn; elsewhere each change is a line. With an ID it ends with the run, "
      "and with\nits exit code: 0 completed, 4 blocked, 1 failed or cancelled, 130 stopped.\n\n"
      "Examples:\n  ybis watch\n  ybis watch hello\n  ybis watch hello -o json");
  verb.OnParsed(
      [&context, options] { context.action = [&context, options] { return Watch(context, *options); }; });
}

}  // namespace ybis::cli
