#include "base/clock.h"

#include <gtest/gtest.h>

namespace ybis {
namespace {

TEST(ParseRfc3339, ReadsWhatItWrites) {
  const TimePoint time = TimePoint(std::chrono::seconds(1'769'860'800));
  EXPECT_EQ(FormatRfc3339(time), "2026-01-31T12:00:00Z");
  EXPECT_EQ(ParseRfc3339(FormatRfc3339(time)).value(), time);
  EXPECT_EQ(FormatRfc3339Micro(time + std::chrono::microseconds(42)), "2026-01-31T12:00:00.000042Z");
  EXPECT_EQ(ParseRfc3339("2026-01-31T12:00:00.000042Z").value(), time + std::chrono::microseconds(42));
  EXPECT_EQ(ParseRfc3339("2026-01-31T14:30:00+02:30").value(), time);
}

TEST(ParseRfc3339, RefusesWhatIsNotATime) {
  for (const char* text : {"", "now", "2026-01-31", "2026-02-30T00:00:00Z", "2026-01-31T12:00:00",
                           "2026-01-31T25:00:00Z", "2026-01-31T12:00:00+2:30", "2026-01-31T12:00:00.Zjunk"}) {
    EXPECT_FALSE(ParseRfc3339(text)) << text;
  }
}

TEST(ParseRfc3339, RefusesWhatATimeCannotHold) {
  for (const char* text :
       {"9999-12-31T23:59:59Z", "2262-04-12T00:00:00Z", "1969-12-31T23:59:59Z", "0001-01-01T00:00:00Z"}) {
    EXPECT_FALSE(ParseRfc3339(text)) << text;
  }
  for (const char* text : {"2261-12-31T23:59:59Z", "1970-01-01T00:00:00Z"}) {
    EXPECT_EQ(FormatRfc3339(ParseRfc3339(text).value()), text);
  }
}

TEST(SystemClock, SleepReturnsAtOnceOnStop) {
  std::stop_source source;
  source.request_stop();
  const auto start = std::chrono::steady_clock::now();
  EXPECT_FALSE(SystemClock().SleepFor(std::chrono::seconds(10), source.get_token()));
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(1));
}

}  // namespace
}  // namespace ybis
