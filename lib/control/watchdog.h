#pragma once
// Brings back runs whose runner went silent, and ends those past their deadline; its thread looks after waits
// and clears up the record besides.
#include <chrono>
#include <functional>
#include <stop_token>
#include <thread>
#include <vector>

#include "control/approvals.h"
#include "control/record_cleanup.h"
#include "control/run_record.h"
#include "store/database.h"

namespace ybis::control {

/// Over Postgres; the database's clock decides. Any number may sweep at once: each run is moved once.
class Watchdog {
 public:
  explicit Watchdog(store::Pool& pool) : pool_(pool) {}

  /// Running with an expired lease → Dispatched, infra_failures + 1; past limits.maxInfraRetries
  /// Failed(Infra, LeaseExpired); with a cancel request Cancelled. A run past its deadline → Failed(Timeout).
  /// Returns the runs it changed; their tasks are notified.
  Result<std::vector<RunRecord>> Sweep(std::stop_token stop);
  /// The holder of a lease is known to be gone (its pod ended without a finish): what Sweep would do once the
  /// lease has run out, at once. No effect when another holds the lease.
  /// Returns the runs it changed, like Sweep.
  Result<std::vector<RunRecord>> HolderLost(const std::string& run_id, const std::string& holder,
                                            std::stop_token stop);

 private:
  Result<std::vector<RunRecord>> SweepSome(const std::string& run_id, std::stop_token stop);
  store::Pool& pool_;
};

/// How many of the runs that a watchdog changed had lost their runner, and not passed their deadline.
int64_t CountExpired(const std::vector<RunRecord>& swept);

/// What the thread tells; each may be empty and is called on that thread.
struct WatchdogCallbacks {
  std::function<void(const std::vector<RunRecord>&)> on_swept;    ///< by Watchdog::Sweep
  std::function<void(const std::vector<RunRecord>&)> on_expired;  ///< waits that nobody ended in time
  std::function<void(const std::vector<Wait>&)> on_reminders;     ///< waits to remind people of
};

/// Sweeps leases, approvals and what nobody can reach any more every `interval` on a thread of its own until
/// destroyed; failures are logged and tried again. `metrics` may be null; it must outlive this.
class WatchdogThread {
 public:
  WatchdogThread(store::Pool& pool, std::chrono::milliseconds interval, WatchdogCallbacks callbacks = {},
                 Metrics* metrics = nullptr);

 private:
  void SweepOnce(const WatchdogCallbacks& callbacks, const std::stop_token& stop);
  void SweepWaits(const WatchdogCallbacks& callbacks, const std::stop_token& stop);

  Watchdog watchdog_;
  Approvals approvals_;
  RecordCleanUp clean_up_;
  std::jthread thread_;
};

}  // namespace ybis::control
