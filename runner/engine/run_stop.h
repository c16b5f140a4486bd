#pragma once
// The one stop of a run, and who asked for it first.
#include <atomic>
#include <functional>
#include <stop_token>
#include <thread>

#include "base/clock.h"

namespace ybis::runner {

enum class StopCause {
  kNone,
  kTerminated,  ///< SIGTERM: give the lease back
  kCancelled,   ///< the task was cancelled: give the lease back, nothing else
  kStale,       ///< the lease is lost: touch nothing further
  kDeadline,    ///< the run's time is over: it fails
};

/// Collects stop requests; the first cause stays, except that kStale overrides all. Thread-safe.
class RunStop {
 public:
  void Request(StopCause cause) {
    StopCause none = StopCause::kNone;
    if (cause == StopCause::kStale) {
      cause_ = cause;
    } else {
      cause_.compare_exchange_strong(none, cause);
    }
    source_.request_stop();
  }
  StopCause cause() const { return cause_; }
  std::stop_token token() const { return source_.get_token(); }

 private:
  std::atomic<StopCause> cause_ = StopCause::kNone;
  std::stop_source source_;
};

/// Calls a function once when a time has passed, unless destroyed before. The function must be quick and
/// thread-safe.
class Timer {
 public:
  Timer(Clock& clock, Duration after, std::function<void()> fire)
      : thread_([&clock, after, fire = std::move(fire)](std::stop_token stop) {
          if (clock.SleepFor(after, stop)) fire();
        }) {}

 private:
  std::jthread thread_;
};

}  // namespace ybis::runner
