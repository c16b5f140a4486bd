#include <fmt/format.h>

#include <set>
#include <thread>

#include "control/journal.h"
#include "control/task_catalog.h"
#include "store/queue_store.h"
#include "tests/integration/store/fixture.h"

namespace ybis::testing {
namespace {

using control::AdmissionLimits;
using control::RunState;
using namespace std::chrono_literals;

/// Limits that nothing reaches.
constexpr AdmissionLimits kOpen{100'000, 100'000, 100'000};

TEST(TaskQueue, SubmitRecordsAndDispatchesAtOnceWhenThereIsRoom) {
  World world(Server().NewDatabase());
  const auto submission = Submission("hello");
  const auto run = world.queue.Submit(submission);
  YBIS_ASSERT_OK(run);
  EXPECT_EQ(run->run_id, submission.uid.substr(0, 8) + "-1");
  EXPECT_EQ(run->state, RunState::kDispatched);
  EXPECT_EQ(run->task_namespace, "default");
  EXPECT_EQ(run->task_name, "hello");
  EXPECT_EQ(run->attempt, 0);
}

TEST(TaskQueue, SubmitTwiceIsOneRunAndANewRerunTokenIsAnother) {
  World world(Server().NewDatabase());
  auto submission = Submission("again");
  const auto first = world.queue.Submit(submission);
  YBIS_ASSERT_OK(world.queue.Submit(submission));
  EXPECT_EQ(Count(world.pool, "SELECT count(*) FROM runs"), 1);
  YBIS_ASSERT_OK(world.queue.Fail(first->run_id, {api::FailureClass::kInfra, "Test", "over"}));
  submission.spec.rerun_token = "now";
  submission.generation = 2;
  const auto second = world.queue.Submit(submission);
  YBIS_ASSERT_OK(second);
  EXPECT_EQ(second->number, 2);
  EXPECT_EQ(second->rerun_token, "now");
  submission.spec.rerun_token = "";  // an earlier token starts nothing
  const auto third = world.queue.Submit(submission);
  YBIS_ASSERT_OK(third);
  EXPECT_EQ(third->number, 2);
}

TEST(TaskQueue, ANameThatIsToBeUniqueIsGivenToOneOfManyAtOnce) {
  World world(Server().NewDatabase());
  std::atomic<int> made = 0, refused = 0;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 6; ++i) {
      threads.emplace_back([&] {
        auto submission = Submission("twin");
        submission.unique_name = true;
        const auto run = world.queue.Submit(submission);
        if (run) ++made;
        if (!run && run.error().code == ErrorCode::kExists) ++refused;
      });
    }
  }
  EXPECT_EQ(made, 1);
  EXPECT_EQ(refused, 5);
  EXPECT_EQ(Count(world.pool, "SELECT count(*) FROM tasks WHERE name = 'twin'"), 1);
  auto elsewhere = Submission("twin");
  elsewhere.namespace_name = "other";
  elsewhere.unique_name = true;
  YBIS_EXPECT_OK(world.queue.Submit(elsewhere));
}

TEST(TaskQueue, RunsOfTasksWhoseUidsBeginAlikeGetDifferentIds) {
  World world(Server().NewDatabase());
  auto first = Submission("first");
  auto second = Submission("second");
  first.uid = "11111111-1111-4111-8111-111111111111";
  second.uid = "11111111-2222-4222-8222-222222222222";
  EXPECT_EQ(world.queue.Submit(first)->run_id, "11111111-1");
  EXPECT_EQ(world.queue.Submit(second)->run_id, "11111111-2222-1");
}

TEST(TaskQueue, AdmitsByPriorityThenAge) {
  World world(Server().NewDatabase(), {1, 100, 100});
  const std::string busy = Dispatched(world, "busy");
  const std::vector<std::pair<std::string, api::Priority>> waiting = {{"low", api::Priority::kLow},
                                                                      {"medium-1", api::Priority::kMedium},
                                                                      {"medium-2", api::Priority::kMedium},
                                                                      {"high", api::Priority::kHigh}};
  for (const auto& [name, priority] : waiting) {
    EXPECT_EQ(world.queue.Submit(Submission(name, priority))->state, RunState::kQueued);
  }
  std::vector<std::string> order;
  std::string last = busy;
  for (size_t i = 0; i < waiting.size(); ++i) {
    YBIS_ASSERT_OK(world.queue.Cancel(last, "make room"));
    const auto admitted = world.queue.Admit();
    YBIS_ASSERT_OK(admitted);
    ASSERT_EQ(admitted->size(), 1u);
    order.push_back(admitted->front().task_name);
    last = admitted->front().run_id;
  }
  EXPECT_EQ(order, (std::vector<std::string>{"high", "medium-1", "medium-2", "low"}));
}

TEST(TaskQueue, KeepsToTheLimitsOfNamespaceAndRepositoryBranch) {
  World world(Server().NewDatabase(), {100, 3, 1});
  for (int i = 0; i < 5; ++i) {
    YBIS_ASSERT_OK(
        world.queue.Submit(Submission("a" + std::to_string(i), api::Priority::kMedium, {}, "alpha")));
  }
  for (int i = 0; i < 20; ++i) {  // more than a page of the queue that all wait for the same branch
    YBIS_ASSERT_OK(world.queue.Submit(
        Submission("b" + std::to_string(i), api::Priority::kHigh, "https://git.example/same.git/", "beta")));
  }
  YBIS_ASSERT_OK(world.queue.Submit(Submission("b-other", api::Priority::kLow, {}, "beta")));
  const std::string active = "SELECT count(*) FROM leases WHERE namespace = $1";
  EXPECT_EQ(Count(world.pool, active, {"alpha"}), 3);
  EXPECT_EQ(Count(world.pool, active, {"beta"}), 2);
  EXPECT_EQ(Count(world.pool, "SELECT count(*) FROM queue"), 21);
}

TEST(TaskQueue, AHighPriorityBehindBlockedOnesStillComesBeforeALowerOne) {
  World world(Server().NewDatabase(), {2, 100, 1});
  const std::string first = Dispatched(world, "first");
  for (int i = 0; i < 12; ++i) {
    YBIS_ASSERT_OK(world.queue.Submit(
        Submission("same" + std::to_string(i), api::Priority::kHigh, "https://git.example/same")));
  }
  YBIS_ASSERT_OK(world.queue.Submit(Submission("low", api::Priority::kLow)));
  YBIS_ASSERT_OK(world.queue.Submit(Submission("high", api::Priority::kHigh)));
  YBIS_ASSERT_OK(world.queue.Cancel(first, "make room"));
  const auto admitted = world.queue.Admit();
  YBIS_ASSERT_OK(admitted);
  ASSERT_EQ(admitted->size(), 1u);
  EXPECT_EQ(admitted->front().task_name, "high");
}

TEST(TaskQueue, ARunBehindHundredsOfAFullLaneOrNamespaceIsFoundAndTheyAreNotForgotten) {
  World world(Server().NewDatabase(), {100, 700, 1});
  std::vector<std::string> waiting;
  for (int i = 0; i < 600; ++i) {
    waiting.push_back(
        world.queue
            .Submit(Submission("one-" + std::to_string(i), api::Priority::kMedium, "https://git.example/one"))
            ->run_id);
  }
  EXPECT_EQ(Count(world.pool, "SELECT count(*) FROM leases"), 1) << "one of them has the lane's place";
  const auto other =
      world.queue.Submit(Submission("other", api::Priority::kMedium, "https://git.example/two"));
  YBIS_ASSERT_OK(other);
  EXPECT_EQ(other->state, RunState::kDispatched);
  YBIS_ASSERT_OK(world.queue.Cancel(waiting[0], "x"));
  const auto next = world.queue.Admit();
  YBIS_ASSERT_OK(next);
  ASSERT_EQ(next->size(), 1U);
  EXPECT_EQ(next->front().run_id, waiting[1]) << "the oldest that waits";
}

TEST(TaskQueue, ManyLeadersAdmitEachRunOnceAndNeverPastTheLimit) {
  World world(Server().NewDatabase(), {7, 100, 100}, {}, 16);
  for (int i = 0; i < 40; ++i) YBIS_ASSERT_OK(world.queue.Submit(Submission("t" + std::to_string(i))));
  const auto first = world.pool.Execute("SELECT run_id FROM leases", {}, {});
  ASSERT_EQ(first->size(), 7u);  // dispatched when they were submitted
  for (size_t i = 0; i < first->size(); ++i) {
    YBIS_ASSERT_OK(world.queue.Fail((*first)[i].Text(0), {api::FailureClass::kInfra, "Test", "over"}));
  }
  std::mutex mutex;
  std::multiset<std::string> admitted;
  std::vector<std::jthread> leaders;
  for (int leader = 0; leader < 8; ++leader) {
    leaders.emplace_back([&] {
      control::TaskQueue queue(world.pool, world.limits);
      for (int round = 0; round < 15; ++round) {
        const auto runs = queue.Admit();
        YBIS_EXPECT_OK(runs);
        EXPECT_LE(Count(world.pool, "SELECT count(*) FROM leases"), 7);
        if (!runs) return;
        for (const auto& run : *runs) {
          {
            const std::lock_guard lock(mutex);
            admitted.insert(run.run_id);
          }
          YBIS_EXPECT_OK(queue.Fail(run.run_id, {api::FailureClass::kInfra, "Test", "over"}));
        }
      }
    });
  }
  leaders.clear();
  EXPECT_EQ(admitted.size(), 33u);
  EXPECT_EQ(std::set<std::string>(admitted.begin(), admitted.end()).size(), admitted.size());
}

TEST(TaskQueue, AQueuedRunFollowsItsTasksNewestGeneration) {
  World world(Server().NewDatabase(), {1, 10, 10});
  const std::string busy = Dispatched(world, "busy");
  auto submission = Submission("edited", api::Priority::kLow);
  const auto run = world.queue.Submit(submission);
  YBIS_ASSERT_OK(world.queue.Submit(Submission("other")));
  submission.generation = 2;
  submission.spec.priority = api::Priority::kHigh;
  submission.spec.objective = "Something else.";
  YBIS_ASSERT_OK(world.queue.Submit(submission));
  YBIS_ASSERT_OK(world.queue.Cancel(busy, "make room"));
  const auto admitted = world.queue.Admit();
  ASSERT_EQ(admitted->size(), 1u);
  EXPECT_EQ(admitted->front().task_name, "edited");
  EXPECT_EQ(world.ledger.RunSpec(run->run_id, {})->objective, "Something else.");
}

TEST(TaskQueue, AnEditThatMovesNothingKeepsTheRunsTurn) {
  World world(Server().NewDatabase(), {1, 10, 10});
  const std::string busy = Dispatched(world, "busy");
  auto submission = Submission("edited");
  const auto run = world.queue.Submit(submission);
  YBIS_ASSERT_OK(world.queue.Submit(Submission("other")));
  submission.generation = 2;
  submission.spec.objective = "Something else.";
  YBIS_ASSERT_OK(world.queue.Submit(submission));
  YBIS_ASSERT_OK(world.queue.Cancel(busy, "make room"));
  const auto admitted = world.queue.Admit();
  ASSERT_EQ(admitted->size(), 1u);
  EXPECT_EQ(admitted->front().task_name, "edited");
  EXPECT_EQ(world.ledger.RunSpec(run->run_id, {})->objective, "Something else.");
}

TEST(TaskQueue, AHeldRunHasNeitherTurnNorPlaceUntilItIsReleased) {
  World world(Server().NewDatabase(), {.total = 1, .per_namespace = 0, .per_repository_branch = 0});
  const std::string first = Dispatched(world, "first");
  const std::string second = world.queue.Submit(Submission("second"))->run_id;
  const std::string third = world.queue.Submit(Submission("third"))->run_id;
  YBIS_ASSERT_OK(world.queue.HoldBack(second, "Suspended", "spec.suspend is true", std::nullopt));
  YBIS_ASSERT_OK(world.queue.HoldBack(second, "Suspended", "spec.suspend is true", std::nullopt));
  YBIS_ASSERT_OK(world.queue.HoldBack(first, "JobForbidden", "exceeded quota", std::chrono::seconds(60)));
  YBIS_EXPECT_CODE(world.ledger.Claim(first, "pod-1", {}, {}), kConflict);  // it has no place
  auto admitted = world.queue.Admit();
  ASSERT_TRUE(admitted);
  ASSERT_EQ(admitted->size(), 1u) << "the place of the first, past the turn of the second";
  EXPECT_EQ(admitted->at(0).run_id, third);

  const auto held = world.ledger.GetRun(first, {}).value();
  EXPECT_EQ(held.state, RunState::kQueued);
  ASSERT_TRUE(held.hold);
  EXPECT_EQ(held.hold->reason, "JobForbidden");
  ASSERT_TRUE(held.hold->left);
  EXPECT_GT(*held.hold->left, std::chrono::seconds(50));
  EXPECT_LE(*held.hold->left, std::chrono::seconds(60));
  EXPECT_FALSE(world.ledger.GetRun(second, {})->hold->left);
  EXPECT_EQ(Count(world.pool, "SELECT count(*) FROM events WHERE type = 'RUN_HELD'"), 2);

  YBIS_ASSERT_OK(world.queue.Release(second));
  YBIS_ASSERT_OK(world.queue.Release(second));
  YBIS_ASSERT_OK(world.queue.Release(first));
  YBIS_ASSERT_OK(world.queue.Cancel(third, "make room"));
  admitted = world.queue.Admit();
  ASSERT_TRUE(admitted);
  ASSERT_EQ(admitted->size(), 1u);
  EXPECT_EQ(admitted->at(0).run_id, second);
  EXPECT_FALSE(admitted->at(0).hold);
  Claimed(world, second);
  YBIS_ASSERT_OK(world.queue.HoldBack(second, "Suspended", "too late", std::nullopt));
  EXPECT_EQ(world.ledger.GetRun(second, {})->state, RunState::kRunning);
}

TEST(TaskQueue, ARunThatIsRefusedAgainAndAgainWaitsLongerEachTimeAndIsToldOnce) {
  World world(Server().NewDatabase());
  auto submission = Submission("a");
  const std::string run = world.queue.Submit(submission)->run_id;
  const auto refuse = [&](std::chrono::seconds wanted, const std::string& message) {
    YBIS_EXPECT_OK(world.queue.HoldBack(run, "JobForbidden", message, 30s));
    const auto held = world.ledger.GetRun(run, {}).value();
    ASSERT_TRUE(held.hold && held.hold->left);
    EXPECT_LE(*held.hold->left, wanted);
    EXPECT_GT(*held.hold->left, wanted - 10s);
    EXPECT_EQ(held.hold->message, message) << "the newest";
  };
  const auto try_again = [&] {
    YBIS_EXPECT_OK(world.queue.Release(run));
    EXPECT_EQ(world.queue.Admit()->size(), 1u);
  };
  const auto told = [&](const char* type) {
    return Count(world.pool, "SELECT count(*) FROM events WHERE type = $1", {type});
  };
  for (const auto wanted : {30s, 60s, 120s, 240s, 480s, 900s, 900s}) {
    refuse(wanted, fmt::format("used: {}", wanted.count()));
    refuse(wanted, "told anew");
    try_again();
  }
  for (const char* type : {"RUN_QUEUED", "RUN_DISPATCHED", "RUN_HELD"}) EXPECT_EQ(told(type), 1) << type;

  refuse(900s, "");
  submission.generation = 2;
  YBIS_ASSERT_OK(world.queue.Submit(submission));
  EXPECT_LE(*world.ledger.GetRun(run, {})->hold->left, 0s) << "an edit may have mended it";
  YBIS_ASSERT_OK(world.queue.HoldBack(run, "Suspended", "", std::nullopt));
  EXPECT_FALSE(world.ledger.GetRun(run, {})->hold->left);
  try_again();
  EXPECT_EQ(told("RUN_QUEUED"), 2) << "another story";
  EXPECT_EQ(told("RUN_DISPATCHED"), 2);
  refuse(30s, "");
  EXPECT_EQ(told("RUN_HELD"), 2);
  try_again();
  refuse(60s, "");
  try_again();
  const int64_t epoch = Claimed(world, run);
  YBIS_ASSERT_OK(world.ledger.Release(run, {epoch, "drained"}, {}));
  refuse(30s, "");
  EXPECT_EQ(told("RUN_HELD"), 3) << "a claim begins anew";
}

TEST(TaskQueue, AHoldStopsTheClockOfTheDeadline) {
  World world(Server().NewDatabase());
  const std::string run = Dispatched(world, "a");
  const int64_t epoch = Claimed(world, run);
  YBIS_ASSERT_OK(world.ledger.Release(run, {epoch, "drained"}, {}));
  YBIS_ASSERT_OK(world.pool.Execute("UPDATE leases SET deadline = now() + interval '100 s'", {}, {}));
  YBIS_ASSERT_OK(world.queue.HoldBack(run, "Suspended", "", std::nullopt));
  EXPECT_EQ(Count(world.pool,
                  "SELECT count(*) FROM runs WHERE deadline IS NULL AND time_left BETWEEN "
                  "interval '90 s' AND interval '100 s'"),
            1);
  YBIS_ASSERT_OK(world.queue.Release(run));
  ASSERT_EQ(world.queue.Admit()->size(), 1u);
  EXPECT_EQ(Count(world.pool, "SELECT count(*) FROM leases WHERE deadline > now() + interval '80 s'"), 1);
  EXPECT_GT(Claimed(world, run), epoch);
}

TEST(TaskQueue, ARunThatIsPutBackKeepsItsTimeAndGoesOnUnderANewEpoch) {
  World world(Server().NewDatabase());
  const std::string run = Dispatched(world, "a");
  const int64_t epoch = Claimed(world, run);
  YBIS_ASSERT_OK(world.ledger.ReportNode(run, NodeReportOf(epoch, 1), {}));
  YBIS_ASSERT_OK(world.ledger.Release(run, {epoch, "stopped"}, {}));
  YBIS_ASSERT_OK(world.pool.Execute("UPDATE leases SET deadline = now() + interval '100 s'", {}, {}));
  YBIS_ASSERT_OK(world.queue.PutBack({run}, std::chrono::seconds(0)));
  EXPECT_EQ(Count(world.pool, "SELECT count(*) FROM leases"), 0);
  EXPECT_EQ(
      Count(world.pool,
            "SELECT count(*) FROM runs WHERE state = 'Queued' AND deadline IS NULL AND time_left BETWEEN "
            "interval '90 s' AND interval '100 s'"),
      1);
  ASSERT_EQ(world.queue.Admit()->size(), 1u);
  EXPECT_EQ(Count(world.pool, "SELECT count(*) FROM leases WHERE deadline > now() + interval '80 s'"), 1);
  const auto claim = world.ledger.Claim(run, "pod-2", {}, {});
  YBIS_ASSERT_OK(claim);
  EXPECT_GT(claim->epoch, epoch);
  EXPECT_EQ(claim->attempt, 2);
  EXPECT_TRUE(claim->checkpoint) << "it goes on where it stood";
}

TEST(TaskQueue, WhatIsPastItsDeadlineIsNotPutBack) {
  World world(Server().NewDatabase());
  const std::string run = Dispatched(world, "a");
  YBIS_ASSERT_OK(world.pool.Execute("UPDATE leases SET deadline = now() - interval '1 s'", {}, {}));
  YBIS_ASSERT_OK(world.queue.PutBack({run}, std::chrono::seconds(0)));
  ASSERT_EQ(world.watchdog.Sweep({})->size(), 1u);
  EXPECT_EQ(world.ledger.GetRun(run, {})->state, RunState::kFailed);
}

TEST(TaskQueue, AHeldRunFollowsItsTaskAndCanBeCancelled) {
  World world(Server().NewDatabase(), {.total = 1, .per_namespace = 0, .per_repository_branch = 0});
  const std::string first = Dispatched(world, "first");
  world.queue.Submit(Submission("low", api::Priority::kLow)).value();
  auto edited = Submission("held", api::Priority::kLow);
  const std::string held = world.queue.Submit(edited)->run_id;
  YBIS_ASSERT_OK(world.queue.HoldBack(held, "InvalidSpec", "spec.objective", std::nullopt));
  edited.spec.priority = api::Priority::kHigh;
  edited.generation = 2;
  edited.spec.objective = "Another";
  YBIS_ASSERT_OK(world.queue.Submit(edited));
  EXPECT_TRUE((*world.queue.LatestRun(edited.uid))->hold) << "an edit alone lets nothing go";
  YBIS_ASSERT_OK(world.queue.Release(held));
  YBIS_ASSERT_OK(world.queue.Fail(first, {api::FailureClass::kInfra, "Gone", ""}));
  const auto admitted = world.queue.Admit();
  ASSERT_TRUE(admitted);
  ASSERT_EQ(admitted->size(), 1u);
  EXPECT_EQ(admitted->at(0).run_id, held) << "by its new priority";
  EXPECT_EQ(world.ledger.Claim(held, "pod-1", {}, {})->order.spec.objective, "Another");

  const std::string last = world.queue.Submit(Submission("last"))->run_id;
  YBIS_ASSERT_OK(world.queue.HoldBack(last, "Suspended", "", std::nullopt));
  YBIS_ASSERT_OK(world.queue.Cancel(last, "no more"));
  EXPECT_EQ(world.ledger.GetRun(last, {})->state, RunState::kCancelled);
  EXPECT_EQ(Count(world.pool, "SELECT count(*) FROM holds"), 0);
}

TEST(TaskQueue, ARunThatEndsWhileItIsReleasedIsOverAndLeavesTheQueue) {
  World world(Server().NewDatabase());
  const std::string run = Dispatched(world, "a");
  YBIS_ASSERT_OK(world.queue.HoldBack(run, "Suspended", "", std::nullopt));
  std::jthread ender;
  const auto released = world.pool.Transact(
      [&](store::Transaction& tx) -> Result<bool> {
        store::QueueStore queue(tx);
        YBIS_TRY(queue.Lock());
        YBIS_ASSIGN(const bool done, queue.Release(run));
        ender = std::jthread([&] {
          YBIS_EXPECT_OK(world.queue.Fail(run, {api::FailureClass::kInfra, "Test", "over"}));
        });
        EXPECT_TRUE(SomebodyWaits(world));
        return done;
      },
      std::stop_token{});
  ender.join();
  YBIS_ASSERT_OK(released);
  EXPECT_TRUE(*released);
  EXPECT_EQ(Count(world.pool, "SELECT count(*) FROM queue"), 0);
  EXPECT_EQ(Count(world.pool, "SELECT count(*) FROM holds"), 0);
}

TEST(TaskQueue, ARunThatIsOverIsNotAdmittedWhateverTheQueueSays) {
  World world(Server().NewDatabase());
  const std::string run = Dispatched(world, "a");
  YBIS_ASSERT_OK(world.queue.Fail(run, {api::FailureClass::kInfra, "Test", "over"}));
  YBIS_ASSERT_OK(
      world.pool.Execute("INSERT INTO queue (priority, position, run_id, namespace, lane) "
                         "VALUES (1, nextval('queue_position'), $1, 'default', 'l')",
                         {run}, {}));
  YBIS_ASSERT_OK(world.queue.Admit());
  EXPECT_EQ(world.ledger.GetRun(run, {})->state, RunState::kFailed);
  EXPECT_EQ(Count(world.pool, "SELECT count(*) FROM leases"), 0);
  EXPECT_EQ(Count(world.pool, "SELECT count(*) FROM queue"), 0);
}

TEST(TaskQueue, OldHintsAreForgotten) {
  World world(Server().NewDatabase());
  const auto look = [&](store::QueueHints hints) {
    return *world.pool.Transact(
        [&](store::Transaction& tx) -> Result<store::QueueHints> {
          store::QueueStore queue(tx);
          YBIS_TRY(queue.Lock());
          YBIS_TRY(queue.Active(hints));
          return hints;
        },
        {});
  };
  // Positions are handed out, so that a hint may stand at the first of them.
  YBIS_ASSERT_OK(world.queue.Cancel(Dispatched(world, "t"), "x"));
  store::QueueHints hints = look({});
  hints.waiting[1] = 1;
  EXPECT_EQ(look(hints).waiting[1], 1);
  hints.since -= 31s;
  EXPECT_EQ(look(hints).waiting[1], 0) << "what a crash took back may stand below";
}

TEST(TaskQueue, ACancelThatFailsLeavesTheRunAsItWas) {
  World world(Server().NewDatabase(), {1, 10, 10});
  const std::string busy = Dispatched(world, "busy");
  const auto queued = world.queue.Submit(Submission("queued"));
  YBIS_ASSERT_OK(
      world.pool.Execute("ALTER TABLE runs ADD CONSTRAINT stuck CHECK (state <> 'Cancelled')", {}, {}));
  EXPECT_FALSE(world.queue.Cancel(queued->run_id, "x"));
  EXPECT_EQ(Count(world.pool, "SELECT count(*) FROM runs WHERE cancel_requested"), 0);
  EXPECT_EQ(Count(world.pool, "SELECT count(*) FROM queue"), 1);
}

TEST(TaskCatalog, ListsTasksBesideOneThatHasANul) {
  World world(Server().NewDatabase());
  auto poisoned = Submission("poisoned", api::Priority::kHigh);
  poisoned.spec.objective = std::string("a\0b", 3);
  YBIS_ASSERT_OK(world.queue.Submit(poisoned));
  YBIS_ASSERT_OK(world.queue.Submit(Submission("low", api::Priority::kLow)));
  YBIS_ASSERT_OK(world.queue.Submit(Submission("high", api::Priority::kHigh)));
  control::TaskCatalog catalog(world.pool);
  const auto tasks = catalog.List({.order = control::TaskOrder::kPriority}, {});
  YBIS_ASSERT_OK(tasks);
  ASSERT_EQ(tasks->size(), 3u);
  EXPECT_EQ(tasks->front().name, "high");
  EXPECT_EQ(tasks->back().priority, "LOW");
  EXPECT_EQ((*tasks)[1].objective, poisoned.spec.objective);
}

TEST(TaskQueue, CancelEndsWhatNobodyRunsAndAsksARunnerToStop) {
  World world(Server().NewDatabase(), {1, 10, 10});
  const std::string running = Dispatched(world, "running");
  const int64_t epoch = Claimed(world, running);
  const auto queued = world.queue.Submit(Submission("queued"));
  YBIS_ASSERT_OK(world.queue.Cancel(queued->run_id, "no longer wanted"));
  EXPECT_EQ(world.ledger.GetRun(queued->run_id, {})->state, RunState::kCancelled);
  YBIS_ASSERT_OK(world.queue.Cancel(running, "no longer wanted"));
  EXPECT_EQ(world.ledger.GetRun(running, {})->state, RunState::kRunning);
  const auto beat = world.ledger.Heartbeat(running, {epoch, "planner"}, {});
  YBIS_ASSERT_OK(beat);
  EXPECT_TRUE(beat->cancel);
  YBIS_ASSERT_OK(world.ledger.Release(running, {epoch, "SIGTERM"}, {}));
  const auto run = world.ledger.GetRun(running, {});
  EXPECT_EQ(run->state, RunState::kCancelled);
  EXPECT_EQ(run->failure->failure_class, api::FailureClass::kCancelled);
  YBIS_EXPECT_OK(world.ledger.Release(running, {epoch, "SIGTERM"}, {}));
  YBIS_EXPECT_CODE(world.queue.Cancel("nobody-1", ""), kNotFound);
}

TEST(TaskQueue, FailEndsARunOnceAndLeavesTerminalOnesAlone) {
  World world(Server().NewDatabase());
  const std::string run_id = Dispatched(world, "t");
  const int64_t epoch = Claimed(world, run_id);
  YBIS_ASSERT_OK(world.queue.Fail(run_id, {api::FailureClass::kInfra, "JobFailed", "the Job failed"}));
  YBIS_EXPECT_OK(world.queue.Fail(run_id, {api::FailureClass::kTimeout, "Other", "too late"}));
  const auto run = world.ledger.GetRun(run_id, {});
  EXPECT_EQ(run->state, RunState::kFailed);
  EXPECT_EQ(run->failure->reason, "JobFailed");
  YBIS_EXPECT_CODE(world.ledger.Finish(run_id, FinishOf(epoch), {}), kStale);
  EXPECT_EQ(world.ledger.GetRun(run_id, {})->state, RunState::kFailed);
}

TEST(TaskQueue, JournalHasOneEntryAKeyAndOneAStateChange) {
  World world(Server().NewDatabase());
  const std::string run_id = Dispatched(world, "t");
  const int64_t epoch = Claimed(world, run_id);
  YBIS_ASSERT_OK(world.queue.RecordEvent(run_id, "job", "JOB_CREATED", std::string("nul\0inside", 10)));
  YBIS_ASSERT_OK(world.queue.RecordEvent(run_id, "job", "JOB_CREATED", "again"));
  YBIS_ASSERT_OK(world.ledger.Finish(run_id, FinishOf(epoch), {}));
  YBIS_EXPECT_CODE(world.queue.RecordEvent("nobody-1", "k", "T", ""), kNotFound);
  const auto entries = control::Journal(world.pool).Read(run_id, 0, 100, {});
  YBIS_ASSERT_OK(entries);
  std::vector<std::string> types;
  for (const auto& entry : *entries) types.push_back(entry.type);
  EXPECT_EQ(types, (std::vector<std::string>{"RUN_QUEUED", "RUN_DISPATCHED", "RUN_CLAIMED", "JOB_CREATED",
                                             "RUN_COMPLETED"}));
  EXPECT_EQ((*entries)[3].message, "nul\xEF\xBF\xBDinside");
}

TEST(TaskQueue, EightThreadsClaimEachOf500RunsExactlyOnce) {
  World world(Server().NewDatabase(), kOpen, {}, 10);
  for (int i = 0; i < 500; ++i) {
    YBIS_ASSERT_OK(world.queue.Submit(Submission("t" + std::to_string(i), api::Priority::kMedium, "same")));
  }
  YBIS_ASSERT_OK(world.pool.Execute("SELECT 1", {}, {}));
  // All are dispatched: every thread tries to claim every run, in its own order.
  const auto rows = world.pool.Execute("SELECT run_id FROM runs ORDER BY run_id", {}, {});
  std::vector<std::string> ids;
  for (size_t i = 0; i < rows->size(); ++i) ids.push_back((*rows)[i].Text(0));
  std::atomic<int> won{0};
  std::vector<std::jthread> threads;
  for (size_t t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (size_t i = 0; i < ids.size(); ++i) {
        const auto claim =
            world.ledger.Claim(ids[(i + t * 61) % ids.size()], "worker-" + std::to_string(t), {}, {});
        if (claim) {
          ++won;
        } else {
          EXPECT_EQ(claim.error().code, ErrorCode::kConflict) << Message(claim);
        }
      }
    });
  }
  threads.clear();
  EXPECT_EQ(won, 500);
  EXPECT_EQ(Count(world.pool, "SELECT count(*) FROM runs WHERE attempt = 1 AND epoch = 1"), 500);
}

