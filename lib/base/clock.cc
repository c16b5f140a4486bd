#include "base/clock.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <time.h>

#include <charconv>
#include <condition_variable>
#include <mutex>

namespace ybis {
namespace {

class RealClock final : public Clock {
 public:
  TimePoint Now() const override { return std::chrono::system_clock::now(); }
  bool SleepFor(Duration duration, std::stop_token stop) override {
    std::mutex mutex;
    std::condition_variable_any wake;
    std::unique_lock lock(mutex);
    wake.wait_for(lock, stop, duration, [] { return false; });
    return !stop.stop_requested();
  }
};

std::string FormatSeconds(TimePoint time) {
  const std::time_t seconds =
      std::chrono::system_clock::to_time_t(std::chrono::floor<std::chrono::seconds>(time));
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}", fmt::gmtime(seconds));
}

/// Reads exactly `width` digits at `at`; -1 when they are not all digits.
int Digits(std::string_view text, size_t at, size_t width) {
  if (at + width > text.size()) return -1;
  int value = 0;
  for (const char c : text.substr(at, width)) {
    if (c < '0' || c > '9') return -1;
    value = value * 10 + (c - '0');
  }
  return value;
}

Result<std::chrono::minutes> ParseOffset(std::string_view zone, std::string_view text) {
  if (zone == "Z" || zone == "z") return std::chrono::minutes{0};
  const int hours = Digits(zone, 1, 2);
  const int minutes = Digits(zone, 4, 2);
  if (zone.size() != 6 || (zone[0] != '+' && zone[0] != '-') || zone[3] != ':' || hours < 0 || minutes < 0) {
    return Fail(ErrorCode::kInvalid,
                fmt::format("'{}' is not an RFC 3339 time: its zone is neither Z nor +hh:mm", text));
  }
  const std::chrono::minutes offset{hours * 60 + minutes};
  return zone[0] == '-' ? -offset : offset;
}

}  // namespace

Clock& SystemClock() {
  static RealClock clock;
  return clock;
}

bool FakeClock::SleepFor(Duration duration, std::stop_token stop) {
  if (stop.stop_requested()) return false;
  Advance(duration);
  return true;
}

void FakeClock::Advance(Duration duration) {
  now_ += std::chrono::duration_cast<TimePoint::duration>(duration).count();
}

std::string FormatRfc3339(TimePoint time) { return FormatSeconds(time) + "Z"; }

std::string FormatRfc3339Micro(TimePoint time) {
  const auto micros = std::chrono::floor<std::chrono::microseconds>(time).time_since_epoch().count();
  return fmt::format("{}.{:06}Z", FormatSeconds(time), ((micros % 1'000'000) + 1'000'000) % 1'000'000);
}

Result<TimePoint> ParseRfc3339(std::string_view text) {
  const int year = Digits(text, 0, 4), month = Digits(text, 5, 2), day = Digits(text, 8, 2);
  const int hour = Digits(text, 11, 2), minute = Digits(text, 14, 2), second = Digits(text, 17, 2);
  const bool shaped = text.size() >= 20 && text[4] == '-' && text[7] == '-' &&
                      (text[10] == 'T' || text[10] == 't') && text[13] == ':' && text[16] == ':';
  if (!shaped || year < 0 || month < 1 || month > 12 || day < 1 || day > 31 || hour < 0 || hour > 23 ||
      minute < 0 || minute > 59 || second < 0 || second > 60) {
    return Fail(ErrorCode::kInvalid,
                fmt::format("'{}' is not an RFC 3339 time such as 2026-01-31T12:00:00Z", text));
  }
  // What a count of nanoseconds since 1970 holds, with room for the zone's offset.
  if (year < 1970 || year > 2261) {
    return Fail(ErrorCode::kInvalid, fmt::format("'{}' is not a time from 1970 to 2261", text));
  }
  size_t at = 19;
  int64_t nanos = 0;
  if (text[at] == '.') {
    int64_t scale = 1'000'000'000;
    for (++at; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at) {
      if (scale > 1) nanos += (text[at] - '0') * (scale /= 10);
    }
  }
  YBIS_ASSIGN(const auto offset, ParseOffset(text.substr(at), text));
  const std::chrono::year_month_day date{std::chrono::year{year},
                                         std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day))};
  if (!date.ok()) return Fail(ErrorCode::kInvalid, fmt::format("'{}' names a day that does not exist", text));
  const auto time = std::chrono::sys_days(date) + std::chrono::hours(hour) + std::chrono::minutes(minute) +
                    std::chrono::seconds(second) - offset + std::chrono::nanoseconds(nanos);
  return TimePoint(std::chrono::duration_cast<TimePoint::duration>(time.time_since_epoch()));
}

}  // namespace ybis
