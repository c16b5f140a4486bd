#pragma once
// Brings back runs whose runner went silent, and ends those past their deadline.
#include <chrono>
#include <functional>
#include <stop_token>
#include <thread>
#include <vector>

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

 private:
  store::Pool& pool_;
};

/// Sweeps every `interval` on a thread of its own until destroyed; failures are logged and tried again.
class WatchdogThread {
 public:
  WatchdogThread(store::Pool& pool, std::chrono::milliseconds interval,
                 std::function<void(const std::vector<RunRecord>&)> on_swept = {});

 private:
  Watchdog watchdog_;
  std::jthread thread_;
};

}  // namespace ybis::control
