#pragma once
// Table leases: who works on a run, until when, and the epoch that fences every write. The database's clock
// decides.
#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "store/database.h"
#include "store/node_store.h"
#include "store/run_store.h"

namespace ybis::store {

struct ClaimedRow {
  int64_t epoch = 0;
  int64_t attempt = 0;
  int64_t infra = 0;  ///< infrastructure failures so far
  int64_t number = 0;
  int64_t seq = 0;
  std::optional<TimePoint> deadline;
  TaskRow task;
  OrderRow order;
  std::optional<CheckpointRow> checkpoint;
  std::string trace_id;
};

/// Why a claim or a fenced write found nothing.
struct LeaseView {
  std::string state;  ///< of the run
  int64_t run_epoch = 0;
  bool cancel = false;
  bool held = false;  ///< a lease row is there
  int64_t epoch = 0;  ///< of the lease
  int64_t seq = 0;
  int64_t events = 0;
  bool late = false;                       ///< past the run's deadline
  bool exhausted = false;                  ///< no more infrastructure failures are allowed
  std::chrono::milliseconds remaining{0};  ///< of a live lease
};

/// A lease the watchdog must act on.
struct OverdueRow {
  std::string run_id;
  std::string holder;
  bool cancel = false;
  bool late = false;
  bool exhausted = false;
  int64_t infra = 0;
};

/// Over an open transaction. Each method is one statement.
class LeaseStore {
 public:
  explicit LeaseStore(Transaction& transaction) : tx_(transaction) {}

  /// None when it may not be claimed now; View says why.
  Result<std::optional<ClaimedRow>> Claim(const std::string& run_id, const std::string& holder,
                                          std::chrono::seconds lease);
  /// Whether to stop; none when the epoch is not the current one.
  Result<std::optional<bool>> Renew(const std::string& run_id, int64_t epoch, const std::string& node,
                                    std::chrono::seconds lease);
  /// Gives it back: the epoch moves on, the run is Dispatched, with one infrastructure failure more when the
  /// attempt `failed`. Returns its task's key; none: another
  /// epoch, or a cancel request.
  Result<std::optional<std::string>> Release(const std::string& run_id, int64_t epoch,
                                             const std::string& reason, bool failed);
  /// None when there is no such run.
  Result<std::optional<LeaseView>> View(const std::string& run_id);

  /// Expired leases, runs past their deadline and cancelled ones that nobody holds (nobody can claim them),
  /// locked; those others lock are left out. `run_id` empty = all.
  Result<std::vector<OverdueRow>> Overdue(const std::string& run_id, int64_t limit);
  /// Back to Dispatched, one infrastructure failure more, the epoch moves on.
  Status Requeue(const std::string& run_id, const std::string& message);
  /// Ends the holder's lease now: it is known to be gone. False when another holds it.
  Result<bool> Expire(const std::string& run_id, const std::string& holder);

 private:
  Transaction& tx_;
};

}  // namespace ybis::store
