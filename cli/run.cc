// ybis run: one task in the foreground.
#include <fmt/ranges.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/digest.h"
#include "base/log.h"
#include "cli/cluster/cluster_backend.h"
#include "cli/dry_run.h"
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

/// Whether a task is made; else `what` names one that is there.
bool IsNew(const Options& options) { return options.what.empty() || IsFile(options.what); }

/// Beside a task that is there only --workflow means anything; a flag that did nothing would be taken for
/// done.
Status CheckFlags(const Options& options) {
  if (IsNew(options)) return {};
  const std::string flag = GivenBesideWorkflow(options.task);
  if (flag.empty()) return {};
  return Fail(ErrorCode::kInvalid,
              fmt::format("{}: is for a new task or a manifest, and '{}' is no file; a task that is there "
                          "takes --workflow alone",
                          flag, options.what));
}

/// What is asked for is no file, and no task either.
Error NoFile(const Options& options, Error error) {
  if (error.code == ErrorCode::kNotFound)
    error.message = fmt::format("'{}' is no file, and {}", options.what, error.message);
  return error;
}

/// The task that is there.
Result<control::TaskSummary> FindHere(const Options& options, Session& session) {
  auto task = control::TaskCatalog(session.pool()).Find(kLocalNamespace, options.what, {});
  if (!task) return Fail(NoFile(options, task.error()));
  const bool a_run = RunNumber(options.what, task->uid, task->runs) > 0;
  if (a_run && options.what != task->run_id) {
    return Fail(ErrorCode::kInvalid, fmt::format("run {} of task {} is not its newest, which is {}",
                                                 options.what, task->name, task->run_id));
  }
  return task;
}

/// What a run of the task would be that is there: as the newest one was ordered, by another workflow if
/// asked.
Result<Rehearsal> RehearseKnown(const Options& options, Session& session) {
  control::TaskCatalog catalog(session.pool());
  YBIS_ASSIGN(const auto task, FindHere(options, session));
  Rehearsal rehearsal{task.name, {}, {}};
  YBIS_ASSIGN(rehearsal.spec, control::RunLedger(session.pool()).RunSpec(task.run_id, {}));
  YBIS_ASSIGN(rehearsal.workflow, options.task.workflow.empty() ? catalog.RunWorkflow(task.run_id, {})
                                                                : FindWorkflow(options.task.workflow));
  return rehearsal;
}

Result<Rehearsal> RehearseHere(const Options& options) {
  if (!IsNew(options)) {
    YBIS_ASSIGN(const auto session, Session::Open(options.backend, "", {}));
    return RehearseKnown(options, *session);
  }
  YBIS_ASSIGN(const TaskInput input, ReadInput(options));
  return Rehearsal{input.name, input.spec, input.workflow};
}

int DryRun(Context& context, const Options& options) {
  const Environment environment = ThisEnvironment();
  const auto config = LoadConfigOf(options.backend, environment, TheseFolders(environment));
  if (!config) return Explain(context, config.error());
  const auto rehearsal = RehearseHere(options);
  if (!rehearsal) return Explain(context, rehearsal.error());
  if (const Status fits = CheckAgainst(*config, rehearsal->spec, rehearsal->workflow, false); !fits) {
    return Explain(context, fits.error());
  }
  PrintDryRun(context.out, *rehearsal, &*config);
  return kExitOk;
}

/// A task has one run at a time: what is under way is followed, not doubled, and a run that waits for a
/// person is given up for the new one, since no verb would reach it any more.
Status MakeWay(Session& session, control::TaskQueue& queue, const control::TaskSummary& task) {
  YBIS_ASSIGN(const RunRecord newest, control::RunLedger(session.pool()).GetRun(task.run_id, {}));
  if (control::IsTerminal(newest.state)) return {};
  if (newest.state == control::RunState::kBlocked)
    return queue.Cancel(newest.run_id, "superseded by a new run");
  return Fail(ErrorCode::kConflict,
              fmt::format("run {} of task {} is under way ({}); `ybis run {}` follows it", newest.run_id,
                          task.name, PhaseOf(task.state), task.name));
}

