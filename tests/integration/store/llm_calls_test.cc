// The record of model calls over a real Postgres.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <thread>

#include "tests/integration/store/fixture.h"

namespace ybis::testing {
namespace {

using namespace std::chrono_literals;

TEST(LlmCalls, AnAnswerIsRecordedOnceAndGivenAgain) {
  World world(Server().NewDatabase());
  const std::string run_id = Dispatched(world, "t");
  const int64_t epoch = Claimed(world, run_id);
  const control::LlmCallKey key{"planner", 1, 0, "sha256:1"};
  EXPECT_EQ(world.calls.Begin(run_id, epoch, key, {}, 10s, {})->state, control::LlmCallState::kNew);
  const auto waiting = world.calls.Begin(run_id, epoch, key, {}, 10s, {});
  EXPECT_EQ(waiting->state, control::LlmCallState::kInProgress);
  EXPECT_GT(waiting->retry_after, 0ms);
  api::ModelResponse answer;
  answer.content = std::string("with\0nul", 8);
  answer.answer = std::make_shared<const nlohmann::json>(nlohmann::json{{"text", answer.content}});
  answer.model = "m";
  answer.usage = {10, 5, 0.25, 1};
  YBIS_ASSERT_OK(world.calls.Complete(run_id, key, {"s1", 1, answer.usage}, answer, {}));
  const int64_t next_epoch = Claimed(world, run_id);
  YBIS_EXPECT_CODE(world.calls.Begin(run_id, epoch, key, {}, 10s, {}), kStale);
  const auto replay = world.calls.Begin(run_id, next_epoch, key, {}, 10s, {});
  YBIS_ASSERT_OK(replay);
  ASSERT_EQ(replay->state, control::LlmCallState::kDone);
  EXPECT_EQ(replay->recorded->content, answer.content);
  EXPECT_TRUE(replay->recorded->replayed);
  EXPECT_EQ(*replay->recorded->answer, *answer.answer);
  const auto usage = world.calls.RunUsage(run_id, {});
  EXPECT_EQ(usage->tokens_in, 10);
  EXPECT_EQ(usage->llm_calls, 1);
}

TEST(LlmCalls, TheFirstOfTwoAnswersStaysAndBothArePaid) {
  World world(Server().NewDatabase());
  const std::string run_id = Dispatched(world, "t");
  const int64_t epoch = Claimed(world, run_id);
  const control::LlmCallKey key{"planner", 1, 0, "sha256:1"};
  EXPECT_EQ(world.calls.Begin(run_id, epoch, key, {}, 1ms, {})->state, control::LlmCallState::kNew);
  std::this_thread::sleep_for(5ms);
  EXPECT_EQ(world.calls.Begin(run_id, epoch, key, {}, 10s, {})->state, control::LlmCallState::kNew);
  api::ModelResponse first, second;
  first.content = "first";
  second.content = "second";
  first.usage = second.usage = {10, 0, 0, 1};
  EXPECT_EQ(world.calls.Complete(run_id, key, {"s1", 1, first.usage}, first, {})->content, "first");
  const auto kept = world.calls.Complete(run_id, key, {"s2", 2, second.usage}, second, {});
  EXPECT_EQ(kept->content, "first");
  EXPECT_TRUE(kept->replayed);
  EXPECT_EQ(world.calls.RunUsage(run_id, {})->tokens_in, 20);
}

TEST(LlmCalls, AFailedCallMayBeBegunAgainAndItsCostCounts) {
  World world(Server().NewDatabase());
  const std::string run_id = Dispatched(world, "t");
  const int64_t epoch = Claimed(world, run_id);
  const control::LlmCallKey key{"planner", 1, 0, "sha256:1"};
  YBIS_ASSERT_OK(world.calls.Begin(run_id, epoch, key, {}, 10s, {}));
  YBIS_ASSERT_OK(world.calls.FailCall(run_id, key, {"s1", 1, {7, 3, 0, 1}}, "nonsense", {}));
  EXPECT_EQ(world.calls.Begin(run_id, epoch, key, {}, 10s, {})->state, control::LlmCallState::kNew);
  EXPECT_EQ(world.calls.RunUsage(run_id, {})->tokens_in, 7);
}

TEST(LlmCalls, WhoWasTakenOverChangesNothingButTheCost) {
  World world(Server().NewDatabase());
  const std::string run_id = Dispatched(world, "t");
  const int64_t epoch = Claimed(world, run_id);
  const control::LlmCallKey key{"planner", 1, 0, "sha256:1"};
  const control::LlmBudget budget{1200, 0, 600, 0};
  const auto first = world.calls.Begin(run_id, epoch, key, budget, 1ms, {});
  YBIS_ASSERT_OK(first);
  std::this_thread::sleep_for(5ms);
  const auto second = world.calls.Begin(run_id, epoch, key, budget, 200ms, {});
  YBIS_ASSERT_OK(second);
  EXPECT_NE(first->turn, second->turn);
  // Neither its failure nor its renewal touches what is another's now.
  YBIS_ASSERT_OK(
      world.calls.FailCall(run_id, key, {"s1", first->turn, {7, 3, 0, 1}, 600, 0}, "too late", {}));
  YBIS_ASSERT_OK(world.calls.Renew(run_id, key, first->turn, 10min, {}));
  EXPECT_EQ(world.calls.RunUsage(run_id, {})->tokens_in, 7);
  YBIS_EXPECT_CODE(world.calls.Begin(run_id, epoch, {"planner", 1, 1, "sha256:2"}, budget, 10s, {}),
                   kExhausted);
  EXPECT_EQ(world.calls.Begin(run_id, epoch, key, budget, 10s, {})->state,
            control::LlmCallState::kInProgress);
  std::this_thread::sleep_for(250ms);
  EXPECT_EQ(world.calls.Begin(run_id, epoch, key, {}, 10s, {})->state, control::LlmCallState::kNew);
}

TEST(LlmCalls, WhoeverIsNotHeardOfAnyMoreIsChargedAtItsMost) {
  World world(Server().NewDatabase());
  const std::string run_id = Dispatched(world, "t");
  const int64_t epoch = Claimed(world, run_id);
  const control::LlmCallKey key{"planner", 1, 0, "sha256:1"};
  const control::LlmBudget budget{1000, 10, 100, 0.5};
  const auto begin = [&](std::chrono::milliseconds timeout) {
    return world.calls.Begin(run_id, epoch, key, budget, timeout, {});
  };
  YBIS_ASSERT_OK(begin(1ms));
  std::this_thread::sleep_for(5ms);
  const auto expect_lost = [&](int64_t turns) {
    const auto usage = world.calls.RunUsage(run_id, {});
    EXPECT_EQ(usage->tokens_out, 100 * turns);
    EXPECT_NEAR(usage->cost_usd, 0.5 * static_cast<double>(turns), 1e-9);
    EXPECT_EQ(usage->llm_calls, turns);
    EXPECT_EQ(world.ledger.GetRun(run_id, {})->usage.tokens_out, 100 * turns);
  };
  expect_lost(1);
  YBIS_ASSERT_OK(begin(1ms));
  std::this_thread::sleep_for(5ms);
  expect_lost(2);
  const auto third = begin(10s);
  YBIS_ASSERT_OK(third);
  expect_lost(2);
  // The first was only slow: what it has spent takes the place of what it was charged with, told twice too.
  api::ModelResponse answer;
  const control::LlmSettlement late{"s1", 1, {10, 5, 0.25, 1}, 100, 0.5};
  for (int i = 0; i < 2; ++i) YBIS_ASSERT_OK(world.calls.Complete(run_id, key, late, answer, {}));
  YBIS_ASSERT_OK(
      world.calls.Complete(run_id, key, {"s3", third->turn, {10, 5, 0.25, 1}, 100, 0.5}, answer, {}));
  const auto usage = world.calls.RunUsage(run_id, {});
  EXPECT_EQ(usage->tokens_in, 20);
  EXPECT_EQ(usage->tokens_out, 110);
  EXPECT_NEAR(usage->cost_usd, 1.0, 1e-9);
  EXPECT_EQ(usage->llm_calls, 3);
}

TEST(LlmCalls, WhatWasLostLeavesLessRoom) {
  World world(Server().NewDatabase());
  const std::string run_id = Dispatched(world, "t");
  const int64_t epoch = Claimed(world, run_id);
  const control::LlmCallKey key{"planner", 1, 0, "sha256:1"};
  YBIS_ASSERT_OK(world.calls.Begin(run_id, epoch, key, {1000, 0, 600, 0}, 1ms, {}));
  std::this_thread::sleep_for(5ms);
  YBIS_EXPECT_CODE(world.calls.Begin(run_id, epoch, key, {1000, 0, 600, 0}, 10s, {}), kExhausted);
  YBIS_ASSERT_OK(world.calls.Begin(run_id, epoch, key, {1000, 0, 400, 0}, 10s, {}));
}

TEST(LlmCalls, WhatIsToldTwiceCountsOnce) {
  World world(Server().NewDatabase());
  const std::string run_id = Dispatched(world, "t");
  const int64_t epoch = Claimed(world, run_id);
  const control::LlmCallKey key{"planner", 1, 0, "sha256:1"};
  api::ModelResponse answer;
  answer.content = "yes";
  const control::LlmSettlement failed{"s1", 1, {7, 3, 0.5, 1}};
  const control::LlmSettlement answered{"s2", 2, {10, 5, 0.25, 1}};
  YBIS_ASSERT_OK(world.calls.Begin(run_id, epoch, key, {}, 10s, {}));
  for (int i = 0; i < 2; ++i) YBIS_ASSERT_OK(world.calls.FailCall(run_id, key, failed, "no", {}));
  YBIS_ASSERT_OK(world.calls.Begin(run_id, epoch, key, {}, 10s, {}));
  for (int i = 0; i < 2; ++i)
    EXPECT_EQ(world.calls.Complete(run_id, key, answered, answer, {})->content, "yes");
  const auto usage = world.calls.RunUsage(run_id, {});
  EXPECT_EQ(usage->tokens_in, 17);
  EXPECT_EQ(usage->tokens_out, 8);
  EXPECT_NEAR(usage->cost_usd, 0.75, 1e-9);
  EXPECT_EQ(usage->llm_calls, 2);
}

TEST(LlmCalls, AFailureIsRecordedWhateverBytesItsMessageHas) {
  World world(Server().NewDatabase());
  const std::string run_id = Dispatched(world, "t");
  const int64_t epoch = Claimed(world, run_id);
  const control::LlmCallKey key{"planner", 1, 0, "sha256:1"};
  YBIS_ASSERT_OK(world.calls.Begin(run_id, epoch, key, {}, 10s, {}));
  YBIS_ASSERT_OK(
      world.calls.FailCall(run_id, key, {"s1", 1, {7, 3, 0, 1}}, "HTTP 500: caf\xE9 \xE2\x82", {}));
  EXPECT_EQ(world.calls.RunUsage(run_id, {})->tokens_in, 7);
}

TEST(LlmCalls, WhatEndsAfterTheRunCountsForItAllTheSame) {
  World world(Server().NewDatabase());
  const std::string run_id = Dispatched(world, "t");
  const int64_t epoch = Claimed(world, run_id);
  const control::LlmCallKey key{"planner", 1, 0, "sha256:1"}, other{"planner", 1, 1, "sha256:2"};
  YBIS_ASSERT_OK(world.calls.Begin(run_id, epoch, key, {}, 10s, {}));
  YBIS_ASSERT_OK(world.calls.Begin(run_id, epoch, other, {}, 10s, {}));
  YBIS_ASSERT_OK(world.ledger.Finish(run_id, FinishOf(epoch), {}));
  api::ModelResponse answer;
  for (int i = 0; i < 2; ++i) {
    YBIS_ASSERT_OK(world.calls.Complete(run_id, key, {"s1", 1, {10, 5, 0.25, 1}}, answer, {}));
    YBIS_ASSERT_OK(world.calls.FailCall(run_id, other, {"s2", 1, {1, 0, 0, 1}}, "no", {}));
  }
  const auto run = world.ledger.GetRun(run_id, {});
  YBIS_ASSERT_OK(run);
  EXPECT_EQ(run->usage.tokens_in, 11);
  EXPECT_EQ(run->usage.llm_calls, 2);
  EXPECT_EQ(Count(world.pool, "SELECT tokens_in FROM metrics WHERE run_id = $1", {run_id}), 11);
}

TEST(LlmCalls, AskingAgainNeedsRoomBesideTheOtherCalls) {
  World world(Server().NewDatabase());
  const std::string run_id = Dispatched(world, "t");
  const int64_t epoch = Claimed(world, run_id);
  const control::LlmCallKey first{"planner", 1, 0, "sha256:1"}, second{"planner", 1, 1, "sha256:2"};
  const auto extend = [&](int64_t at_epoch, const control::LlmSettlement& settlement, int64_t reserve) {
    return world.calls.Extend(run_id, at_epoch, first, settlement, {1000, 0, reserve, 0}, 10s, {});
  };
  YBIS_ASSERT_OK(world.calls.Begin(run_id, epoch, first, {1000, 0, 500, 0}, 10s, {}));
  YBIS_ASSERT_OK(world.calls.Begin(run_id, epoch, second, {1000, 0, 400, 0}, 10s, {}));
  const control::LlmSettlement asked{"s1", 1, {100, 50, 0, 1}};
  YBIS_EXPECT_CODE(extend(epoch, asked, 500), kExhausted);
  EXPECT_EQ(world.calls.RunUsage(run_id, {})->tokens_in, 0) << "what is refused is not written";
  for (int i = 0; i < 2; ++i) YBIS_ASSERT_OK(extend(epoch, asked, 450));
  EXPECT_EQ(world.calls.RunUsage(run_id, {})->tokens_in, 100);
  YBIS_EXPECT_CODE(world.calls.Begin(run_id, epoch, {"n", 1, 0, "sha256:3"}, {1000, 0, 1, 0}, 10s, {}),
                   kExhausted);
  YBIS_EXPECT_CODE(extend(epoch, {"s2", 2, {}}, 1), kUnavailable);
  YBIS_EXPECT_CODE(extend(epoch + 1, {"s2", 1, {}}, 1), kStale);
}

TEST(LlmCalls, BudgetsHoldUnderConcurrentCalls) {
  World world(Server().NewDatabase(), {}, {}, 8);
  const std::string run_id = Dispatched(world, "t");
  const int64_t epoch = Claimed(world, run_id);
  control::LlmBudget budget;
  budget.max_tokens = 1000;
  budget.reserve_tokens = 300;
  std::atomic<int> begun{0};
  std::vector<std::jthread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      const auto start = world.calls.Begin(run_id, epoch, {"n", 1, t, "sha256:1"}, budget, 10s, {});
      if (start) ++begun;
      if (!start) {
        EXPECT_EQ(start.error().code, ErrorCode::kExhausted);
        EXPECT_FALSE(start.error().retryable);
      }
    });
  }
  threads.clear();
  EXPECT_EQ(begun, 3);
}

}  // namespace
}  // namespace ybis::testing
