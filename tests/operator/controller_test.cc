#include "operator/runtime/controller.h"

#include <gtest/gtest.h>

#include "base/sync.h"
#include "operator/runtime/periodic.h"

namespace ybis::op {
namespace {

using namespace std::chrono_literals;

const kube::Key kA{"team", "a"};

/// Does what the test says, and lets it wait for the n-th call.
class FakeReconciler final : public Reconciler {
 public:
  std::function<Result<ReconcileResult>(int call, std::stop_token stop)> answer = [](int, std::stop_token) {
    return ReconcileResult{};
  };
  Result<ReconcileResult> Reconcile(const kube::Key&, std::stop_token stop) override {
    int call = 0;
    {
      auto calls = calls_.Lock();
      call = ++*calls;
    }
    calls_.NotifyAll();
    return answer(call, stop);
  }
  bool WaitForCalls(int wanted) {
    auto calls = calls_.Lock();
    return calls_.WaitFor(calls, {}, 5s, [wanted](int seen) { return seen >= wanted; });
  }
  int Calls() { return *calls_.Lock(); }

 private:
  Sync<int> calls_{0};
};

class ControllerTest : public ::testing::Test {
 protected:
  control::Metrics metrics_;
  FakeReconciler reconciler_;
  Controller controller_{{.name = "test", .workers = 2}, reconciler_, metrics_};
};

TEST_F(ControllerTest, WorksOffKeysThatWereQueuedBeforeItStarted) {
  controller_.Queue().Add(kA);
  controller_.Start();
  EXPECT_TRUE(reconciler_.WaitForCalls(1));
}

TEST_F(ControllerTest, TriesAgainAfterAFailureAndAfterAnException) {
  reconciler_.answer = [](int call, std::stop_token) -> Result<ReconcileResult> {
    if (call == 1) return Fail(ErrorCode::kUnavailable, "later");
    if (call == 2) throw std::runtime_error("a bug");
    return ReconcileResult{};
  };
  controller_.Start();
  controller_.Queue().Add(kA);
  EXPECT_TRUE(reconciler_.WaitForCalls(3));
  EXPECT_TRUE(controller_.Queue().WaitIdle(5s));
  controller_.Stop(1s);
  EXPECT_EQ(controller_.Queue().Failures(kA), 0);
  const std::string text = metrics_.Serialize();
  EXPECT_NE(text.find("controller_runtime_reconcile_errors_total{controller=\"test\"} 2"), std::string::npos)
      << text;
  EXPECT_NE(text.find("controller_runtime_reconcile_total{controller=\"test\",result=\"success\"} 1"),
            std::string::npos);
}

TEST_F(ControllerTest, AsksNobodyAgainBeforeTheTimeThatTheyNamed) {
  reconciler_.answer = [](int call, std::stop_token) -> Result<ReconcileResult> {
    if (call == 1) return Fail(Error{ErrorCode::kExhausted, "too many requests", true, 300ms});
    return ReconcileResult{};
  };
  controller_.Start();
  const auto started = std::chrono::steady_clock::now();
  controller_.Queue().Add(kA);
  EXPECT_TRUE(reconciler_.WaitForCalls(2));
  EXPECT_GE(std::chrono::steady_clock::now() - started, 300ms);
}

TEST_F(ControllerTest, LooksAgainWhenAsked) {
  reconciler_.answer = [](int call, std::stop_token) -> Result<ReconcileResult> {
    if (call == 1) return ReconcileResult{5ms};
    return ReconcileResult{};
  };
  controller_.Start();
  controller_.Queue().Add(kA);
  EXPECT_TRUE(reconciler_.WaitForCalls(2));
}

TEST_F(ControllerTest, LetsWorkUnderWayEndAndTakesNoMore) {
  std::atomic<bool> ended{false};
  reconciler_.answer = [&](int, std::stop_token) -> Result<ReconcileResult> {
    std::this_thread::sleep_for(50ms);
    ended = true;
    return ReconcileResult{};
  };
  controller_.Start();
  controller_.Queue().Add(kA);
  ASSERT_TRUE(reconciler_.WaitForCalls(1));
  controller_.Stop(5s);
  EXPECT_TRUE(ended);
  controller_.Queue().Add(kA);
  EXPECT_EQ(reconciler_.Calls(), 1);
}

TEST_F(ControllerTest, InterruptsWorkThatDoesNotEndInTime) {
  reconciler_.answer = [](int, std::stop_token stop) -> Result<ReconcileResult> {
    SystemClock().SleepFor(std::chrono::minutes(1), stop);
    return Fail(ErrorCode::kCancelled, "stopping");
  };
  controller_.Start();
  controller_.Queue().Add(kA);
  ASSERT_TRUE(reconciler_.WaitForCalls(1));
  const auto started = std::chrono::steady_clock::now();
  controller_.Stop(20ms);
  EXPECT_LT(std::chrono::steady_clock::now() - started, 5s);
}

TEST_F(ControllerTest, StopsTogetherWithOthersWithinOneDrain) {
  // What a reconciler waits for in the record knows nothing of its worker's stop token.
  std::stop_source record;
  FakeReconciler second;
  Controller other({.name = "other", .workers = 1}, second, metrics_);
  reconciler_.answer = second.answer = [&](int, std::stop_token) -> Result<ReconcileResult> {
    SystemClock().SleepFor(std::chrono::minutes(1), record.get_token());
    return Fail(ErrorCode::kCancelled, "stopping");
  };
  for (Controller* controller : {&controller_, &other}) {
    controller->Start();
    controller->Queue().Add(kA);
  }
  ASSERT_TRUE(reconciler_.WaitForCalls(1) && second.WaitForCalls(1));
  const auto started = std::chrono::steady_clock::now();
  StopTogether({&controller_, &other}, 600ms, [&] { record.request_stop(); });
  const auto took = std::chrono::steady_clock::now() - started;
  EXPECT_GE(took, 600ms);
  EXPECT_LT(took, 1100ms) << "one drain for both";
}

TEST(Periodic, RunsAtOnceWhenWokenAndStopsAtOnce) {
  Sync<int> runs{0};
  const auto wait = [&](int wanted) {
    auto seen = runs.Lock();
    return runs.WaitFor(seen, {}, 5s, [wanted](int value) { return value >= wanted; });
  };
  Periodic periodic("test", 1h, [&](std::stop_token) -> Status {
    ++*runs.Lock();
    runs.NotifyAll();
    return {};
  });
  EXPECT_TRUE(wait(1));
  periodic.Wake();
  EXPECT_TRUE(wait(2));
}

}  // namespace
}  // namespace ybis::op
