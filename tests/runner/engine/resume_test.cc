#include "tests/runner/engine/resume_fixture.h"

namespace ybis::runner {
namespace {

class KilledWorld final : public ResumeTest {
 public:
  void TestBody() override {}
};

/// Calls after whose effect an attempt dies: each checkpoint, the push and the finish.
TEST(Resume, ComesToTheSameEndFromEveryCheckpoint) {
  const auto& calls = ResumeTest::Undisturbed().calls;
  int boundaries = 0;
  for (size_t i = 0; i < calls.size(); ++i) {
    if (!calls[i].starts_with("node ") && calls[i] != "event" && calls[i] != "finish") continue;
    SCOPED_TRACE(fmt::format("killed after call {} ({})", i, calls[i]));
    KilledWorld world;
    ASSERT_NO_FATAL_FAILURE(world.KillAndResume(static_cast<int>(i), true, ++boundaries % 2 == 0));
  }
  EXPECT_EQ(boundaries, 12) << "nine nodes, the worktree's and the push's event, the finish";
}

TEST(Resume, ComesToTheSameEndFromAnUnreportedModelCall) {
  const auto& calls = ResumeTest::Undisturbed().calls;
  for (size_t i = 0; i < calls.size(); ++i) {
    if (calls[i] != "model") continue;
    SCOPED_TRACE(fmt::format("killed after call {}", i));
    KilledWorld world;
    ASSERT_NO_FATAL_FAILURE(world.KillAndResume(static_cast<int>(i), true, true));
  }
}

}  // namespace
}  // namespace ybis::runner
