// ybis task create, list, status.
#include <nlohmann/json.hpp>

#include "cli/output.h"
#include "cli/terminal_text.h"
#include "cli/verb.h"
#include "cli/views.h"
#include "cli/wait_view.h"

namespace ybis::cli {
namespace {

using control::TaskSummary;
using nlohmann::json;

struct CreateOptions {
  BackendOptions backend;
  TaskFlags task;
  std::string file;
  std::string output = "table";
};

int Create(Context& context, const CreateOptions& options) {
  const auto backend = OpenBackend(options.backend, {});
  if (!backend) return Explain(context, backend.error());
  const auto task = (*backend)->Create({options.file, options.task}, {});
  if (!task) return Explain(context, task.error());
  const json value = {{"name", task->name}, {"uid", task->uid}, {"runId", task->run_id}};
  if (!PrintAs(context.out, options.output, value, {task->name})) context.out << task->next << "\n";
  return kExitOk;
}

struct ListOptions {
  BackendOptions backend;
  std::vector<std::string> status;
  int64_t limit = 100;
  std::string sort = "newest";
  bool all_namespaces = false;
  std::string output = "table";
};

control::TaskOrder OrderOf(const std::string& name) {
  if (name == "oldest") return control::TaskOrder::kOldest;
  if (name == "priority") return control::TaskOrder::kPriority;
  if (name == "name") return control::TaskOrder::kName;
  return name == "status" ? control::TaskOrder::kStatus : control::TaskOrder::kNewest;
}

json RowOf(const TaskSummary& task) {
  json row = {{"name", task.name},
              {"namespace", task.namespace_name},
              {"uid", task.uid},
              {"status", task.state},
              {"priority", task.priority},
              {"title", task.title},
              {"repository", task.repository},
              {"workflow", task.workflow},
              {"runId", task.run_id},
              {"runs", task.runs},
              {"attempt", task.attempt},
              {"created", FormatRfc3339(task.created)}};
  const auto put = [&row](const char* key, const std::string& value) {
    if (!value.empty()) row[key] = value;
  };
  put("node", task.node);
  put("reason", task.reason);
  put("message", task.message);
  put("branch", task.branch);
  if (task.started) row["started"] = FormatRfc3339(*task.started);
  if (task.finished) row["finished"] = FormatRfc3339(*task.finished);
  row["tokens"] = task.tokens;
  row["costUSD"] = task.cost_usd;
  return row;
}

void PrintTasks(std::ostream& out, const std::vector<TaskSummary>& tasks, bool wide, bool namespaces) {
  const TimePoint now = SystemClock().Now();
  auto heading =
      wide ? std::vector<std::string>{"NAME",   "UID",  "STATUS", "PRIORITY", "NODE",       "RUN",  "ATTEMPT",
                                      "TOKENS", "COST", "BRANCH", "AGE",      "REPOSITORY", "TITLE"}
           : std::vector<std::string>{"NAME", "UID", "STATUS", "PRIORITY", "NODE", "AGE", "TITLE"};
  if (namespaces) heading.insert(heading.begin(), "NAMESPACE");
  Table table(std::move(heading));
  for (const TaskSummary& task : tasks) {
    const std::string status = task.state + (task.reason.empty() ? "" : "(" + task.reason + ")");
    const std::string title = OneLine(task.title.empty() ? task.objective : task.title, 60);
    const std::string node = task.node.empty() ? "-" : task.node;
    const std::string age = AgeText(task.created, now);
    std::vector<std::string> row;
    if (wide) {
      row = {task.name,
             task.uid.substr(0, 8),
             status,
             task.priority,
             node,
             task.run_id,
             std::to_string(task.attempt),
             std::to_string(task.tokens),
             fmt::format("${:.2f}", task.cost_usd),
             task.branch.empty() ? "-" : task.branch,
             age,
             OneLine(task.repository, 60),
             title};
    } else {
      row = {task.name, task.uid.substr(0, 8), status, task.priority, node, age, title};
    }
    if (namespaces) row.insert(row.begin(), task.namespace_name);
    table.Add(std::move(row));
  }
  table.Print(out);
}

int List(Context& context, const ListOptions& options) {
  const auto backend = OpenBackend(options.backend, {});
  if (!backend) return Explain(context, backend.error());
  const auto tasks = (*backend)->List({.phases = options.status,
                                       .limit = options.limit,
                                       .order = OrderOf(options.sort),
                                       .all_namespaces = options.all_namespaces},
                                      {});
  if (!tasks) return Explain(context, tasks.error());
  json rows = json::array();
  std::vector<std::string> names;
  for (const TaskSummary& task : *tasks) {
    rows.push_back(RowOf(task));
    names.push_back(task.name);
  }
  if (PrintAs(context.out, options.output, rows, names)) return kExitOk;
  if (tasks->empty()) {
    context.err << fmt::format("no tasks; `{}` shows how to make one\n",
                               (*backend)->Command()("task create --help"));
    return kExitOk;
  }
  PrintTasks(context.out, *tasks, options.output == "wide", options.all_namespaces);
  return kExitOk;
}

struct StatusOptions {
  BackendOptions backend;
  std::string id;
  std::string output = "table";
};

void PrintStatus(Context& context, const TaskView& task, const std::vector<control::NodeSummary>& nodes,
                 const std::optional<control::Wait>& wait, const CommandForm& command, bool wide) {
  const Paint paint = PaintFor(context.out);
  const api::TaskSpec& spec = task.spec;
  context.out << fmt::format("{:<9} {} ({})\n", "Task", task.name, task.uid.substr(0, 8))
              << fmt::format("{:<9} {}\n", "Title",
                             OneLine(spec.title.empty() ? spec.objective : spec.title, 100))
              << fmt::format(
                     "{:<9} {}{}\n", "Source", OneLine(spec.repository.url, kLongLine),
                     spec.repository.ref.empty() ? "" : " at " + OneLine(spec.repository.ref, kLongLine));
  if (const auto& run = task.status.run) {
    context.out << fmt::format("{:<9} {} (number {}, attempt {}), workflow {}\n", "Run", run->id, run->number,
                               run->attempt, task.workflow);
    if (task.status.phase == api::TaskPhase::kRunning)
      context.out << fmt::format("{:<9} {}\n", "Node", run->node);
  }
  if (wait) PrintWait(context.out, *wait, SystemClock().Now());
  PrintResult(context.out, task.name, spec, task.status, command, paint);
  if (wide)
    context.out << "\nObjective\n" << (paint.terminal ? Visible(spec.objective) : spec.objective) << "\n";
  if (nodes.empty()) return;
  size_t width = 0;
  for (const auto& node : nodes) width = std::max(width, node.node.size());
  context.out << (task.older_run.empty() ? "\n" : fmt::format("\nNodes of run {}\n", task.older_run));
  for (const auto& node : nodes) context.out << NodeLine(node, width, paint) << "\n";
}

int Show(Context& context, const StatusOptions& options) {
  const auto found = OpenTask(options.backend, options.id, {});
  if (!found) return Explain(context, found.error());
  const TaskView& task = found->task;
  if (!PrintAs(context.out, options.output, *task.object, {task.name})) {
    auto nodes = found->backend->Nodes(task, 0, {});
    if (!nodes) {
      const ErrorCode code = nodes.error().code;
      const int failed = Explain(context, nodes.error());
      // The task itself tells most; its record may be another's to read, or out of reach.
      if (code != ErrorCode::kUnsupported && code != ErrorCode::kDenied && code != ErrorCode::kUnavailable)
        return failed;
    }
    const auto wait = task.status.phase == api::TaskPhase::kBlocked
                          ? found->backend->WaitOf(task, {})
                          : Result<std::optional<control::Wait>>(std::nullopt);
    if (!wait && wait.error().code != ErrorCode::kUnsupported) return Explain(context, wait.error());
    PrintStatus(context, task, nodes.value_or(std::vector<control::NodeSummary>()),
                wait.value_or(std::nullopt), found->backend->Command(), options.output == "wide");
  }
  return kExitOk;
}

void AddCreate(Command verb, Context& context) {
  Command create = verb.Add("create", "Record a task and queue it; workers take it up");
  auto options = std::make_shared<CreateOptions>();
  create.Option("-f,--file", options->file, "A YbisTask manifest; flags are laid over it");
  AddTaskFlags(create, options->task);
  AddOutput(create, options->output, kActionOutputs);
  AddBackendOptions(create, options->backend, true);
  create.Footer(
      "Examples:\n"
      "  ybis task create --repo . --title \"Wrap around\" --objective @objective.txt --verify \"make "
      "test\"\n"
      "  ybis task create -f task.yaml --priority HIGH");
  create.OnParsed(
      [&context, options] { context.action = [&context, options] { return Create(context, *options); }; });
}

void AddList(Command verb, Context& context) {
  Command list = verb.Add("list", "List tasks with how their newest run stands");
  auto options = std::make_shared<ListOptions>();
  list.Option("--status", options->status,
              "Only these: Pending (cluster), Queued, Running, Blocked, Completed, Failed, Cancelled")
      .OneOf({"Pending", "Queued", "Running", "Blocked", "Completed", "Failed", "Cancelled"});
  list.Option("--limit", options->limit, "At most so many").Between(1, 100'000).ShowDefault();
  list.Switch("-A,--all-namespaces", options->all_namespaces, "cluster: of every namespace");
  list.Option("--sort", options->sort, "newest, oldest, priority, name or status")
      .OneOf({"newest", "oldest", "priority", "name", "status"})
      .ShowDefault();
  AddOutput(list, options->output);
  AddBackendOptions(list, options->backend);
  list.Footer(
      "Examples:\n  ybis task list --status Failed --status Blocked\n  ybis task list --sort priority -o "
      "wide");
  list.OnParsed(
      [&context, options] { context.action = [&context, options] { return List(context, *options); }; });
}

void AddStatus(Command verb, Context& context) {
  Command status = verb.Add("status", "Show a task, its newest run and the nodes it went through");
  auto options = std::make_shared<StatusOptions>();
  status.Option("ID", options->id, "Name, uid (four characters do) or run id").Required();
  AddOutput(status, options->output);
  AddBackendOptions(status, options->backend);
  status.Footer("Examples:\n  ybis task status hello\n  ybis task status 6f1c -o yaml");
  status.OnParsed(
      [&context, options] { context.action = [&context, options] { return Show(context, *options); }; });
}

}  // namespace

void AddTask(Command app, Context& context) {
  Command verb = app.Add("task", "Create, list and show tasks");
  verb.NeedsSubcommand();
  AddCreate(verb, context);
  AddList(verb, context);
  AddStatus(verb, context);
}

}  // namespace ybis::cli
