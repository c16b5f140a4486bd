#pragma once
// Tables waits and approvals: runs that wait for a person, and the audit of what people decided.
#include <optional>
#include <string>
#include <vector>

#include "store/database.h"

namespace ybis::store {

/// A run that waits, with its task, why it waits and who approved so far.
struct WaitRow {
  std::string run_id;
  std::string namespace_name;
  std::string task_name;
  std::string task_uid;
  std::string subject_digest;
  std::string node;
  int64_t seq = 0;
  TimePoint since;
  TimePoint expires;
  std::optional<TimePoint> next_reminder;
  int64_t required = 1;
  std::string reason;
  std::string message;
  bool expired = false;
  double waited_seconds = 0;
  std::vector<std::string> approvers;
};

/// The run's own row as Lock found it.
struct LockedRun {
  std::string state;
  bool cancel_requested = false;
  std::string namespace_name;
  std::string task_name;
  std::string task_uid;
};

struct ApprovalRow {
  std::string key;
  std::string run_id;
  int64_t seq = 0;
  std::string subject_digest;
  std::string decision;
  std::string reason;
  std::string feedback;
  std::string approver;
  std::string verdict;
  std::string message;
  int64_t approvals = 0;
  int64_t required = 0;
  TimePoint created;
};

/// A wait that a sweep must act on.
struct DueWait {
  std::string run_id;
  bool expired = false;  ///< else a reminder is due
};

/// Over an open transaction; as short-lived.
class ApprovalStore {
 public:
  explicit ApprovalStore(Transaction& transaction) : tx_(transaction) {}

  /// Locks the run's row until the end of the transaction: whoever decides about it or ends it comes after.
  Result<std::optional<LockedRun>> Lock(const std::string& run_id);
  Result<std::optional<WaitRow>> FindWait(const std::string& run_id);
  /// Longest waiting first.
  Result<std::vector<WaitRow>> Waits(int64_t limit);
  Result<int64_t> CountWaits();
  /// Blocked → Queued: the wait is over, the epoch moves on, the clock of the deadline goes on with the next
  /// admission. The caller puts the run into the queue.
  Status Resume(const std::string& run_id);

  Result<std::optional<ApprovalRow>> FindDecision(const std::string& key);
  /// False when the key is taken.
  Result<bool> AddDecision(const ApprovalRow& row);
  /// Oldest first.
  Result<std::vector<ApprovalRow>> Decisions(const std::string& run_id);
  /// What ended or counted for the wait of that checkpoint, oldest first.
  Result<std::vector<ApprovalRow>> DecisionsOf(const std::string& run_id, int64_t seq);

  /// Waits whose time is over or whose reminder is due, locked with their runs; those others lock are left
  /// out.
  Result<std::vector<DueWait>> Due(int64_t limit);
  /// Moves the next reminder past now; returns the time at which it was due.
  Result<TimePoint> Remind(const std::string& run_id);

 private:
  Transaction& tx_;
};

}  // namespace ybis::store
