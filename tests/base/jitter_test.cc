#include "base/jitter.h"

#include <gtest/gtest.h>

#include <set>

namespace ybis {
namespace {

using namespace std::chrono_literals;

TEST(Jittered, IsFromHalfOfTheWaitToTheWhole) {
  std::set<std::chrono::milliseconds> seen;
  for (int i = 0; i < 1000; ++i) seen.insert(Jittered(10ms));
  EXPECT_EQ(seen, (std::set<std::chrono::milliseconds>{5ms, 6ms, 7ms, 8ms, 9ms, 10ms}));
}

TEST(Jittered, OfNothingIsNothing) { EXPECT_EQ(Jittered(0ms), 0ms); }

}  // namespace
}  // namespace ybis