/// Records a new run: of a new task, or one more of the task that has that name already.
Result<RunRecord> Submit(Session& session, const control::Config& config, const TaskInput& input) {
  control::TaskCatalog catalog(session.pool());
  control::TaskQueue queue(session.pool(), config.limits.admission);
  control::TaskSubmission submission = SubmissionOf(config, input, NewUuid());
  const auto known = catalog.Find(kLocalNamespace, input.name, {});
  if (known && known->name == input.name) {
    YBIS_TRY(MakeWay(session, queue, *known));
    submission.uid = known->uid;
    submission.spec.rerun_token = RandomHex(8);
  } else {
    submission.unique_name = true;
  }
  return queue.Enqueue(submission);
}

Unexpected OtherWorkflow(const std::string& run_id, const std::string& task, const std::string& walks,
                         const std::string& cancel) {
  return Fail(ErrorCode::kConflict,
              fmt::format("run {} of task {} is under way with workflow {}; `{}` ends it", run_id, task,
                          walks, cancel));
}

Unexpected Waits(const std::string& run_id, const std::string& task, const CommandForm& command) {
  return Fail(ErrorCode::kInvalid,
              fmt::format("run {} of task {} waits for a person: `{}`, `{}` or `{}` decides", run_id, task,
                          command("approve " + task), command("reject " + task), command("revise " + task)));
}

Unexpected IsOverAlready(const std::string& run_id, const std::string& task, std::string_view how,
                         const CommandForm& command) {
  return Fail(ErrorCode::kInvalid, fmt::format("run {} of task {} is over ({}); `{}` starts a new one",
                                               run_id, task, how, command("retry " + task)));
}

/// One more run of a task, as its newest one was ordered but by another workflow.
Result<RunRecord> RunAgain(const Options& options, Session& session, const control::Config& config,
                           const RunRecord& newest) {
  control::RunLedger ledger(session.pool());
  TaskInput input{newest.task_name, {}, {}};
  YBIS_ASSIGN(input.spec, ledger.RunSpec(newest.run_id, {}));
  YBIS_ASSIGN(const api::RunPolicy policy, ledger.RunPolicy(newest.run_id, {}));
  YBIS_ASSIGN(input.workflow, FindWorkflow(options.task.workflow));
  YBIS_TRY(CheckAgainst(config, input.spec, input.workflow, true));
  input.sync = !policy.project_root.empty();
  input.spec.rerun_token = RandomHex(8);
  input.spec.rerun_from.clear();
  control::TaskQueue queue(session.pool(), config.limits.admission);
  return queue.Enqueue(SubmissionOf(config, input, newest.task_uid));
}

/// The newest run of a task that is there; a new one when it is over and --workflow asks for it.
Result<RunRecord> FindKnown(const Options& options, Session& session, const control::Config& config) {
  control::TaskCatalog catalog(session.pool());
  YBIS_ASSIGN(const auto task, FindHere(options, session));
  YBIS_ASSIGN(RunRecord run, control::RunLedger(session.pool()).GetRun(task.run_id, {}));
  if (run.state == control::RunState::kBlocked) return Waits(run.run_id, task.name, {});
  const std::string& wanted = options.task.workflow;
  if (control::IsTerminal(run.state)) {
    if (wanted.empty()) return IsOverAlready(run.run_id, task.name, ToString(run.state), {});
    return RunAgain(options, session, config, run);
  }
  if (wanted.empty()) return run;
  YBIS_ASSIGN(const api::WorkflowSpec workflow, FindWorkflow(wanted));
  YBIS_ASSIGN(const api::WorkflowSpec walks, catalog.RunWorkflow(run.run_id, {}));
  if (workflow.name != walks.name)
    return OtherWorkflow(run.run_id, task.name, walks.name, "ybis cancel " + task.name);
  return run;
}

