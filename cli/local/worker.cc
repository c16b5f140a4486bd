#include "cli/local/worker.h"

#include <nlohmann/json.hpp>

#include "base/digest.h"
#include "base/file.h"
#include "base/log.h"
#include "base/remove_tree.h"
#include "base/utf8.h"
#include "cli/local/process_name.h"
#include "cli/local/runner_process.h"
#include "control/journal.h"

namespace ybis::cli {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using control::RunRecord;
using control::RunState;

namespace {

constexpr int kLeaseLost = 30;  // runner/engine/exit_code.h
constexpr Duration kKeepTime = 10s;
constexpr Duration kCleanTime = 1h;
constexpr std::chrono::seconds kAbandoned{2};  // a worker with room takes a run up at once
constexpr Duration kFirstBackoff = 1s;
constexpr Duration kLongestBackoff = 30s;

bool IsOver(const RunRecord& run) {
  return control::IsTerminal(run.state) || run.state == RunState::kBlocked;
}

/// A flag of the command line is the last word about how many run at once here.
control::AdmissionLimits LimitsOf(const control::Config& config, int64_t count) {
  control::AdmissionLimits limits = config.limits.admission;
  limits.total = std::max(limits.total, count);
  limits.per_namespace = std::max(limits.per_namespace, count);
  return limits;
}

std::string LastLine(const std::string& text) {
  std::string trimmed = text;
  while (!trimmed.empty() && std::isspace(static_cast<unsigned char>(trimmed.back()))) trimmed.pop_back();
  const size_t newline = trimmed.rfind('\n');
  const std::string line = ValidUtf8(newline == std::string::npos ? trimmed : trimmed.substr(newline + 1));
  return std::string(CutAtCharacter(line, 500));
}

/// What of a run's folder nobody needs once the run is over.
std::vector<fs::path> InTheWay(const fs::path& run_folder) {
  std::vector<fs::path> found;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(run_folder, ignored)) {
    if (IsScratch(entry.path().filename())) found.push_back(entry.path());
  }
  const fs::path tmp = run_folder / "runs" / run_folder.filename() / "tmp";
  if (fs::exists(tmp, ignored)) found.push_back(tmp);
  return found;
}

std::string Ending(const Result<ProcessResult>& ended) {
  if (!ended) return ended.error().message;
  if (ended->signal != 0) return fmt::format("killed by signal {}", ended->signal);
  return fmt::format("exit code {}: {}", ended->exit_code, LastLine(ended->error_output));
}

}  // namespace

Worker::Worker(Session& session, const control::Config& config, WorkerSettings settings)
    : session_(session),
      config_(config),
      settings_(std::move(settings)),
      name_(ThisProcessName()),
      queue_(session.pool(), LimitsOf(config, settings_.count)),
      pick_ups_(session.pool(), name_),
      watchdog_(session.pool()) {}

Worker::~Worker() = default;

Result<std::unique_ptr<Worker>> Worker::Make(Session& session, const control::Config& config,
                                             WorkerSettings settings) {
  std::unique_ptr<Worker> worker(new Worker(session, config, std::move(settings)));
  // The number alone is not enough: containers that share a data folder have their own numbers.
  YBIS_ASSIGN(worker->core_, ControlCore::Start(session, config, worker->name_,
                                                Sha256Hex(worker->name_).substr(0, 12), worker->metrics_));
  return worker;
}

void Worker::Wake() {
  walks_.Lock()->look = true;
  walks_.NotifyAll();
}

/// Runs whose worker died on this machine need not wait for their lease to run out.
void Worker::ReturnLost(std::stop_token stop) {
  const auto lost = pick_ups_.FindLost(IsGone, stop);
  if (!lost) {
    log::Warn("leases were not looked at", {{"error", lost.error().message}});
    return;
  }
  for (const auto& [run_id, holder] : *lost) {
    log::Info("the worker that held a run has died", {{"run", run_id}, {"holder", holder}});
    const auto returned = watchdog_.HolderLost(run_id, holder, stop);
    if (returned) {
      metrics_.LeasesExpired(control::CountExpired(*returned));
    } else {
      log::Warn("its lease was not taken back", {{"run", run_id}, {"error", returned.error().message}});
    }
  }
}

void Worker::TakeRuns(std::stop_token stop) {
  const int64_t room = settings_.count - static_cast<int64_t>(walks_.Lock()->running.size());
  if (room <= 0) return;
  if (const auto admitted = queue_.AdmitUpTo(room); !admitted) {
    log::Warn("no run was admitted", {{"error", admitted.error().message}});
  }
  const auto taken = pick_ups_.Take(room, stop);
  if (!taken) {
    log::Warn("no run was taken", {{"error", taken.error().message}});
    return;
  }
  for (const std::string& run_id : *taken) Begin(run_id);
}

