#include "control/task_queue_admission.h"

#include <gtest/gtest.h>

namespace ybis::control {
namespace {

store::WaitingRow Waiting(const std::string& ns, const std::string& lane) { return {1, 1, "r", ns, lane}; }
store::ActiveRow Active(const std::string& ns, const std::string& lane) { return {1, "r", ns, lane, ""}; }

TEST(AdmissionPlan, CountsWhatIsActiveTowardsEveryLimit) {
  AdmissionPlan plan({4, 2, 1}, {Active("a", "x"), Active("a", "y")}, 100);
  EXPECT_FALSE(plan.Take(Waiting("a", "z")));  // namespace a is full
  EXPECT_FALSE(plan.Take(Waiting("b", "x")));  // lane x is full
  EXPECT_TRUE(plan.Take(Waiting("b", "z")));
  EXPECT_FALSE(plan.Full());
  EXPECT_TRUE(plan.Take(Waiting("b", "w")));
  EXPECT_TRUE(plan.Full());
  EXPECT_FALSE(plan.Take(Waiting("c", "v")));
  EXPECT_EQ(plan.taken().size(), 2u);
}

TEST(AdmissionPlan, ZeroIsNoLimitButTheCallersCountHolds) {
  AdmissionPlan plan({0, 0, 0}, {Active("a", "x")}, 2);
  EXPECT_TRUE(plan.Take(Waiting("a", "x")));
  EXPECT_TRUE(plan.Take(Waiting("a", "x")));
  EXPECT_FALSE(plan.Take(Waiting("a", "x")));
}

TEST(InTheWay, NamesTheRunsOfTheNarrowestLimitThatIsReached) {
  const std::vector<store::ActiveRow> active = {
      {1, "r1", "a", "x", ""}, {2, "r2", "a", "y", ""}, {3, "r3", "b", "z", ""}};
  using Runs = std::vector<std::string>;
  EXPECT_EQ(InTheWay({3, 2, 1}, active, Waiting("a", "y")), Runs{"r2"});
  EXPECT_EQ(InTheWay({3, 2, 1}, active, Waiting("a", "w")), (Runs{"r1", "r2"}));
  EXPECT_EQ(InTheWay({3, 2, 1}, active, Waiting("b", "w")), (Runs{"r1", "r2", "r3"}));
  EXPECT_EQ(InTheWay({4, 2, 1}, active, Waiting("b", "w")), Runs());
  EXPECT_EQ(InTheWay({0, 0, 0}, active, Waiting("a", "x")), Runs());
}

TEST(LaneOf, IsTheRepositoryAndTheBranchThatIsWritten) {
  api::TaskSpec plain;
  plain.repository.url = "https://git.example/a.git";
  api::TaskSpec slash = plain;
  slash.repository.url = "https://git.example/a/";
  EXPECT_EQ(LaneOf(plain), LaneOf(slash));
  api::TaskSpec other_ref = plain;
  other_ref.repository.ref = "release";
  EXPECT_NE(LaneOf(plain), LaneOf(other_ref));
  api::TaskSpec delivers = plain;
  delivers.delivery = {api::DeliveryMode::kBranch, "release"};
  EXPECT_EQ(LaneOf(delivers), LaneOf(other_ref));
  api::TaskSpec default_branch = plain;
  default_branch.delivery = {api::DeliveryMode::kBranch, ""};
  EXPECT_EQ(LaneOf(default_branch), LaneOf(plain));
}

}  // namespace
}  // namespace ybis::control
