// ybis task create, list, status.
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "base/digest.h"
#include "base/json.h"
#include "cli/local/session.h"
#include "cli/local/task_input.h"
#include "cli/local/views.h"
#include "cli/verb.h"
#include "control/run_ledger.h"
#include "control/task_queue.h"

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

Result<TaskInput> ReadNewTask(const CreateOptions& options, Session& session, const control::Config& config) {
  YBIS_ASSIGN(TaskInput input,
              options.file.empty() ? TaskFromFlags(options.task) : ReadTaskFile(options.file, options.task));
  YBIS_TRY(CheckAgainst(config, input.spec, input.workflow, false));
  const auto known = control::TaskCatalog(session.pool()).Find(kLocalNamespace, input.name, {});
  if (known && known->name == input.name) {
    return Fail(
        ErrorCode::kExists,
        fmt::format("task {} is there already: `ybis retry {}` starts it again; give another --name for a "
                    "new one",
                    input.name, input.name));
  }
  return input;
}

int Create(Context& context, const CreateOptions& options) {
  const auto session = Session::Open(options.backend, "kubectl apply -f task.yaml", {});
  if (!session) return Explain(context, session.error());
  const auto config = LoadConfigOf(options.backend, (*session)->environment(), (*session)->folders());
  if (!config) return Explain(context, config.error());
  const auto input = ReadNewTask(options, **session, *config);
  if (!input) return Explain(context, input.error());
  control::TaskQueue queue((*session)->pool(), config->limits.admission);
  const auto run = queue.Enqueue(SubmissionOf(*config, *input, NewUuid()));
  if (!run) return Explain(context, run.error());
  if (options.output == "name") {
    context.out << run->task_name << "\n";
    return kExitOk;
  }
  if (options.output == "json") {
    context.out << DumpJsonPretty({{"name", run->task_name}, {"uid", run->task_uid}, {"runId", run->run_id}});
    return kExitOk;
  }
  context.out << fmt::format(
      "task {} ({}) is queued; `ybis worker start` takes up what is queued, `ybis run {}` runs "
      "it here\n",
      run->task_name, run->task_uid.substr(0, 8), run->task_name);
  return kExitOk;
}

