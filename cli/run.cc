// ybis run: one task in the foreground.
#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/digest.h"
#include "base/log.h"
#include "cli/cluster/cluster_backend.h"
#include "cli/follow.h"
#include "cli/local/runner_process.h"
#include "cli/local/session.h"
#include "cli/local/task_input.h"
#include "cli/local/views.h"
#include "cli/local/worker.h"
#include "cli/signals.h"
#include "cli/verb.h"
#include "control/journal.h"
#include "http/client.h"
#include "workflow/graph.h"

namespace ybis::cli {
namespace {

using namespace std::chrono_literals;
using control::RunRecord;

struct Options {
  BackendOptions backend;
  TaskFlags task;
  std::string what;
  bool dry_run = false;
};

bool IsFile(const std::string& what) {
  std::error_code ignored;
  return std::filesystem::is_regular_file(what, ignored);
}

Result<TaskInput> ReadInput(const Options& options) {
  if (!options.what.empty() && !IsFile(options.what)) {
    return Fail(ErrorCode::kNotFound,
                fmt::format("'{}' is no file; give a manifest, or the task by its flags", options.what));
  }
  return options.what.empty() ? TaskFromFlags(options.task) : ReadTaskFile(options.what, options.task);
}

/// The graph with what each node may do and cost, nothing called, nothing written.
void PrintDryRun(Context& context, const control::Config& config, const TaskInput& input) {
  const api::TaskSpec& spec = input.spec;
  const control::ModelConfig* model = config.FindModel(spec.model.name);
  const std::string model_name = model == nullptr ? "(none configured)" : model->name;
  context.out << fmt::format("task {}: workflow {} on {}\n\n", input.name, input.workflow.name,
                             spec.repository.url);
  Table table({"NODE", "TYPE", "VISITS", "TIMEOUT", "MODEL", "NEXT"});
  for (const api::NodeSpec& node : input.workflow.nodes) {
    std::vector<std::string> next;
    for (const api::Edge& edge : node.next) next.push_back(edge.to);
    if (workflow::IsExit(input.workflow, node.name)) next.push_back("(exit)");
    const bool asks = node.type == "spec_generator" || node.type == "planner" || node.type == "repair" ||
                      (node.type == "executor" && node.config->value("adapter", "llm") == "llm");
    table.Add({node.name + (node.name == input.workflow.entry_point ? "*" : ""), node.type,
               std::to_string(workflow::VisitCap(input.workflow, node, spec.limits.max_repairs)),
               node.timeout_seconds > 0 ? fmt::format("{}s", node.timeout_seconds) : "-",
               asks ? model_name : "-", fmt::format("{}", fmt::join(next, ", "))});
  }
  table.Print(context.out);
  const int64_t tokens =
      spec.limits.max_tokens > 0 ? spec.limits.max_tokens : config.limits.max_tokens_per_run;
  const double cost =
      spec.limits.max_cost_usd > 0 ? spec.limits.max_cost_usd : config.limits.max_cost_usd_per_run;
  const api::RunPolicy policy = control::EffectivePolicy(config, spec);
  context.out << fmt::format("\nCeiling   {} tokens, ${:.2f}, {}s in all, {} repairs\n", tokens, cost,
                             spec.limits.timeout_seconds, spec.limits.max_repairs)
              << fmt::format("Policy    at most {} files and {} bytes; protected: {}; network: {}\n",
                             policy.max_changed_files, policy.max_diff_bytes,
                             fmt::join(policy.protected_paths, " "), policy.network ? "yes" : "no");
  std::vector<std::string> commands;
  for (const auto& command : spec.verification.commands)
    commands.push_back(fmt::format("{}", fmt::join(command, " ")));
  context.out << fmt::format("Verify    {}\n", commands.empty()
                                                   ? "detected from the repository"
                                                   : fmt::format("{}", fmt::join(commands, "; ")));
}

int DryRun(Context& context, const Options& options) {
  const Environment environment = ThisEnvironment();
  const auto config = LoadConfigOf(options.backend, environment, TheseFolders(environment));
  if (!config) return Explain(context, config.error());
  const auto input = ReadInput(options);
  if (!input) return Explain(context, input.error());
  if (const Status fits = CheckAgainst(*config, input->spec, input->workflow, false); !fits) {
    return Explain(context, fits.error());
  }
  PrintDryRun(context, *config, *input);
  return kExitOk;
}

/// Records a new run: of a new task, or one more of the task that has that name already.
Result<RunRecord> Submit(Session& session, const control::Config& config, const TaskInput& input) {
  control::TaskCatalog catalog(session.pool());
  control::TaskQueue queue(session.pool(), config.limits.admission);
  control::TaskSubmission submission = SubmissionOf(config, input, NewUuid());
  const auto known = catalog.Find(kLocalNamespace, input.name, {});
  if (known && known->name == input.name) {
    submission.uid = known->uid;
    submission.spec.rerun_token = RandomHex(8);
  }
  return queue.Enqueue(submission);
}

/// The run to walk: a new one from a file or flags, or the newest one of a task that is there.
Result<RunRecord> FindOrSubmit(const Options& options, Session& session, const control::Config& config) {
  if (options.what.empty() || IsFile(options.what)) {
    YBIS_ASSIGN(const TaskInput input, ReadInput(options));
    YBIS_TRY(CheckAgainst(config, input.spec, input.workflow, true));
    for (const std::string* secret :
         {&input.spec.repository.credentials_secret, &input.spec.repository.ca_bundle_secret}) {
      YBIS_TRY(SecretFolder(session.folders(), *secret));
    }
    return Submit(session, config, input);
  }
  control::TaskCatalog catalog(session.pool());
  auto task = catalog.Find(kLocalNamespace, options.what, {});
  if (!task) {
    Error error = task.error();
    if (error.code == ErrorCode::kNotFound)
      error.message = fmt::format("'{}' is no file, and {}", options.what, error.message);
    return Fail(std::move(error));
  }
  YBIS_ASSIGN(RunRecord run, control::RunLedger(session.pool()).GetRun(task->run_id, {}));
  if (!control::IsTerminal(run.state) && run.state != control::RunState::kBlocked) return run;
  if (run.state == control::RunState::kBlocked) {
    return Fail(ErrorCode::kInvalid,
                fmt::format("run {} of task {} waits for a person: `ybis approve {}`, `ybis reject {}` or "
                            "`ybis revise {}` decides",
                            run.run_id, task->name, task->name, task->name, task->name));
  }
  return Fail(ErrorCode::kInvalid,
              fmt::format("run {} of task {} is over ({}); `ybis retry {}` starts a new one", run.run_id,
                          task->name, ToString(run.state), task->name));
}

/// Prints each node as it ends until the run is over, blocked, or the walk has failed.
class Follower {
 public:
  Follower(Context& context, Session& session, const RunRecord& run, size_t width)
      : context_(context), session_(session), run_(run), width_(width), paint_(PaintFor(context.out)) {}

