// Several starters on one record: who starts a run, and what happens when one is gone.
#include "control/pick_ups.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/digest.h"
#include "control/run_ledger.h"
#include "control/task_catalog.h"
#include "control/task_queue.h"
#include "store/migrations.h"
#include "tests/support/postgres.h"
#include "workflow/loader.h"

namespace ybis::control {
namespace {

testing::Postgres& Server() {
  static testing::Postgres server({.fsync = false});
  return server;
}

class PickUpsTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(store::Migrator(pool_).Up({})); }

  /// Queues a task on a repository of its own, so that only the total limits it.
  RunRecord Enqueue(const std::string& name) {
    TaskSubmission task{.uid = NewUuid(), .namespace_name = "local", .name = name, .generation = 1};
    task.spec.objective = "x";
    task.spec.title = "Title of " + name;
    task.spec.repository.url = "/tmp/" + name;
    task.workflow = *workflow::BuiltInWorkflow("ybis-native");
    const auto run = queue_.Enqueue(task);
    EXPECT_TRUE(run) << run.error().message;
    return *run;
  }
  bool Admitted(const std::string& run_id) { return queue_.AdmitRun(run_id)->empty(); }
  RunState StateOf(const std::string& run_id) { return RunLedger(pool_).GetRun(run_id, {})->state; }

  store::Pool pool_{{.url = Server().NewDatabase(), .size = 4}};
  TaskQueue queue_{pool_, {.total = 2, .per_namespace = 2, .per_repository_branch = 1}};
  PickUps one_{pool_, "one"};
  PickUps two_{pool_, "two"};
};

TEST_F(PickUpsTest, EnqueueLeavesTheRunToWhoeverHasRoom) {
  const RunRecord run = Enqueue("a");
  EXPECT_EQ(run.state, RunState::kQueued);
  EXPECT_TRUE(one_.Take(10, {})->empty()) << "it has no place yet";
  EXPECT_EQ(queue_.AdmitUpTo(10)->size(), 1U);
  EXPECT_EQ(StateOf(run.run_id), RunState::kDispatched);
}

TEST_F(PickUpsTest, EachRunGoesToOneStarter) {
  Enqueue("a");
  Enqueue("b");
  ASSERT_EQ(queue_.AdmitUpTo(10)->size(), 2U);
  const auto first = one_.Take(1, {});
  const auto second = two_.Take(10, {});
  ASSERT_EQ(first->size(), 1U);
  ASSERT_EQ(second->size(), 1U);
  EXPECT_NE(first->front(), second->front());
  EXPECT_TRUE(one_.Take(10, {})->empty());
  EXPECT_FALSE(*two_.TakeRun(first->front(), {}));
  EXPECT_TRUE(*one_.TakeRun(first->front(), {})) << "what is one's own may be taken again";
  ASSERT_TRUE(one_.GiveBack(first->front(), {}));
  EXPECT_TRUE(*two_.TakeRun(first->front(), {}));
}

TEST_F(PickUpsTest, AnOldPickUpIsAnybodysUnlessItIsKept) {
  const RunRecord run = Enqueue("a");
  ASSERT_TRUE(Admitted(run.run_id));
  ASSERT_TRUE(*one_.TakeRun(run.run_id, {}));
  const auto age = [&] {
    ASSERT_TRUE(pool_.Execute("UPDATE leases SET granted = now() - interval '1 hour'", {}, {}));
  };
  age();
  ASSERT_TRUE(one_.Keep({run.run_id}, {}));
  EXPECT_TRUE(two_.Take(10, {})->empty());
  age();
  EXPECT_EQ(two_.Take(10, {})->size(), 1U);
}

TEST_F(PickUpsTest, APickUpThatItsStarterDoesNotKnowOfRunsOutWhileTheStarterLives) {
  const RunRecord known = Enqueue("a");
  const RunRecord orphan = Enqueue("b");
  ASSERT_EQ(queue_.AdmitUpTo(10)->size(), 2U);
  ASSERT_EQ(one_.Take(10, {})->size(), 2U) << "of the second the answer is lost";
  ASSERT_TRUE(pool_.Execute("UPDATE leases SET granted = now() - interval '1 hour'", {}, {}));
  ASSERT_TRUE(one_.Keep({known.run_id}, {}));
  EXPECT_EQ(*two_.Take(10, {}), std::vector<std::string>{orphan.run_id});
}

TEST_F(PickUpsTest, AClaimedRunCannotBePickedUp) {
  const RunRecord run = Enqueue("a");
  ASSERT_TRUE(Admitted(run.run_id));
  ASSERT_TRUE(*one_.TakeRun(run.run_id, {}));
  ASSERT_TRUE(RunLedger(pool_).Claim(run.run_id, "one", {}, {}));
  ASSERT_TRUE(pool_.Execute("UPDATE leases SET granted = now() - interval '1 hour'", {}, {}));
  EXPECT_TRUE(two_.Take(10, {})->empty());
  EXPECT_FALSE(*two_.TakeRun(run.run_id, {}));
}