void Worker::Begin(const std::string& run_id) {
  auto walks = walks_.Lock();
  if (walks->running.count(run_id) != 0) return;
  metrics_.SetActiveWorkers(static_cast<int64_t>(walks->running.size()) + 1);
  walks->running[run_id] = std::jthread([this, run_id](std::stop_token stop) {
    Supervise(run_id, std::move(stop));
    auto state = walks_.Lock();
    state->ended.push_back(run_id);
    state->look = true;
    walks_.NotifyAll();
  });
}

void Worker::JoinEnded() {
  std::vector<std::jthread> threads;
  auto walks = walks_.Lock();
  for (const std::string& run_id : std::exchange(walks->ended, {})) {
    threads.push_back(std::move(walks->running[run_id]));
    walks->running.erase(run_id);
  }
  metrics_.SetActiveWorkers(static_cast<int64_t>(walks->running.size()));
}

/// Only of the runs that have a thread here: one whose pick-up was committed while its answer was lost is
/// nobody's, and must run out.
void Worker::KeepPickUps(std::stop_token stop) {
  std::vector<std::string> run_ids;
  {
    auto walks = walks_.Lock();
    for (const auto& [run_id, thread] : walks->running) run_ids.push_back(run_id);
  }
  if (const Status kept = pick_ups_.Keep(run_ids, stop); !kept && !stop.stop_requested()) {
    log::Warn("pick-ups were not kept", {{"error", kept.error().message}});
  }
}

/// When even that fails, the pick-up runs out.
void Worker::GiveBack(const std::string& run_id) {
  [[maybe_unused]] const Status given = pick_ups_.GiveBack(run_id, {});
}

void Worker::Serve(std::stop_token stop) {
  const control::TaskChanges changes(
      session_.database_url(), [this](const std::string&, const std::string&) { Wake(); },
      [this] { Wake(); });
  const control::WatchdogThread watchdog(
      session_.pool(), std::chrono::seconds(config_.lease.sweep_seconds),
      {.on_swept = [this](const auto& runs) { metrics_.LeasesExpired(control::CountExpired(runs)); }},
      &metrics_);
  auto next_keep = std::chrono::steady_clock::now();
  auto next_clean = next_keep;
  while (!stop.stop_requested()) {
    {
      auto walks = walks_.Lock();
      const auto wait = std::min(settings_.poll_interval, kKeepTime);
      walks_.WaitFor(walks, stop, wait, [](const Walks& state) { return state.look; });
      walks->look = false;
    }
    if (stop.stop_requested()) break;
    JoinEnded();
    if (std::chrono::steady_clock::now() >= next_keep) {
      next_keep = std::chrono::steady_clock::now() + kKeepTime;
      ReturnLost(stop);
      KeepPickUps(stop);
    }
    TakeRuns(stop);
    if (std::chrono::steady_clock::now() >= next_clean) {
      next_clean = std::chrono::steady_clock::now() + kCleanTime;
      CleanUpOld(stop);
    }
  }
  std::map<std::string, std::jthread> running = std::exchange(walks_.Lock()->running, {});
  log::Info("stopping: runners give their runs back", {{"runs", running.size()}});
  for (auto& [run_id, thread] : running) thread.request_stop();
}

Status Worker::WalkOne(const std::string& run_id, const OnWaiting& waiting, std::stop_token stop) {
  const Status walked = WalkInTurn(run_id, waiting, std::move(stop));
  // Nobody may come for it for a week: it takes no place meanwhile, and no time of its own.
  const Status put = queue_.PutBack({run_id}, 0s);
  return walked ? put : walked;
}

Status Worker::WalkInTurn(const std::string& run_id, const OnWaiting& waiting, std::stop_token stop) {
  CleanUpOld(stop);
  ReturnLost(stop);
  const control::WatchdogThread watchdog(session_.pool(), std::chrono::seconds(config_.lease.sweep_seconds));
  bool told = false;
  while (!stop.stop_requested()) {
    YBIS_ASSIGN(const auto in_the_way, queue_.AdmitRun(run_id));
    YBIS_ASSIGN(const RunRecord run, core_->ledger().GetRun(run_id, stop));
    if (IsOver(run)) return {};
    if (in_the_way.empty()) {
      YBIS_ASSIGN(const bool mine, pick_ups_.TakeRun(run_id, stop));
      if (mine) {
        Supervise(run_id, stop);
        continue;
      }
    }
    // What a killed worker or command left, where no worker is to take it up.
    YBIS_TRY(queue_.PutBack(in_the_way, kAbandoned));
    if (!in_the_way.empty() && !std::exchange(told, true)) waiting(in_the_way);
    SystemClock().SleepFor(500ms, stop);
    ReturnLost(stop);
  }
  return {};
}