  Result<RunRecord> Follow(Sync<std::optional<Status>>& walk) {
    for (;;) {
      const bool last = walk.Lock()->has_value();
      YBIS_TRY(PrintNew());
      YBIS_ASSIGN(RunRecord now, control::RunLedger(session_.pool()).GetRun(run_.run_id, {}));
      const bool over = control::IsTerminal(now.state) || now.state == control::RunState::kBlocked;
      if (over || last) {
        YBIS_TRY(PrintNew());
        if (!over) YBIS_TRY(**walk.Lock());
        return now;
      }
      auto ended = walk.Lock();
      walk.WaitFor(ended, {}, 100ms, [](const std::optional<Status>& status) { return status.has_value(); });
    }
  }

 private:
  Status PrintNew() {
    YBIS_ASSIGN(const auto nodes, control::TaskCatalog(session_.pool()).Nodes(run_.run_id, seen_, {}));
    if (!told_) {
      YBIS_TRY(TellSync());
      told_ = told_ || !nodes.empty();
    }
    for (const control::NodeSummary& node : nodes) {
      seen_ = node.seq;
      context_.out << NodeLine(node, width_, paint_) << std::endl;
    }
    return {};
  }

  /// Whether the checkout's uncommitted files are in: known before the first node begins.
  Status TellSync() {
    YBIS_ASSIGN(const auto entries, control::Journal(session_.pool()).Read(run_.run_id, 0, 100, {}));
    for (const control::JournalEntry& entry : entries) {
      if (entry.type != "WORKTREE_FILES_SYNCED" && entry.type != "WORKTREE_SYNC_SKIPPED") continue;
      context_.out << OneLine(entry.message, 400) << std::endl;
      told_ = true;
      break;
    }
    return {};
  }

