#pragma once
// Runs that wait for a person, and what people decide about them.
#include <chrono>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "api/run_api.h"
#include "control/run_record.h"
#include "store/database.h"

namespace ybis::control {

class Metrics;

/// One decision by one person.
struct ApprovalRequest {
  std::string key;  ///< names the decision (a YbisApproval's UID, a command's own): the same key decides once
  std::string run_id;
  std::string subject_digest;  ///< of the wait that the person looked at
  api::DecisionKind decision = api::DecisionKind::kApprove;
  std::string reason;    ///< needed to reject
  std::string feedback;  ///< needed to revise
  std::string approver;  ///< who decides, as the caller has proven it: "local:<user>", a Kubernetes user name
  std::string task_uid;  ///< not empty: the run must be of this task, else there is none (kNotFound)
};

enum class ApprovalVerdict {
  kDecided,    ///< the wait is over: the run goes on or has failed
  kCounted,    ///< an approval, of which more are required
  kStale,      ///< not what is waiting (any more): it decided nothing
  kDuplicate,  ///< this approver had approved this very wait before: it decided nothing
  kRefused,    ///< it may not be decided like this (the message says why): it decided nothing
};
std::string_view ToString(ApprovalVerdict verdict);  ///< Decided, Counted, Stale, Duplicate, Refused

struct ApprovalResult {
  ApprovalVerdict verdict = ApprovalVerdict::kStale;
  std::string message;    ///< for people: what came of it, what to do
  int64_t approvals = 0;  ///< different people who approved this wait, this one included
  int64_t required = 0;   ///< of the wait; 0 when nothing waits
  std::string task_key;   ///< "namespace/name" of the run's task
  bool repeated = false;  ///< this key had been decided before: this is what came of it then
};

/// A run that waits.
struct Wait {
  std::string run_id;
  std::string task_namespace;
  std::string task_name;
  std::string task_uid;
  std::string subject_digest;
  std::string node;  ///< the gate or human_approval node it waits at
  int64_t seq = 0;   ///< of the checkpoint that waits
  TimePoint since;
  TimePoint expires;
  std::optional<TimePoint> next_reminder;
  int64_t required = 1;
  std::vector<std::string> approvers;  ///< who approved so far, in order
  std::string reason;                  ///< why it waits, CamelCase: ProtectedPath, ApprovalRequired, …
  std::string message;                 ///< the same for people
  bool expired = false;                ///< its time is over, though nobody has swept it yet
};

/// For status.approval.
api::AwaitedDecision AwaitedBy(const Wait& wait);

/// One row of the audit.
struct ApprovalEntry {
  std::string key;
  std::string run_id;
  std::string subject_digest;
  api::DecisionKind decision = api::DecisionKind::kApprove;
  std::string reason;
  std::string feedback;
  std::string approver;
  ApprovalVerdict verdict = ApprovalVerdict::kStale;
  std::string message;
  TimePoint created;
};

struct ApprovalSweep {
  std::vector<RunRecord> expired;  ///< Failed(Expired) just now
  std::vector<Wait> reminders;     ///< due just now; each is in the journal
};

/// Over Postgres; the database's clock decides. Thread-safe; any number of processes may decide and sweep at
/// once. What a decision does is one transaction under the lock of the run's row: killed at any instruction,
/// it has happened whole or not at all, and the same key again tells what came of it.
class Approvals {
 public:
  /// `metrics` may be null; it must outlive this.
  explicit Approvals(store::Pool& pool, Metrics* metrics = nullptr) : pool_(pool), metrics_(metrics) {}

  /// Approve: counted; with the required number of different approvers Blocked → Queued. Revise: Blocked →
  /// Queued, to go on at the repair node; kRefused when none can be reached. Reject: Blocked →
  /// Failed(Rejected) at once. A run that is Queued again is admitted as any other (TaskRecords::Admit); its
  /// task is notified. Anything but a wait with this digest that has not expired is kStale. Every outcome is
  /// a row of the audit and a journal entry, once a key.
  /// Errors: kNotFound (no such run), kInvalid (a field is missing or too long), kConflict (the key was used
  /// for another decision); and those of the database.
  Result<ApprovalResult> Decide(const ApprovalRequest& request, std::stop_token stop);
  /// Whether a decision has that key, so that Decide only tells what came of it.
  Result<bool> Known(const std::string& key, std::stop_token stop);

  /// What the run waits for; none when it does not wait.
  Result<std::optional<Wait>> WaitOf(const std::string& run_id, std::stop_token stop = {});
  /// The runs that wait, longest first, at most `limit`.
  Result<std::vector<Wait>> Waiting(int64_t limit, std::stop_token stop = {});
  Result<int64_t> WaitingCount(std::stop_token stop = {});
  /// Every decision about a run, oldest first.
  Result<std::vector<ApprovalEntry>> Audit(const std::string& run_id, std::stop_token stop = {});

  /// Ends waits whose time is over and journals due reminders, each once however many sweep. Tasks of ended
  /// runs are notified. WatchdogThread calls it.
  Result<ApprovalSweep> Sweep(std::stop_token stop);

 private:
  store::Pool& pool_;
  Metrics* metrics_;
};

}  // namespace ybis::control
