#pragma once
// The queue of runs over Postgres, and hearing of what changed in it.
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "control/run_record.h"
#include "store/database.h"

namespace ybis::control {

/// The channel on which a run's change that its task must show is told; the payload is "namespace/name".
inline constexpr std::string_view kTaskChannel = "ybis_task";

/// TaskRecords over Postgres. Thread-safe; any number of processes may share one database: admissions are
/// serialised by an advisory lock, so limits hold exactly and nothing is admitted twice.
class TaskQueue final : public TaskRecords {
 public:
  /// `stop` ends every call under way with kCancelled.
  TaskQueue(store::Pool& pool, AdmissionLimits limits, std::stop_token stop = {});
  ~TaskQueue() override;

  Result<std::optional<RunRecord>> LatestRun(const std::string& task_uid) override;
  Result<RunRecord> Submit(const TaskSubmission& submission) override;
  Result<std::vector<RunRecord>> Admit() override;
  Status HoldBack(const std::string& run_id, const std::string& reason, const std::string& message,
                  std::optional<std::chrono::seconds> retry_after) override;
  Status Release(const std::string& run_id) override;
  Status Cancel(const std::string& run_id, const std::string& reason) override;
  Status Fail(const std::string& run_id, const api::Failure& failure) override;
  Status RecordEvent(const std::string& run_id, const std::string& key, const std::string& type,
                     const std::string& message) override;

  /// Submit without admitting anything: whoever has room for it admits it, and is told of it.
  Result<RunRecord> Enqueue(const TaskSubmission& submission);
  /// Whether Submit would take a submission whose rerun.fromNode is set: kNotFound or kInvalid says why not.
  Status CheckRerun(const TaskSubmission& submission);
  /// Admits at most `max` runs: what a local worker with one free place asks for.
  Result<std::vector<RunRecord>> AdmitUpTo(int64_t max);
  /// Admits this one run, ahead of its turn but within the limits: what somebody waits for in the foreground.
  /// Returns the runs in its way, one of which must end first; none when it has its place.
  Result<std::vector<std::string>> AdmitRun(const std::string& run_id);
  /// Queues those of these runs again that are dispatched and that nobody has picked up for `idle`: until
  /// they are admitted anew they hold no place, and the clock of their deadline stops.
  Status PutBack(const std::vector<std::string>& run_ids, std::chrono::seconds idle);
  /// Runs that are waiting; for metrics.
  Result<int64_t> Depth();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Tells of tasks whose run changed, by LISTEN on kTaskChannel. Calls back from its own thread;
/// `on_connected` after every connect (the first too): what changed before is not told, so look at
/// everything.
class TaskChanges {
 public:
  TaskChanges(const std::string& database_url,
              std::function<void(const std::string& namespace_name, const std::string& name)> on_change,
              std::function<void()> on_connected);
  ~TaskChanges();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ybis::control