  Context& context_;
  Session& session_;
  const RunRecord& run_;
  bool told_ = false;  ///< about the checkout
  size_t width_;
  Paint paint_;
  int64_t seen_ = 0;
};

int Walk(Context& context, Session& session, const control::Config& config, const RunRecord& run,
         std::filesystem::path runner, std::stop_token stop) {
  auto worker = Worker::Make(session, config, {.count = 1, .runner = std::move(runner)});
  if (!worker) return Explain(context, worker.error());
  const auto spec = control::RunLedger(session.pool()).RunSpec(run.run_id, {});
  const auto graph = control::TaskCatalog(session.pool()).RunWorkflow(run.run_id, {});
  if (!spec || !graph) return Explain(context, !spec ? spec.error() : graph.error());
  size_t width = 0;
  for (const api::NodeSpec& node : graph->nodes) width = std::max(width, node.name.size());
  context.out << fmt::format("task {} ({}), run {}: workflow {} on {}", run.task_name,
                             run.task_uid.substr(0, 8), run.run_id, graph->name, spec->repository.url)
              << std::endl;
  Sync<std::optional<Status>> walked;
  const auto waiting = [&context] {
    context.err << "waiting: as many runs as the limits allow are under way (limits.maxRuns, "
                   "limits.maxRunsPerRepositoryBranch)"
                << std::endl;
  };
  const std::jthread walk([&] {
    Status status = (*worker)->WalkOne(run.run_id, waiting, stop);
    *walked.Lock() = std::move(status);
    walked.NotifyAll();
  });
  const auto ended = Follower(context, session, run, width).Follow(walked);
  if (!ended) return Explain(context, ended.error());
  const bool over = control::IsTerminal(ended->state) || ended->state == control::RunState::kBlocked;
  if (!over) {
    context.err << fmt::format("stopped; `ybis run {}` goes on where it stood\n", run.task_name);
    return kExitStopped;
  }
  context.out << "\n";
  const api::TaskStatus status = StatusOf(*ended);
  PrintResult(context.out, run.task_name, *spec, status, {}, PaintFor(context.out));
  return ExitCodeOf(status.phase);
}

/// Applies the task and follows it, or follows one that is there.
int RunInCluster(Context& context, const Options& options) {
  if (options.dry_run) {
    return Explain(context, Fail(ErrorCode::kInvalid,
                                 "--dry-run: shows what this machine would do; add --backend local, or try a "
                                 "manifest with `kubectl apply --dry-run=server -f FILE`")
                                .value());
  }
  StopOnSignals signals;
  const auto backend = ClusterBackend::Open(options.backend, signals.token());
  if (!backend) return Explain(context, backend.error());
  const bool made = options.what.empty() || IsFile(options.what);
  const auto task = made ? (*backend)->Apply({options.what, options.task}, signals.token())
                         : (*backend)->Find(options.what, signals.token());
  if (!task) return Explain(context, task.error());
  if (!made && IsOver(*task)) {
    return Explain(context, Fail(ErrorCode::kInvalid,
                                 fmt::format("run {} of task {} is over ({}); `{}` starts a new one",
                                             task->run_id(), task->name, ToString(task->status.phase),
                                             (*backend)->Command()("retry " + task->name)))
                                .value());
  }
  return FollowTask(context, **backend, *task, signals.token());
}

int RunTask(Context& context, const Options& options) {
  const auto cluster = IsCluster(options.backend);
  if (!cluster) return Explain(context, cluster.error());
  if (*cluster) return RunInCluster(context, options);
  if (options.dry_run) return DryRun(context, options);
  StopOnSignals signals;
  http::InitThreads();
  log::Init(log::Level::kWarn, log::Format::kText);
  const Environment environment = ThisEnvironment();
  const auto config = LoadConfigOf(options.backend, environment, TheseFolders(environment));
  if (!config) return Explain(context, config.error());
  auto runner = FindRunner(environment);
  if (!runner) return Explain(context, runner.error());
  const auto session = Session::Open(options.backend, "", signals.token(), 6);
  if (!session) return Explain(context, session.error());
  const auto run = FindOrSubmit(options, **session, *config);
  if (!run) return Explain(context, run.error());
  return Walk(context, **session, *config, *run, *runner, signals.token());
}

}  // namespace

void AddRun(Command app, Context& context) {
  Command verb = app.Add("run", "Run one task now, and show how it goes");
  auto options = std::make_shared<Options>();
  verb.Option("TASK", options->what, "A YbisTask manifest, or a task that waits; none: use the flags");
  AddTaskFlags(verb, options->task);
  verb.Switch("--dry-run", options->dry_run, "Show the graph, limits, models and cost ceiling; call nothing");
  AddBackendOptions(verb, options->backend, true);
  verb.Footer(
      "On this machine the task runs in the foreground; in a cluster it is applied and followed.\n"
      "Exit codes: 0 completed, 4 blocked (a person is asked), 1 failed or cancelled, 2 wrong input, 130 "
      "stopped.\n\n"
      "Examples:\n"
      "  ybis run --repo . --objective \"Say which file is missing when the configuration cannot be read\"\n"
      "  ybis run --repo . --objective @objective.txt --verify \"make test\" --priority HIGH\n"
      "  ybis run task.yaml --repo ~/src/shop\n"
      "  ybis run task.yaml --dry-run");
  verb.OnParsed(
      [&context, options] { context.action = [&context, options] { return RunTask(context, *options); }; });
}

}  // namespace ybis::cli
