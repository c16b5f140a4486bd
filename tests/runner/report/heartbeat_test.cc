#include "runner/report/heartbeat.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/runner/engine/fake_core.h"

namespace ybis::runner {
namespace {

using namespace std::chrono_literals;

/// Waits in real time, at most five seconds.
template <class Predicate>
bool Eventually(Predicate predicate) {
  for (int i = 0; i < 500; ++i) {
    if (predicate()) return true;
    std::this_thread::sleep_for(10ms);
  }
  return false;
}

TEST(Heartbeat, BeatsWithTheNodeAndTellsOfCancel) {
  FakeCore core;
  std::atomic<bool> cancelled = false;
  Heartbeat heartbeat(core, SystemClock(), core.Take(), 5ms,
                      {.on_cancel = [&] { cancelled = true; }, .on_stale = [] {}});
  heartbeat.SetNode("planner");
  EXPECT_TRUE(Eventually([&] { return core.Heartbeats() >= 3 && core.LastNode() == "planner"; }));
  core.Cancel();
  EXPECT_TRUE(Eventually([&] { return cancelled.load(); }));
}

TEST(Heartbeat, TellsOfAStaleLeaseOnceAndEnds) {
  FakeCore core;
  std::atomic<int> stale = 0;
  const int64_t epoch = core.Take();
  core.Take();
  Heartbeat heartbeat(core, SystemClock(), epoch, 1ms, {.on_cancel = [] {}, .on_stale = [&] { ++stale; }});
  EXPECT_TRUE(Eventually([&] { return stale == 1; }));
  std::this_thread::sleep_for(20ms);
  EXPECT_EQ(stale, 1);
}

TEST(Heartbeat, GoesOnThroughFailures) {
  FakeCore core;
  core.FailHeartbeats(3);
  std::atomic<bool> stale = false;
  Heartbeat heartbeat(core, SystemClock(), core.Take(), 1ms,
                      {.on_cancel = [] {}, .on_stale = [&] { stale = true; }});
  EXPECT_TRUE(Eventually([&] { return core.Heartbeats() >= 2; }));
  EXPECT_FALSE(stale);
}

}  // namespace
}  // namespace ybis::runner
