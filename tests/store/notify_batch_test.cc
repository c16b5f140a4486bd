#include "store/notify_batch.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace ybis::store {
namespace {

using namespace std::chrono_literals;

/// What was sent, statement by statement; the first one waits until it is let go.
struct Wire {
  struct State {
    std::vector<NotifyBatch::Messages> sent;
    bool blocked = true;
  };
  NotifyBatch::Send Send(Status outcome = {}) {
    return [this, outcome](const NotifyBatch::Messages& messages) -> Status {
      auto locked = state.Lock();
      locked->sent.push_back(messages);
      const bool first = locked->sent.size() == 1;
      state.NotifyAll();
      if (first) state.WaitFor(locked, {}, 10s, [](const State& now) { return !now.blocked; });
      return outcome;
    };
  }
  void AwaitFirst() {
    auto locked = state.Lock();
    state.WaitFor(locked, {}, 10s, [](const State& now) { return !now.sent.empty(); });
  }
  void LetGo() {
    state.Lock()->blocked = false;
    state.NotifyAll();
  }
  Sync<State> state;
};

TEST(NotifyBatch, WhoComesWhileOneSendsGoesTogetherWithTheOthers) {
  NotifyBatch batch;
  Wire wire;
  std::vector<std::jthread> callers;
  callers.emplace_back([&] { EXPECT_TRUE(batch.Tell({{"c", "first"}}, wire.Send(), {})); });
  wire.AwaitFirst();
  for (int i = 0; i < 5; ++i) {
    callers.emplace_back([&, i] {
      EXPECT_TRUE(batch.Tell({{"c", std::to_string(i)}, {"c", "same"}}, wire.Send(), {}));
    });
  }
  std::this_thread::sleep_for(100ms);  // all of them wait by now
  wire.LetGo();
  callers.clear();
  const auto sent = wire.state.Lock()->sent;
  NotifyBatch::Messages all;
  for (const auto& messages : sent) all.insert(messages.begin(), messages.end());
  EXPECT_EQ(all.size(), 7U);
  EXPECT_EQ(sent.size(), 2U) << "one alone, five together";
}

TEST(NotifyBatch, AnothersFailureIsNotOnesOwn) {
  NotifyBatch batch;
  Wire wire;
  std::vector<std::jthread> callers;
  callers.emplace_back([&] { EXPECT_TRUE(batch.Tell({{"c", "first"}}, wire.Send(), {})); });
  wire.AwaitFirst();
  std::atomic<int> failed = 0;
  for (int i = 0; i < 2; ++i) {
    callers.emplace_back([&, i] {
      const Status outcome = i == 0 ? Status(Fail(ErrorCode::kCancelled, "stopped")) : Status{};
      if (!batch.Tell({{"c", std::to_string(i)}}, wire.Send(outcome), {})) ++failed;
    });
  }
  std::this_thread::sleep_for(100ms);
  wire.LetGo();
  callers.clear();
  EXPECT_LE(failed, 1);
}

TEST(NotifyBatch, AStoppingCallerSendsByItself) {
  NotifyBatch batch;
  Wire wire;
  std::jthread first([&] { EXPECT_TRUE(batch.Tell({{"c", "first"}}, wire.Send(), {})); });
  wire.AwaitFirst();
  std::stop_source stop;
  stop.request_stop();
  EXPECT_TRUE(batch.Tell({{"c", "second"}}, wire.Send(), stop.get_token()));
  EXPECT_EQ(wire.state.Lock()->sent.size(), 2U);
  wire.LetGo();
}

}  // namespace
}  // namespace ybis::store