TEST_F(PickUpsTest, FindLostFreesPickUpsAndNamesLeasesOfTheGone) {
  const RunRecord picked = Enqueue("a");
  const RunRecord claimed = Enqueue("b");
  ASSERT_EQ(queue_.AdmitUpTo(10)->size(), 2U);
  ASSERT_EQ(one_.Take(10, {})->size(), 2U);
  ASSERT_TRUE(RunLedger(pool_).Claim(claimed.run_id, "one", {}, {}));
  EXPECT_TRUE(two_.FindLost([](const std::string&) { return false; }, {})->empty());
  const auto lost = two_.FindLost([](const std::string& holder) { return holder == "one"; }, {});
  ASSERT_EQ(lost->size(), 1U);
  EXPECT_EQ(lost->front().run_id, claimed.run_id);
  EXPECT_EQ(*two_.Take(10, {}), std::vector<std::string>{picked.run_id});
}

TEST_F(PickUpsTest, AdmitRunKeepsToTheLimits) {
  const RunRecord a = Enqueue("a");
  const RunRecord b = Enqueue("b");
  const RunRecord c = Enqueue("c");
  EXPECT_TRUE(Admitted(c.run_id)) << "ahead of its turn";
  EXPECT_EQ(StateOf(a.run_id), RunState::kQueued) << "and nothing else with it";
  EXPECT_TRUE(Admitted(a.run_id));
  EXPECT_EQ(*queue_.AdmitRun(b.run_id), (std::vector<std::string>{c.run_id, a.run_id}))
      << "two are as many as there may be";
  EXPECT_TRUE(Admitted(c.run_id)) << "it has its place already";
  ASSERT_TRUE(queue_.Cancel(a.run_id, "x"));
  EXPECT_TRUE(Admitted(b.run_id));
}

TEST_F(PickUpsTest, OnlyWhatNobodyHasPickedUpIsPutBack) {
  const RunRecord picked = Enqueue("a");
  const RunRecord idle = Enqueue("b");
  ASSERT_TRUE(Admitted(picked.run_id));
  ASSERT_TRUE(Admitted(idle.run_id));
  ASSERT_TRUE(*one_.TakeRun(picked.run_id, {}));
  const std::vector<std::string> both = {picked.run_id, idle.run_id};
  ASSERT_TRUE(queue_.PutBack(both, std::chrono::seconds(60)));
  EXPECT_EQ(StateOf(idle.run_id), RunState::kDispatched) << "somebody may be about to";
  ASSERT_TRUE(queue_.PutBack(both, std::chrono::seconds(0)));
  EXPECT_EQ(StateOf(idle.run_id), RunState::kQueued);
  EXPECT_EQ(StateOf(picked.run_id), RunState::kDispatched);
  EXPECT_FALSE(*two_.TakeRun(idle.run_id, {})) << "it has no place";
  ASSERT_TRUE(RunLedger(pool_).Claim(picked.run_id, "one", {}, {}));
  ASSERT_TRUE(queue_.PutBack(both, std::chrono::seconds(0)));
  EXPECT_EQ(StateOf(picked.run_id), RunState::kRunning);
  EXPECT_EQ(queue_.AdmitUpTo(10)->size(), 1U) << "a worker with room takes it up again";
  EXPECT_EQ(*two_.Take(10, {}), std::vector<std::string>{idle.run_id});
}

TEST_F(PickUpsTest, TheCatalogFindsByNameUidAndRun) {
  const RunRecord a = Enqueue("alpha");
  Enqueue("beta");
  TaskCatalog catalog(pool_);
  for (const std::string& reference : {std::string("alpha"), a.task_uid, a.task_uid.substr(0, 8), a.run_id}) {
    const auto found = catalog.Find("local", reference, {});
    ASSERT_TRUE(found) << reference;
    EXPECT_EQ(found->name, "alpha");
  }
  EXPECT_EQ(catalog.Find("local", "gamma", {}).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(catalog.Find("other", "alpha", {}).error().code, ErrorCode::kNotFound);
  const auto by_name = catalog.List({.namespace_name = "local", .order = TaskOrder::kName}, {});
  ASSERT_EQ(by_name->size(), 2U);
  EXPECT_EQ(by_name->front().title, "Title of alpha");
  EXPECT_EQ(catalog.List({.states = {"Running"}}, {})->size(), 0U);
  EXPECT_EQ(catalog.List({.limit = 1}, {})->front().name, "beta") << "the newest";
  EXPECT_EQ(catalog.RunWorkflow(a.run_id, {})->name, "ybis-native");
}

}  // namespace
}  // namespace ybis::control
