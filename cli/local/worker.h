#pragma once
// Admits runs and walks them, each by a runner process of its own.
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <stop_token>
#include <string>
#include <thread>

#include "base/clock.h"
#include "base/process.h"
#include "base/sync.h"
#include "cli/local/core.h"
#include "control/pick_ups.h"
#include "control/task_queue.h"
#include "control/watchdog.h"

namespace ybis::cli {

struct WorkerSettings {
  int64_t count = 2;               ///< runs at once
  Duration poll_interval{10'000};  ///< between looks at the queue when nobody tells of a change
  std::filesystem::path runner;
};

/// Any number may share a database, on one machine or many. Methods are called from one thread.
class Worker {
 public:
  /// Serves the Run API at once. The session must outlive it.
  static Result<std::unique_ptr<Worker>> Make(Session& session, const control::Config& config,
                                              WorkerSettings settings);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  /// Takes runs until `stop`; then tells the runners to end, waits for them, and returns.
  void Serve(std::stop_token stop);
  /// What the runs of this worker are counted in.
  control::Metrics& metrics() { return metrics_; }
  /// Told which runs are in the way of one.
  using OnWaiting = std::function<void(const std::vector<std::string>& run_ids)>;
  /// Walks this one run until it is over or blocked, another takes it, or `stop`: then it goes back to the
  /// queue. `waiting` is told once when there is no room for it yet.
  Status WalkOne(const std::string& run_id, const OnWaiting& waiting, std::stop_token stop);

 private:
  struct Walks {
    std::map<std::string, std::jthread> running;
    std::vector<std::string> ended;
    bool look = true;  ///< something changed: look at the queue
  };

  Worker(Session& session, const control::Config& config, WorkerSettings settings);
  Status WalkInTurn(const std::string& run_id, const OnWaiting& waiting, std::stop_token stop);
  void ReturnLost(std::stop_token stop);
  void TakeRuns(std::stop_token stop);
  void Begin(const std::string& run_id);
  void JoinEnded();
  void KeepPickUps(std::stop_token stop);
  void GiveBack(const std::string& run_id);
  void Wake();
  /// Starts runners for a picked-up run until it is over; what a walk's thread does.
  void Supervise(const std::string& run_id, std::stop_token stop);
  Result<ProcessResult> StartRunner(const std::string& run_id, std::stop_token stop);
  /// What the record says after a runner has ended; takes back a lease that nobody holds any more.
  Result<control::RunRecord> Settle(const std::string& run_id);
  void GiveUp(const std::string& run_id, const api::Failure& failure);
  void KeepJournal(const std::string& run_id);
  void CleanUp(const control::RunRecord& run);
  /// Journal and folder of runs that ended without a worker here: while they waited, or it was killed.
  void CleanUpOld(std::stop_token stop);

  Session& session_;
  control::Config config_;
  WorkerSettings settings_;
  std::string name_;
  control::Metrics metrics_;
  std::unique_ptr<ControlCore> core_;
  control::TaskQueue queue_;
  control::PickUps pick_ups_;
  control::Watchdog watchdog_;
  Sync<Walks> walks_;
};

}  // namespace ybis::cli
