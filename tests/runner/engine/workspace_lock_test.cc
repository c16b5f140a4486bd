#include "runner/engine/workspace_lock.h"

#include <gtest/gtest.h>

#include "tests/support/temp_dir.h"

namespace ybis::runner {
namespace {

using namespace std::chrono_literals;

TEST(WorkspaceLock, IsOneRunnersAtATime) {
  const testing::TempDir dir;
  auto first = LockWorkspace(dir.path(), 1s, SystemClock(), {});
  ASSERT_TRUE(first);
  ASSERT_TRUE(first->valid());
  const auto second = LockWorkspace(dir.path(), 120ms, SystemClock(), {});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::kConflict);
  first->Reset();
  EXPECT_TRUE(LockWorkspace(dir.path(), 1s, SystemClock(), {})->valid());
}

TEST(WorkspaceLock, IsNotWaitedForOnAStopRequest) {
  const testing::TempDir dir;
  const auto first = LockWorkspace(dir.path(), 1s, SystemClock(), {});
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(LockWorkspace(dir.path(), 10s, SystemClock(), stop.get_token()).error().code,
            ErrorCode::kCancelled);
}

TEST(WorkspaceLock, IsDoneWithoutWhereThereIsNone) {
  EXPECT_FALSE(LockWorkspace("/nowhere/at/all", 1s, SystemClock(), {})->valid());
}

}  // namespace
}  // namespace ybis::runner
