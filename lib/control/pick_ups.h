#pragma once
// Who starts a dispatched run where processes, not Jobs, are started: any number of workers share one record,
// and each run is started by one of them.
#include <chrono>
#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/result.h"
#include "store/database.h"

namespace ybis::control {

/// A dispatched run is picked up by writing the starter's name into its lease; the runner's claim then takes
/// it. A pick-up that is neither claimed nor kept within `kPickUpTime` is anybody's again. Over Postgres.
/// Thread-safe.
class PickUps {
 public:
  static constexpr std::chrono::seconds kPickUpTime{30};

  /// `starter` names this process to all others.
  PickUps(store::Pool& pool, std::string starter) : pool_(pool), starter_(std::move(starter)) {}

  /// Takes up to `max` dispatched runs that nobody is starting, oldest first.
  Result<std::vector<std::string>> Take(int64_t max, std::stop_token stop);
  /// Takes this one, or has it already; false when it is not dispatched or another starts it.
  Result<bool> TakeRun(const std::string& run_id, std::stop_token stop);
  /// Renews those of these runs that this process has picked up and not yet claimed. Name only what is being
  /// started: a pick-up that its own starter does not know of must run out.
  Status Keep(const std::vector<std::string>& run_ids, std::stop_token stop);
  Status GiveBack(const std::string& run_id, std::stop_token stop);
  /// Frees what a starter had picked up whose process `is_gone`, and returns the runs whose lease such a
  /// process holds: for Watchdog::HolderLost. Model calls that they had under way may be made anew at once.
  struct Lost {
    std::string run_id;
    std::string holder;
  };
  Result<std::vector<Lost>> FindLost(const std::function<bool(const std::string& holder)>& is_gone,
                                     std::stop_token stop);

 private:
  store::Pool& pool_;
  std::string starter_;
};

}  // namespace ybis::control
