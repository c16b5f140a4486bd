#pragma once
// Wall time, sleeping and deadlines, injected so that tests decide what time it is.
#include <atomic>
#include <chrono>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/result.h"

namespace ybis {

using TimePoint = std::chrono::system_clock::time_point;
using Duration = std::chrono::milliseconds;

/// Tells the time and waits. Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual TimePoint Now() const = 0;
  /// Waits for `duration`; false when `stop` was requested first (it returns at once then).
  virtual bool SleepFor(Duration duration, std::stop_token stop) = 0;
};

/// The machine's clock.
Clock& SystemClock();

/// A clock that moves only when told; SleepFor advances it at once.
class FakeClock final : public Clock {
 public:
  explicit FakeClock(TimePoint now) : now_(now.time_since_epoch().count()) {}
  TimePoint Now() const override { return TimePoint(TimePoint::duration(now_.load())); }
  bool SleepFor(Duration duration, std::stop_token stop) override;
  void Advance(Duration duration);

 private:
  std::atomic<TimePoint::rep> now_;
};

/// "2026-01-31T12:00:00Z" (seconds, UTC), the form of Kubernetes' metav1.Time.
std::string FormatRfc3339(TimePoint time);
/// The same with microseconds, the form of metav1.MicroTime (leases, events.k8s.io).
std::string FormatRfc3339Micro(TimePoint time);
/// Reads both forms, with Z or a numeric offset.
Result<TimePoint> ParseRfc3339(std::string_view text);

}  // namespace ybis