struct ListOptions {
  BackendOptions backend;
  std::vector<std::string> status;
  int64_t limit = 100;
  std::string sort = "newest";
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
              {"uid", task.uid},
              {"status", PhaseOf(task.state)},
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

void PrintTasks(std::ostream& out, const std::vector<TaskSummary>& tasks, bool wide) {
  const TimePoint now = SystemClock().Now();
  Table table(wide ? std::vector<std::string>{"NAME", "UID", "STATUS", "PRIORITY", "NODE", "RUN", "ATTEMPT",
                                              "TOKENS", "COST", "BRANCH", "AGE", "REPOSITORY", "TITLE"}
                   : std::vector<std::string>{"NAME", "UID", "STATUS", "PRIORITY", "NODE", "AGE", "TITLE"});
  for (const TaskSummary& task : tasks) {
    const std::string status = PhaseOf(task.state) + (task.reason.empty() ? "" : "(" + task.reason + ")");
    const std::string title = OneLine(task.title.empty() ? task.objective : task.title, 60);
    const std::string node = task.node.empty() ? "-" : task.node;
    const std::string age = AgeText(task.created, now);
    if (wide) {
      table.Add({task.name, task.uid.substr(0, 8), status, task.priority, node, task.run_id,
                 std::to_string(task.attempt), std::to_string(task.tokens),
                 fmt::format("${:.2f}", task.cost_usd), task.branch.empty() ? "-" : task.branch, age,
                 OneLine(task.repository, 60), title});
    } else {
      table.Add({task.name, task.uid.substr(0, 8), status, task.priority, node, age, title});
    }
  }
  table.Print(out);
}

int List(Context& context, const ListOptions& options) {
  const auto session = Session::Open(options.backend, "kubectl get ybistasks", {});
  if (!session) return Explain(context, session.error());
  control::TaskFilter filter{
      .namespace_name = kLocalNamespace, .limit = options.limit, .order = OrderOf(options.sort)};
  for (const std::string& status : options.status) {
    filter.states.push_back(status);
    if (status == "Queued") filter.states.emplace_back("Dispatched");
  }
  const auto tasks = control::TaskCatalog((*session)->pool()).List(filter, {});
  if (!tasks) return Explain(context, tasks.error());
  if (options.output == "name") {
    for (const TaskSummary& task : *tasks) context.out << task.name << "\n";
    return kExitOk;
  }
  if (options.output == "json" || options.output == "yaml") {
    json rows = json::array();
    for (const TaskSummary& task : *tasks) rows.push_back(RowOf(task));
    context.out << (options.output == "json" ? DumpJsonPretty(rows) : ToYaml(rows));
    return kExitOk;
  }
  if (tasks->empty()) {
    context.err << "no tasks; `ybis task create --help` shows how to make one\n";
    return kExitOk;
  }
  PrintTasks(context.out, *tasks, options.output == "wide");
  return kExitOk;
}

struct StatusOptions {
  BackendOptions backend;
  std::string id;
  std::string output = "table";
};

void PrintStatus(Context& context, const TaskSummary& task, const api::TaskSpec& spec,
                 const control::RunRecord& run, const std::vector<control::NodeSummary>& nodes, bool wide) {
  const Paint paint = PaintFor(context.out);
  context.out << fmt::format("{:<9} {} ({})\n", "Task", task.name, task.uid.substr(0, 8))
              << fmt::format("{:<9} {}\n", "Title",
                             OneLine(spec.title.empty() ? spec.objective : spec.title, 100))
              << fmt::format("{:<9} {}{}\n", "Source", spec.repository.url,
                             spec.repository.ref.empty() ? "" : " at " + spec.repository.ref)
              << fmt::format("{:<9} {} (number {}, attempt {}), workflow {}\n", "Run", run.run_id, run.number,
                             run.attempt, task.workflow);
  if (run.state == control::RunState::kRunning) context.out << fmt::format("{:<9} {}\n", "Node", run.node);
  PrintResult(context.out, run, spec, paint);
  if (wide) context.out << "\nObjective\n" << spec.objective << "\n";
  if (nodes.empty()) return;
  size_t width = 0;
  for (const auto& node : nodes) width = std::max(width, node.node.size());
  context.out << "\n";
  for (const auto& node : nodes) context.out << NodeLine(node, width, paint) << "\n";
}

int Show(Context& context, const StatusOptions& options) {
  const auto session = Session::Open(options.backend, "kubectl describe ybistask NAME", {});
  if (!session) return Explain(context, session.error());
  control::TaskCatalog catalog((*session)->pool());
  control::RunLedger ledger((*session)->pool());
  const auto task = catalog.Find(kLocalNamespace, options.id, {});
  if (!task) return Explain(context, task.error());
  const auto run = ledger.GetRun(task->run_id, {});
  const auto spec = ledger.RunSpec(task->run_id, {});
  const auto nodes = catalog.Nodes(task->run_id, 0, {});
  if (!run || !spec || !nodes)
    return Explain(context, !run ? run.error() : !spec ? spec.error() : nodes.error());
  if (options.output == "name") {
    context.out << task->name << "\n";
  } else if (options.output == "json") {
    context.out << DumpJsonPretty(TaskObject(*task, *spec, *run));
  } else if (options.output == "yaml") {
    context.out << ToYaml(TaskObject(*task, *spec, *run));
  } else {
    PrintStatus(context, *task, *spec, *run, *nodes, options.output == "wide");
  }
  return kExitOk;
}

void AddCreate(CLI::App& verb, Context& context) {
  CLI::App* create = verb.add_subcommand("create", "Record a task and queue it; workers take it up");
  auto options = std::make_shared<CreateOptions>();
  create->add_option("-f,--file", options->file, "A YbisTask manifest; flags are laid over it");
  AddTaskFlags(*create, options->task);
  create->add_option("-o,--output", options->output, "table, json or name")
      ->check(CLI::IsMember({"table", "json", "name"}));
  AddBackendOptions(*create, options->backend, true);
  create->footer(
      "Examples:\n"
      "  ybis task create --repo . --title \"Wrap around\" --objective @objective.txt --verify \"make "
      "test\"\n"
      "  ybis task create -f task.yaml --priority HIGH");
  create->callback(
      [&context, options] { context.action = [&context, options] { return Create(context, *options); }; });
}

void AddList(CLI::App& verb, Context& context) {
  CLI::App* list = verb.add_subcommand("list", "List tasks with how their newest run stands");
  auto options = std::make_shared<ListOptions>();
  list->add_option("--status", options->status,
                   "Only these: Queued, Running, Blocked, Completed, Failed, Cancelled")
      ->check(CLI::IsMember({"Queued", "Running", "Blocked", "Completed", "Failed", "Cancelled"}));
  list->add_option("--limit", options->limit, "At most so many")
      ->check(CLI::Range(1, 100'000))
      ->capture_default_str();
  list->add_option("--sort", options->sort, "newest, oldest, priority, name or status")
      ->check(CLI::IsMember({"newest", "oldest", "priority", "name", "status"}))
      ->capture_default_str();
  list->add_option("-o,--output", options->output, "table, wide, json, yaml or name")
      ->check(CLI::IsMember(kOutputs));
  AddBackendOptions(*list, options->backend);
  list->footer(
      "Examples:\n  ybis task list --status Failed --status Blocked\n  ybis task list --sort priority -o "
      "wide");
  list->callback(
      [&context, options] { context.action = [&context, options] { return List(context, *options); }; });
}

void AddStatus(CLI::App& verb, Context& context) {
  CLI::App* status =
      verb.add_subcommand("status", "Show a task, its newest run and the nodes it went through");
  auto options = std::make_shared<StatusOptions>();
  status->add_option("ID", options->id, "Name, uid (four characters do) or run id")->required();
  status->add_option("-o,--output", options->output, "table, wide, json, yaml or name")
      ->check(CLI::IsMember(kOutputs));
  AddBackendOptions(*status, options->backend);
  status->footer("Examples:\n  ybis task status hello\n  ybis task status 6f1c -o yaml");
  status->callback(
      [&context, options] { context.action = [&context, options] { return Show(context, *options); }; });
}

}  // namespace

void AddTask(CLI::App& app, Context& context) {
  CLI::App* verb = app.add_subcommand("task", "Create, list and show tasks");
  verb->require_subcommand(1);
  AddCreate(*verb, context);
  AddList(*verb, context);
  AddStatus(*verb, context);
}

}  // namespace ybis::cli
