#pragma once
// Workers, their runners and their database, killed at random and started again.
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "base/clock.h"
#include "tests/integration/local/machine.h"

namespace ybis::testing {

/// How often something dies, each on average.
struct ChaosPace {
  std::chrono::milliseconds worker{1'000};
  std::chrono::milliseconds runner{1'500};
  std::chrono::milliseconds database{15'000};
};

/// A worker that was killed.
struct Death {
  std::string pid;
  TimePoint time;
};

/// Not thread-safe.
class ChaosFleet {
 public:
  ChaosFleet(const Machine& machine, std::map<std::string, std::string> env, int workers, ChaosPace pace,
             unsigned seed);

  /// Kills what is due, starts dead workers again, and sleeps a moment.
  void Step();
  /// Ends all workers with SIGTERM; false when one did not end well within a minute.
  bool Stop();
  /// A worker that starts and ends in good order: it clears up what the dead left.
  bool StartAndStopOne();

  const std::vector<Death>& dead_workers() const { return dead_workers_; }
  int killed_runners() const { return killed_runners_; }
  int killed_databases() const { return killed_databases_; }

 private:
  using Steady = std::chrono::steady_clock;
  std::unique_ptr<Background> StartWorker() const;
  void KillWorker();
  void KillRunner();
  void KillDatabase();
  bool Due(Steady::time_point& next, std::chrono::milliseconds mean);

  const Machine& machine_;
  std::map<std::string, std::string> env_;
  ChaosPace pace_;
  std::mt19937 random_;
  std::vector<std::unique_ptr<Background>> workers_;
  Steady::time_point next_worker_{}, next_runner_{}, next_database_{};
  std::vector<Death> dead_workers_;
  int killed_runners_ = 0;
  int killed_databases_ = 0;
};

/// The living processes of a machine: those with its folder among their arguments or as their working
/// directory; the database's are left out.
std::vector<pid_t> ProcessesOf(const Machine& machine, const std::string& program = {});

}  // namespace ybis::testing
