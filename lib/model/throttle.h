#pragma once
// What keeps us from asking an endpoint too often, too much at once, or when it is down.
#include <chrono>
#include <optional>

#include "base/clock.h"
#include "base/sync.h"

namespace ybis::model {

/// Tokens that come back at a steady rate. Thread-safe.
class TokenBucket {
 public:
  /// `per_minute` 0 = no limit; the burst is a tenth of it, at least one.
  TokenBucket(int64_t per_minute, Clock& clock);
  /// Takes a token; how long to wait before it is ours (0 = now).
  std::chrono::milliseconds Take();
  /// Of a token that was taken and not used.
  void GiveBack();

 private:
  struct State {
    double tokens = 0;
    TimePoint updated;
  };
  const double per_ms_;
  const double burst_;
  Clock& clock_;
  Sync<State> state_;
};

/// Opens after failures in a row: then nobody is let through until a pause is over, and then one alone, whose
/// fate decides. Thread-safe.
class CircuitBreaker {
 public:
  CircuitBreaker(int64_t failures, std::chrono::milliseconds pause, Clock& clock)
      : limit_(failures), pause_(pause), clock_(clock) {}

  /// Nothing: go on, and say Succeeded, Failed or Skipped afterwards. Else how long it stays open.
  std::optional<std::chrono::milliseconds> Blocked();
  /// True when this closed it.
  bool Succeeded();
  /// True when this opened it.
  bool Failed();
  /// The call says nothing about the endpoint's health (it was cancelled).
  void Skipped();

 private:
  struct State {
    int64_t failures = 0;
    std::optional<TimePoint> open_until;
    bool probing = false;
  };
  const int64_t limit_;
  const std::chrono::milliseconds pause_;
  Clock& clock_;
  Sync<State> state_;
};

}  // namespace ybis::model
