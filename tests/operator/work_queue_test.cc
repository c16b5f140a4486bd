#include "operator/runtime/work_queue.h"

#include <gtest/gtest.h>

#include <thread>

namespace ybis::op {
namespace {

using namespace std::chrono_literals;

const kube::Key kA{"team", "a"};
const kube::Key kB{"team", "b"};

/// A queue whose time stands still until it is told; Get never blocks.
class QueueTest : public ::testing::Test {
 protected:
  WorkQueueSettings Settings() {
    WorkQueueSettings settings;
    settings.name = "test";
    settings.monotonic = [this] { return now_; };
    return settings;
  }
  std::optional<kube::Key> Next() {
    std::stop_source stopped;
    stopped.request_stop();
    return queue_.Get(stopped.get_token());
  }

  SteadyTime now_ = SteadyTime(1h);
  control::Metrics metrics_;
  WorkQueue queue_{Settings(), metrics_};
};

TEST_F(QueueTest, GivesOneKeyOnceHoweverOftenItWasAdded) {
  queue_.Add(kA);
  queue_.Add(kA);
  queue_.Add(kB);
  EXPECT_EQ(Next(), kA);
  EXPECT_EQ(Next(), kB);
  EXPECT_FALSE(Next());
}

TEST_F(QueueTest, NeverGivesOneKeyToTwoWorkers) {
  queue_.Add(kA);
  EXPECT_EQ(Next(), kA);
  queue_.Add(kA);
  EXPECT_FALSE(Next()) << "it is with a worker";
  queue_.Done(kA);
  EXPECT_EQ(Next(), kA) << "what changed meanwhile is looked at afterwards";
  queue_.Done(kA);
  EXPECT_FALSE(Next());
}

TEST_F(QueueTest, HoldsADelayedKeyUntilItIsDue) {
  queue_.AddAfter(kA, 10s);
  EXPECT_FALSE(Next());
  now_ += 9s;
  EXPECT_FALSE(Next());
  now_ += 1s;
  EXPECT_EQ(Next(), kA);
}

TEST_F(QueueTest, TakesTheEarliestOfSeveralDelays) {
  queue_.AddAfter(kA, 10s);
  queue_.AddAfter(kA, 2s);
  queue_.AddAfter(kA, 20s);
  now_ += 2s;
  EXPECT_EQ(Next(), kA);
  queue_.Done(kA);
  now_ += 1h;
  EXPECT_FALSE(Next()) << "the later ones are void";
}

TEST_F(QueueTest, LetsAnAddOvertakeADelay) {
  queue_.AddAfter(kA, 10s);
  queue_.Add(kA);
  EXPECT_EQ(Next(), kA);
  queue_.Done(kA);
  now_ += 1h;
  EXPECT_FALSE(Next());
}

TEST_F(QueueTest, DoublesTheWaitOfAKeyThatFailsAndForgetsItOnSuccess) {
  queue_.AddRateLimited(kA);
  now_ += 5ms;
  EXPECT_EQ(Next(), kA);
  queue_.Done(kA);
  queue_.AddRateLimited(kA);
  now_ += 9ms;
  EXPECT_FALSE(Next());
  now_ += 1ms;
  EXPECT_EQ(Next(), kA);
  queue_.Done(kA);
  EXPECT_EQ(queue_.Failures(kA), 2);
  queue_.Forget(kA);
  EXPECT_EQ(queue_.Failures(kA), 0);
}

TEST_F(QueueTest, WaitsAsLongAsTheOtherSideAsks) {
  queue_.AddRateLimited(kA, 30s);
  now_ += 29s;
  EXPECT_FALSE(Next());
  now_ += 1s;
  EXPECT_EQ(Next(), kA);
  queue_.Done(kA);
  EXPECT_EQ(queue_.Failures(kA), 1);
}

TEST_F(QueueTest, GivesNothingAfterShutDown) {
  queue_.Add(kA);
  queue_.ShutDown();
  EXPECT_FALSE(queue_.Get({})) << "would block for ever otherwise";
  queue_.Add(kB);
  EXPECT_FALSE(queue_.Get({}));
}

TEST_F(QueueTest, IsIdleOnceEveryKeyIsBack) {
  queue_.Add(kA);
  EXPECT_EQ(Next(), kA);
  EXPECT_FALSE(queue_.WaitIdle(1ms));
  queue_.Done(kA);
  EXPECT_TRUE(queue_.WaitIdle(1ms));
}

TEST_F(QueueTest, TellsItselfUnderControllerRuntimesNames) {
  queue_.Add(kA);
  queue_.Add(kB);
  (void)Next();
  now_ += 3s;
  const std::string text = metrics_.Serialize();
  EXPECT_NE(text.find("workqueue_depth{controller=\"test\",name=\"test\"} 1"), std::string::npos) << text;
  EXPECT_NE(text.find("workqueue_adds_total{controller=\"test\",name=\"test\"} 2"), std::string::npos);
  EXPECT_NE(text.find("workqueue_longest_running_processor_seconds{controller=\"test\",name=\"test\"} 3"),
            std::string::npos);
}

TEST(WorkQueue, WakesAWorkerThatWaits) {
  control::Metrics metrics;
  WorkQueue queue({.name = "test"}, metrics);
  std::jthread late([&] {
    std::this_thread::sleep_for(10ms);
    queue.AddAfter(kA, 5ms);
  });
  EXPECT_EQ(queue.Get({}), kA);
}

TEST(WorkQueue, GivesADelayedKeyToTheOthersWhenTheOneItWokeIsHeld) {
  control::Metrics metrics;
  WorkQueue queue({.name = "test"}, metrics);
  Sync<std::set<std::string>> taken;
  std::vector<std::jthread> threads;
  for (int i = 0; i < 2; ++i) {
    threads.emplace_back([&] {
      while (const auto key = queue.Get({})) {
        taken.Lock()->insert(key->name);
        taken.NotifyAll();
        // The first is held until the other has come.
        auto seen = taken.Lock();
        taken.WaitFor(seen, {}, 5s, [](const std::set<std::string>& names) { return names.size() == 2; });
        queue.Done(*key);
      }
    });
  }
  std::this_thread::sleep_for(50ms);  // both wait
  queue.AddAfter(kA, 100ms);
  std::this_thread::sleep_for(20ms);
  queue.Add(kB);  // wakes one, which is held then
  {
    auto seen = taken.Lock();
    EXPECT_TRUE(
        taken.WaitFor(seen, {}, 2s, [](const std::set<std::string>& names) { return names.size() == 2; }));
  }
  queue.ShutDown();
}

TEST(WorkQueue, LosesNoKeyAndDoublesNoWorkUnderManyThreads) {
  control::Metrics metrics;
  WorkQueue queue({.name = "test"}, metrics);
  std::array<std::atomic<int>, 8> inside{};
  std::atomic<int> worked{0};
  std::atomic<bool> doubled{false};
  std::vector<std::jthread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      while (const auto key = queue.Get({})) {
        auto& here = inside[static_cast<size_t>(key->name[0] - '0')];
        if (here.fetch_add(1) != 0) doubled = true;
        ++worked;
        --here;
        queue.Done(*key);
      }
    });
  }
  for (int i = 0; i < 4000; ++i) queue.Add({"", std::to_string(i % 8)});
  while (queue.Depth() > 0 || !queue.WaitIdle(100ms)) std::this_thread::yield();
  queue.ShutDown();
  threads.clear();
  EXPECT_FALSE(doubled);
  EXPECT_GE(worked, 8);
}

TEST(RateLimiter, ReachesItsCeilingAndStaysThere) {
  RateLimiter limiter({.refill_per_second = 1e9, .burst = 1e9});
  SteadyDuration last{};
  for (int i = 0; i < 100; ++i) last = limiter.Delay(kA, SteadyTime(1h));
  EXPECT_EQ(last, 1000s);
}

TEST(RateLimiter, SpreadsAFaultThatHitsEveryKey) {
  RateLimiter limiter({.refill_per_second = 10, .burst = 5});
  SteadyDuration last{};
  for (int i = 0; i < 25; ++i) last = limiter.Delay({"", std::to_string(i)}, SteadyTime(1h));
  EXPECT_EQ(std::chrono::duration_cast<std::chrono::milliseconds>(last), 2000ms)
      << "20 past the burst, 10 a second";
  EXPECT_EQ(limiter.Delay(kA, SteadyTime(1h) + 1min), 5ms) << "the bucket has filled again";
}

}  // namespace
}  // namespace ybis::op