TEST(TaskQueue, AnOldSnapshotDoesNotMakeItWalkDeadEntries) {
  World world(Server().NewDatabase(), kOpen);
  // A transaction elsewhere keeps every dead row from being cleaned up.
  const auto held = world.pool.Transact(
      [&](store::Transaction& old) -> Status {
        YBIS_TRY(old.Exec("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"));
        YBIS_TRY(old.Exec("SELECT count(*) FROM runs"));
        const auto cycle = [&](int count) {
          for (int i = 0; i < count; ++i) {
            const std::string run_id = Dispatched(world, "t");
            YBIS_EXPECT_OK(world.ledger.Finish(run_id, FinishOf(Claimed(world, run_id)), {}));
          }
        };
        const auto entries_read = [&] {
          YBIS_EXPECT_OK(world.pool.Execute("SELECT pg_stat_force_next_flush()", {}, {}));
          return Count(world.pool,
                       "SELECT sum(idx_tup_read)::bigint FROM pg_stat_user_indexes WHERE indexrelname IN "
                       "('queue_pkey', 'leases_position_key')");
        };
        cycle(300);
        const int64_t before = entries_read();
        cycle(100);
        const int64_t read = entries_read() - before;
        std::printf("%ld index entries read in 100 cycles behind 300 dead ones\n", static_cast<long>(read));
        EXPECT_GT(read, 0);
        EXPECT_LT(read, 100 * 20);
        return {};
      },
      {});
  YBIS_EXPECT_OK(held);
}

