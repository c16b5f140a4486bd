#pragma once
// How long a failed key waits before its next try.
#include <chrono>
#include <unordered_map>

#include "kube/resource.h"

namespace ybis::op {

using SteadyTime = std::chrono::steady_clock::time_point;
using SteadyDuration = std::chrono::steady_clock::duration;

struct RateLimiterSettings {
  std::chrono::milliseconds base_delay{5};  ///< after the first failure; doubles with each
  std::chrono::milliseconds max_delay{1'000'000};
  double refill_per_second = 10;  ///< of the bucket that all keys share
  double burst = 100;
};

/// The longer of two waits: a key's own exponential backoff, and a token bucket over all keys that keeps a
/// fault which hits every key from becoming a storm. Not thread-safe: WorkQueue holds it under its lock.
/// Tells no time itself.
class RateLimiter {
 public:
  explicit RateLimiter(RateLimiterSettings settings) : settings_(settings), tokens_(settings.burst) {}

  /// Counts one more failure of the key and gives the wait before its next try.
  SteadyDuration Delay(const kube::Key& key, SteadyTime now);
  /// The key succeeded: its next failure is its first.
  void Forget(const kube::Key& key) { failures_.erase(key); }
  int Failures(const kube::Key& key) const;

 private:
  SteadyDuration Backoff(int failures) const;
  SteadyDuration TakeToken(SteadyTime now);

  RateLimiterSettings settings_;
  std::unordered_map<kube::Key, int> failures_;
  double tokens_;  ///< below zero: promised to keys that wait
  SteadyTime refilled_{};
};

}  // namespace ybis::op