Result<ProcessResult> Worker::StartRunner(const std::string& run_id, std::stop_token stop) {
  YBIS_ASSIGN(const api::TaskSpec spec, core_->ledger().RunSpec(run_id, stop));
  RunnerStart start{.program = settings_.runner,
                    .run_id = run_id,
                    .api_url = core_->api_url(),
                    .workspace = session_.folders().Run(run_id),
                    .environment = session_.environment()};
  YBIS_ASSIGN(start.credentials_dir, SecretFolder(session_.folders(), spec.repository.credentials_secret));
  YBIS_ASSIGN(const fs::path ca_folder, SecretFolder(session_.folders(), spec.repository.ca_bundle_secret));
  if (!ca_folder.empty()) start.ca_file = ca_folder / "ca.crt";
  start.token = core_->tokens().Issue(run_id);
  auto ended = RunRunner(start, std::move(stop));
  core_->tokens().Revoke(run_id);
  return ended;
}

Result<RunRecord> Worker::Settle(const std::string& run_id) {
  // Not the walk's own stop: what a runner left behind is cleared up when the worker stops, too.
  YBIS_ASSIGN(RunRecord run, core_->ledger().GetRun(run_id, {}));
  if (run.state != RunState::kRunning) return run;
  YBIS_ASSIGN(const auto changed, watchdog_.HolderLost(run_id, name_, {}));
  metrics_.LeasesExpired(control::CountExpired(changed));
  return core_->ledger().GetRun(run_id, {});
}

void Worker::GiveUp(const std::string& run_id, const api::Failure& failure) {
  const Status failed = queue_.Fail(run_id, failure);
  if (!failed) log::Error("a failed run was not ended", {{"run", run_id}, {"error", failed.error().message}});
}

void Worker::Supervise(const std::string& run_id, std::stop_token stop) {
  Duration backoff = kFirstBackoff;
  for (int64_t failures = 0;;) {
    log::Info("starting the runner", {{"run", run_id}});
    const auto ended = StartRunner(run_id, stop);
    const auto run = Settle(run_id);
    if (!run) {
      log::Error("the record of a run cannot be read", {{"run", run_id}, {"error", run.error().message}});
      GiveBack(run_id);
      return;
    }
    if (IsOver(*run)) {
      log::Info("the run is over", {{"run", run_id}, {"state", std::string(ToString(run->state))}});
      KeepJournal(run_id);
      CleanUp(*run);
      return;
    }
    if (stop.stop_requested()) {
      GiveBack(run_id);
      return;
    }
    if (run->state == RunState::kRunning || (ended && ended->exit_code == kLeaseLost))
      return;  // another has it
    log::Warn("the runner ended before its run", {{"run", run_id}, {"how", Ending(ended)}});
    const bool hopeless = !ended && !ended.error().retryable;
    const auto spec = core_->ledger().RunSpec(run_id, stop);
    if (hopeless || ++failures > (spec ? spec->limits.max_infra_retries : 0)) {
      GiveUp(run_id, {api::FailureClass::kInfra, "RunnerFailed",
                      fmt::format("the runner ended before its run: {}", Ending(ended))});
      return;
    }
    SystemClock().SleepFor(backoff, stop);
    backoff = std::min(backoff * 2, kLongestBackoff);
    const auto mine = pick_ups_.TakeRun(run_id, {});
    if (mine && !*mine) return;
    if (!mine || stop.stop_requested()) {
      GiveBack(run_id);
      return;
    }
  }
}

/// The journal beside the run's artifacts, for who looks there.
void Worker::KeepJournal(const std::string& run_id) {
  const auto lines = control::Journal(session_.pool()).Lines(run_id, {});
  const fs::path folder = session_.folders().Run(run_id) / "runs" / run_id / "artifacts";
  const Status written =
      lines ? WriteFileAtomic(folder / control::kEventsArtifact, *lines) : Status(Fail(lines.error()));
  if (!written)
    log::Warn("the journal was not written", {{"run", run_id}, {"error", written.error().message}});
}

/// The record holds all that matters; the checkout is only in the way. A blocked run's stays for its next
/// step.
void Worker::CleanUp(const RunRecord& run) {
  if (!control::IsTerminal(run.state)) return;
  for (const fs::path& part : InTheWay(session_.folders().Run(run.run_id))) {
    if (const Status removed = RemoveTree(part); !removed)
      log::Warn("a run's files were not removed", {{"run", run.run_id}, {"error", removed.error().message}});
  }
}

void Worker::CleanUpOld(std::stop_token stop) {
  std::error_code ignored;
  for (const auto& folder : fs::directory_iterator(session_.folders().Runs(), ignored)) {
    if (InTheWay(folder.path()).empty()) continue;
    const auto run = core_->ledger().GetRun(folder.path().filename(), stop);
    if (!run || !control::IsTerminal(run->state)) continue;
    KeepJournal(run->run_id);
    CleanUp(*run);
  }
}

}  // namespace ybis::cli