TEST(TaskChanges, TellsWithinMilliseconds) {
  World world(Server().NewDatabase());
  const std::string run_id = Dispatched(world, "told");
  std::atomic<bool> connected{false};
  std::atomic<int> told{0};
  control::TaskChanges changes(
      world.url,
      [&](const std::string& ns, const std::string& name) {
        told += ns == "default" && name == "told" ? 1 : 0;
      },
      [&] { connected = true; });
  for (int i = 0; i < 500 && !connected; ++i) std::this_thread::sleep_for(10ms);
  ASSERT_TRUE(connected);
  const auto hears = [&told](int count) {
    const auto until = std::chrono::steady_clock::now() + 10s;
    while (told != count && std::chrono::steady_clock::now() < until) std::this_thread::yield();
    return told == count;
  };
  std::vector<std::chrono::microseconds> latencies;
  for (int i = 0; i < 50; ++i) {
    const int64_t epoch = Claimed(world, run_id);
    ASSERT_TRUE(hears(2 * i + 1));
    const auto begin = std::chrono::steady_clock::now();
    YBIS_ASSERT_OK(world.ledger.Release(run_id, {epoch, "test"}, {}));
    ASSERT_TRUE(hears(2 * i + 2));
    latencies.push_back(
        std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - begin));
  }
  std::sort(latencies.begin(), latencies.end());
  std::printf("call, commit and notification: p50 %ld us, max %ld us\n",
              static_cast<long>(latencies[25].count()), static_cast<long>(latencies.back().count()));
  EXPECT_LT(latencies[25], 25ms);
}

}  // namespace
}  // namespace ybis::testing
