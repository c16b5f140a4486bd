#pragma once
// The queue between watches and workers: it carries keys, never events.
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <unordered_map>
#include <unordered_set>

#include "base/sync.h"
#include "control/metrics.h"
#include "kube/resource.h"
#include "operator/runtime/rate_limiter.h"

namespace ybis::op {

struct WorkQueueSettings {
  std::string name;  ///< label of its metrics
  RateLimiterSettings limits;
  /// Elapsed time. Tests that replace it must call Get with a stop token that has been stopped: then it never
  /// blocks.
  std::function<SteadyTime()> monotonic = [] { return std::chrono::steady_clock::now(); };
};

/// A key waits in it at most once, and is never handed to two workers at a time: one that is added while a
/// worker has it comes back after Done. Delayed keys become ready by themselves; an Add overtakes the delay.
/// Thread-safe. `metrics` must outlive it.
class WorkQueue {
 public:
  WorkQueue(WorkQueueSettings settings, control::Metrics& metrics);

  void Add(const kube::Key& key);
  /// Adds it in `delay`; of several waits for one key the earliest holds.
  void AddAfter(const kube::Key& key, SteadyDuration delay);
  /// Adds it after the wait of a failure (RateLimiter), and `at_least` after that long.
  void AddRateLimited(const kube::Key& key, SteadyDuration at_least = {});
  /// Ends the key's backoff.
  void Forget(const kube::Key& key);
  int Failures(const kube::Key& key);

  /// The next key, blocking for one; none after ShutDown or when `stop` was requested and nothing is ready.
  /// Each key that it gave must be handed back with Done.
  std::optional<kube::Key> Get(std::stop_token stop);
  void Done(const kube::Key& key);

  /// Nothing is given out or taken in any more: work is level-based, so what waits is found again at the next
  /// start.
  void ShutDown();
  /// Waits until every key that was given out is back; false on timeout.
  bool WaitIdle(std::chrono::milliseconds timeout);

  size_t Depth();

 private:
  struct State {
    explicit State(RateLimiterSettings limits) : limiter(limits) {}
    std::deque<kube::Key> ready;
    std::unordered_map<kube::Key, SteadyTime> dirty;       ///< wanted, and since when
    std::unordered_map<kube::Key, SteadyTime> processing;  ///< with a worker, and since when
    std::unordered_map<kube::Key, SteadyTime> due;         ///< delayed keys
    std::multimap<SteadyTime, kube::Key> schedule;  ///< the same by time; entries not in `due` are void
    RateLimiter limiter;
    bool shut_down = false;
  };
  struct Instruments;

  void AddLocked(State& state, const kube::Key& key, SteadyTime now);
  void ScheduleLocked(State& state, const kube::Key& key, SteadyTime at);
  void PromoteLocked(State& state, SteadyTime now);
  kube::Key TakeLocked(State& state, SteadyTime now);
  std::optional<SteadyTime> NextDueLocked(State& state);
  void Collect();

  WorkQueueSettings settings_;
  std::shared_ptr<Instruments> instruments_;
  Sync<State> state_;
};

}  // namespace ybis::op
