#pragma once
// The record of tasks and runs as the control core keeps it in Postgres, and the state machine of a run.
#include <optional>
#include <string>
#include <vector>

#include "api/run_api.h"
#include "api/task.h"

namespace ybis::control {

/// Queued → Dispatched (its turn came: a Job or process is being made) → Running (claimed) → Blocked |
/// Completed | Failed | Cancelled. Running goes back to Dispatched when its lease ends without a finish
/// (attempt + 1 at the next claim), Dispatched to Queued when it is held or put back.
enum class RunState { kQueued, kDispatched, kRunning, kBlocked, kCompleted, kFailed, kCancelled };

std::string_view ToString(RunState state);
bool IsTerminal(RunState state);

/// Why a queued run has no turn: nothing can start it now, so that it takes no place from others.
struct Hold {
  std::string reason;  ///< CamelCase
  std::string message;
  /// Until it is tried again, by the record's clock; none = once what `reason` names is mended.
  std::optional<std::chrono::seconds> left;
};

/// One run as it stands in the record.
struct RunRecord {
  std::string run_id;  ///< "<first 8 of task uid>-<number>": a function of (task UID, number)
  std::string task_uid;
  std::string task_namespace;
  std::string task_name;
  int64_t generation = 0;  ///< of the task's spec that was last submitted; a queued run follows it
  int64_t number = 1;
  int64_t attempt = 0;         ///< claims so far
  int64_t infra_failures = 0;  ///< attempts that ended without a finish
  RunState state = RunState::kQueued;
  std::string rerun_token;
  std::string node;  ///< the node it is at
  int64_t epoch = 0;
  std::optional<TimePoint> lease_expires;
  TimePoint created;
  std::optional<TimePoint> started;  ///< first claim
  std::optional<TimePoint> finished;
  bool cancel_requested = false;
  std::optional<api::RunResult> result;
  std::optional<api::VerificationResult> verification;
  std::optional<api::Failure> failure;
  std::string subject_digest;
  api::Usage usage;
  std::vector<api::ArtifactRef> artifacts;
  std::optional<Hold> hold;  ///< of kQueued
};

/// What a reconciler hands in for a task whose spec it has accepted.
struct TaskSubmission {
  std::string uid;
  std::string namespace_name;
  std::string name;
  int64_t generation = 0;
  api::TaskSpec spec;
  api::WorkflowSpec workflow;                                     ///< validated
  api::RunPolicy policy;                                          ///< effective
  int64_t default_timeout_seconds = api::kDefaultTimeoutSeconds;  ///< where the spec does not say it
  /// Refused with kExists when another task of the namespace has the name: where no API server sees to it.
  bool unique_name = false;
};

/// How many runs may be dispatched or running at once.
struct AdmissionLimits {
  int64_t total = 20;
  int64_t per_namespace = 10;
  int64_t per_repository_branch = 1;
};

/// What the task controller needs of the control core. Every call is idempotent and safe to repeat after a
/// crash. Implemented over Postgres by control::TaskQueue; tests use a fake.
class TaskRecords {
 public:
  virtual ~TaskRecords() = default;
  /// The newest run of a task, or none when it was never submitted.
  virtual Result<std::optional<RunRecord>> LatestRun(const std::string& task_uid) = 0;
  /// Records the task and, unless a run for its rerun token is there already, a new queued run. Then admits
  /// what may start (Admit), and returns the newest run: kDispatched when its turn came at once.
  /// A new run with rerun.fromNode begins there, with what the newest run had before it; kNotFound or
  /// kInvalid when that cannot be.
  virtual Result<RunRecord> Submit(const TaskSubmission& submission) = 0;
  /// Moves queued runs to kDispatched by priority, then age, within the limits; returns those moved. Their
  /// tasks are also told by notification. Called by the leader after anything ended and periodically.
  virtual Result<std::vector<RunRecord>> Admit() = 0;
  /// Takes a queued or dispatched run's turn or place away until Release; the clock of its deadline stops. Of
  /// a held one `reason`, `message` and `retry_after` are replaced. `retry_after` doubles each time that the
  /// same reason comes again before a claim, up to 15 minutes. No effect on a run that is under way, blocked
  /// or over.
  virtual Status HoldBack(const std::string& run_id, const std::string& reason, const std::string& message,
                          std::optional<std::chrono::seconds> retry_after) = 0;
  /// Queues a held run again, behind the others of its priority. No effect on one that is not held.
  virtual Status Release(const std::string& run_id) = 0;
  /// Asks a run to stop: queued, dispatched or blocked → kCancelled at once; running → cancel_requested, and
  /// kCancelled when its runner releases or its lease ends.
  virtual Status Cancel(const std::string& run_id, const std::string& reason) = 0;
  /// Ends a run from outside: its Job failed for good, could not be made or passed its deadline. With class
  /// Cancelled the run ends Cancelled: its runner is known to be gone. No effect on a terminal run.
  virtual Status Fail(const std::string& run_id, const api::Failure& failure) = 0;
  /// Journal entry; the same key twice is one.
  virtual Status RecordEvent(const std::string& run_id, const std::string& key, const std::string& type,
                             const std::string& message) = 0;
};

}  // namespace ybis::control