/// The run to walk: a new one from a file or flags, or one of a task that is there.
Result<RunRecord> FindOrSubmit(const Options& options, Session& session, const control::Config& config) {
  if (!IsNew(options)) return FindKnown(options, session, config);
  YBIS_ASSIGN(const TaskInput input, ReadInput(options));
  YBIS_TRY(CheckAgainst(config, input.spec, input.workflow, true));
  for (const std::string* secret :
       {&input.spec.repository.credentials_secret, &input.spec.repository.ca_bundle_secret}) {
    YBIS_TRY(SecretFolder(session.folders(), *secret));
  }
  return Submit(session, config, input);
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

std::string WaitingText(const std::vector<std::string>& in_the_way) {
  constexpr size_t kNamed = 3;
  const size_t named = std::min(in_the_way.size(), kNamed);
  std::string runs = fmt::format(
      "{}", fmt::join(in_the_way.begin(), in_the_way.begin() + static_cast<ptrdiff_t>(named), ", "));
  if (in_the_way.size() > named) runs += fmt::format(" and {} more", in_the_way.size() - named);
  return fmt::format(
      "waiting for {}: as many runs as the limits allow are under way (limits.maxRuns, "
      "limits.maxRunsPerRepositoryBranch)",
      runs);
}

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
                             run.task_uid.substr(0, 8), run.run_id, graph->name,
                             OneLine(spec->repository.url, kLongLine))
              << std::endl;
  Sync<std::optional<Status>> walked;
  const auto waiting = [&context](const std::vector<std::string>& in_the_way) {
    context.err << WaitingText(in_the_way) << std::endl;
  };
  LinkedStop walking(std::move(stop));
  const std::jthread walk([&] {
    Status status = (*worker)->WalkOne(run.run_id, waiting, walking.token());
    *walked.Lock() = std::move(status);
    walked.NotifyAll();
  });
  const auto ended = Follower(context, session, run, width).Follow(walked);
  if (!ended) {
    const int code = Explain(context, ended.error());
    context.err << fmt::format("stopping the run; `ybis run {}` goes on where it stood", run.task_name)
                << std::endl;
    walking.Request();  // nobody would see how it goes
    return code;
  }
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

/// The task to follow in a cluster: applied, or one that is there, run again by another workflow if asked.
Result<TaskView> FindInCluster(const Options& options, ClusterBackend& backend, std::stop_token stop) {
  if (IsNew(options)) return backend.Apply({options.what, options.task}, stop);
  YBIS_ASSIGN(TaskView task, backend.Find(options.what, stop));
  YBIS_TRY(CheckNewest(task, ErrorCode::kInvalid));
  YBIS_ASSIGN(task, backend.AfterDecisions(std::move(task), stop));
  const std::string& wanted = options.task.workflow;
  if (!IsOver(task)) {
    if (wanted.empty() || wanted == task.workflow) return task;
    return OtherWorkflow(task.run_id(), task.name, task.workflow, backend.Command()("cancel " + task.name));
  }
  if (task.status.phase == api::TaskPhase::kBlocked)
    return Waits(task.run_id(), task.name, backend.Command());
  if (!wanted.empty()) return backend.RunAgain(task, wanted, stop);
  return IsOverAlready(task.run_id(), task.name, ToString(task.status.phase), backend.Command());
}

/// What the cluster would do, as far as this side can know: models and limits are the operator's.
Result<Rehearsal> RehearseInCluster(const Options& options, ClusterBackend& backend, std::stop_token stop) {
  YBIS_ASSIGN(TaskView task,
              IsNew(options) ? backend.Read({options.what, options.task}) : backend.Find(options.what, stop));
  const std::string& name = options.task.workflow.empty() ? task.workflow : options.task.workflow;
  YBIS_ASSIGN(WorkflowView workflow, backend.Workflow(name, stop));
  if (!workflow.problem.empty())
    return Fail(ErrorCode::kInvalid, fmt::format("workflow {}: {}", name, workflow.problem));
  return Rehearsal{task.name, std::move(task.spec), std::move(workflow.spec)};
}

int RunInCluster(Context& context, const Options& options) {
  StopOnSignals signals;
  const auto backend = ClusterBackend::Open(options.backend, signals.token());
  if (!backend) return Explain(context, backend.error());
  if (options.dry_run) {
    const auto rehearsal = RehearseInCluster(options, **backend, signals.token());
    if (!rehearsal) return Explain(context, rehearsal.error());
    PrintDryRun(context.out, *rehearsal, nullptr);
    return kExitOk;
  }
  const auto task = FindInCluster(options, **backend, signals.token());
  if (!task) return Explain(context, task.error());
  return FollowTask(context, **backend, *task, signals.token());
}

int RunTask(Context& context, const Options& options) {
  const auto cluster = IsCluster(options.backend);
  if (!cluster) return Explain(context, cluster.error());
  if (const Status fits = CheckFlags(options); !fits) return Explain(context, fits.error());
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
  verb.Option("TASK", options->what, "A YbisTask manifest, or a task that is there; none: use the flags");
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
      "  ybis run task.yaml --dry-run\n"
      "  ybis run hello --workflow self-improve --dry-run");
  verb.OnParsed(
      [&context, options] { context.action = [&context, options] { return RunTask(context, *options); }; });
}

}  // namespace ybis::cli
