#include "operator/task/orphans.h"

#include <nlohmann/json.hpp>

#include "base/log.h"

namespace ybis::op {
namespace {

constexpr char kReason[] = "the task was deleted";
constexpr int kRounds = 120;
constexpr Duration kPause = std::chrono::milliseconds(500);

bool Harmless(const Status& status) {
  if (status) return true;
  const ErrorCode code = status.error().code;
  return code == ErrorCode::kNotFound || code == ErrorCode::kConflict || code == ErrorCode::kDenied;
}

}  // namespace

OrphanSweeper::OrphanSweeper(OpenRuns& open_runs, control::TaskRecords& records, Caches caches,
                             kube::Api& api, Clock& clock, std::string ns)
    : open_runs_(open_runs),
      records_(records),
      caches_(caches),
      api_(api),
      clock_(clock),
      namespace_(std::move(ns)) {}

Status OrphanSweeper::Sweep(std::stop_token stop) {
  for (int round = 0; round < kRounds; ++round) {
    YBIS_ASSIGN(const auto orphans, Orphans(stop));
    if (orphans.empty()) return {};
    for (const OpenRun& run : orphans) YBIS_TRY(End(run, stop));
    if (!clock_.SleepFor(kPause, stop)) return {};
  }
  return {};
}

Result<std::vector<OpenRun>> OrphanSweeper::Orphans(std::stop_token stop) {
  // The record first: a task that is made meanwhile is then in the cache, never the other way round.
  YBIS_ASSIGN(const auto open, open_runs_.List(stop));
  std::vector<OpenRun> orphans;
  for (const OpenRun& run : open) {
    if (!namespace_.empty() && run.task_namespace != namespace_) continue;
    const kube::Object task = caches_.tasks.Get({run.task_namespace, run.task_name});
    if (task && kube::MetaString(*task, "uid") == run.task_uid) continue;
    YBIS_ASSIGN(const bool gone, TaskIsGone(run, stop));
    if (gone) orphans.push_back(run);
  }
  return orphans;
}

/// A cache may lag; killing somebody's work takes the API server's own word.
Result<bool> OrphanSweeper::TaskIsGone(const OpenRun& run, std::stop_token stop) {
  const auto task = api_.Get(kube::kTasks, {run.task_namespace, run.task_name}, stop);
  if (task) return kube::MetaString(*task, "uid") != run.task_uid;
  if (task.error().code == ErrorCode::kNotFound) return true;
  return FailIn("looking for the task of run " + run.run_id, task.error());
}

Status OrphanSweeper::End(const OpenRun& run, std::stop_token stop) {
  if (!run.cancel_requested) {
    log::Info("run of a deleted task cancelled",
              {{"run", run.run_id}, {"task", run.task_namespace + "/" + run.task_name}});
    YBIS_TRY(records_.Cancel(run.run_id, kReason));
  }
  YBIS_ASSIGN(const bool stopped, StopWork(run, stop));
  if (!stopped || run.state != control::RunState::kRunning || !run.cancel_requested) return {};
  return records_.Fail(run.run_id, {api::FailureClass::kCancelled, "Cancelled", kReason});
}

/// Whether nothing of it is left.
Result<bool> OrphanSweeper::StopWork(const OpenRun& run, std::stop_token stop) {
  bool stopped = true;
  for (const kube::Object& job : caches_.jobs.ByOwner(run.task_uid)) {
    const JobView view = ViewJob(*job);
    stopped = stopped && view.Ended();
    if (view.Ended() || view.deleting) continue;
    kube::DeleteOptions options;
    options.uid = view.uid;
    const Status deleted = api_.Delete(kube::kJobs, view.key, options, stop);
    if (!Harmless(deleted)) return Fail(deleted.error());
  }
  for (const kube::Object& pod : caches_.pods.List(run.task_namespace)) {
    const PodView view = ViewPod(*pod, clock_.Now());
    if (view.ended || !HasLabel(*pod, api::kRunIdLabel, run.run_id)) continue;
    stopped = false;
    if (view.killed) continue;
    kube::DeleteOptions options;
    options.uid = view.uid;
    options.grace_period_seconds = 1;
    const Status deleted = api_.Delete(kube::kPods, view.key, options, stop);
    if (!Harmless(deleted)) return Fail(deleted.error());
  }
  return stopped;
}

}  // namespace ybis::op
