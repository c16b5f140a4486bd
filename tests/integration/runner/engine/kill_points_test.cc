// A run killed before and after every single call to the control core. Too many git processes for a unit
// test.
#include "tests/runner/engine/resume_fixture.h"

namespace ybis::runner {
namespace {

class KilledWorld final : public ResumeTest {
 public:
  void TestBody() override {}
};

class KillPointTest : public ::testing::TestWithParam<int> {};

TEST_P(KillPointTest, ComesToTheSameEnd) {
  const int calls = static_cast<int>(ResumeTest::Undisturbed().calls.size());
  ASSERT_GT(calls, 40);
  for (int call = GetParam(); call < calls; call += 8) {
    for (const bool after : {false, true}) {
      SCOPED_TRACE(fmt::format("killed {} call {}", after ? "after" : "before", call));
      KilledWorld world;
      ASSERT_NO_FATAL_FAILURE(world.KillAndResume(call, after, call % 2 == 0));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(EveryCall, KillPointTest, ::testing::Range(0, 8));

}  // namespace
}  // namespace ybis::runner
