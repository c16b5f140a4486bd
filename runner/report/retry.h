#pragma once
// Repeating what may succeed later: exponential backoff with jitter until a bound.
#include <functional>
#include <stop_token>

#include "base/clock.h"
#include "base/result.h"

namespace ybis::runner {

struct RetrySettings {
  Duration bound{std::chrono::minutes(10)};  ///< no new try is begun later than this after the first
  Duration first_wait{250};
  Duration longest_wait{std::chrono::seconds(15)};
};

/// Waits between tries: doubles from the first wait to the longest, each drawn from [half, whole]; what the
/// other side asks for (retry_after) is the least. Not thread-safe.
class Backoff {
 public:
  explicit Backoff(const RetrySettings& settings) : settings_(settings), next_(settings.first_wait) {}
  Duration Next(Duration asked_for);

 private:
  RetrySettings settings_;
  Duration next_;
};

/// Runs `attempt` until it succeeds, fails for good, the bound has passed or `stop` is requested
/// (kCancelled). The last error is returned, its message with the time spent.
template <class T>
Result<T> Retry(const RetrySettings& settings, Clock& clock, std::stop_token stop,
                const std::function<Result<T>()>& attempt) {
  Backoff backoff(settings);
  const TimePoint end = clock.Now() + settings.bound;
  while (true) {
    Result<T> result = attempt();
    if (result || !result.error().retryable) return result;
    if (stop.stop_requested()) return Fail(ErrorCode::kCancelled, "stopped while retrying");
    const Duration wait = backoff.Next(result.error().retry_after);
    if (clock.Now() + wait > end) return result;
    if (!clock.SleepFor(wait, stop)) return Fail(ErrorCode::kCancelled, "stopped while retrying");
  }
}

}  // namespace ybis::runner
