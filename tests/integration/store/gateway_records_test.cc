// The model gateway over its real record.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "control/model_gateway.h"
#include "tests/integration/store/fixture.h"
#include "tests/model/fake_provider.h"

namespace ybis::control {
namespace {

using std::chrono::milliseconds;
using ybis::testing::FakeProvider;
using ybis::testing::Says;
using ybis::testing::World;

class GatewayRecordsTest : public ::testing::Test {
 protected:
  GatewayRecordsTest() {
    auto provider =
        std::make_unique<FakeProvider>(std::vector<Result<model::Completion>>{Says("hello", 100, 50)});
    provider_ = provider.get();
    std::vector<std::unique_ptr<model::Model>> models;
    models.push_back(std::make_unique<model::Model>(model::ModelSettings{.name = "main"}, std::move(provider),
                                                    SystemClock(), model::NoObserver()));
    set_ = std::make_unique<model::ModelSet>(std::move(models));
    settings_.default_model = "main";
  }
  Result<api::ModelResponse> Call(int64_t epoch) {
    ModelGateway gateway(*set_, records_, terms_, SystemClock(), model::NoObserver(), settings_);
    api::ModelRequest request;
    request.epoch = epoch;
    request.node = "planner";
    request.messages = {{"user", "plan it"}};
    return gateway.Call(run_id_, request, {});
  }

  World world_{ybis::testing::Server().NewDatabase()};
  StoredCallRecords records_{world_.calls};
  StoredRunTerms terms_{world_.ledger};
  std::string run_id_ = ybis::testing::Dispatched(world_, "task-1");
  FakeProvider* provider_ = nullptr;
  std::unique_ptr<model::ModelSet> set_;
  GatewaySettings settings_;
};

TEST_F(GatewayRecordsTest, PaysOnceAcrossEpochsAndProcesses) {
  const int64_t epoch = ybis::testing::Claimed(world_, run_id_);
  const auto first = Call(epoch);
  ASSERT_TRUE(first) << first.error().message;
  const int64_t next = ybis::testing::Claimed(world_, run_id_);
  EXPECT_EQ(Call(epoch).error().code, ErrorCode::kStale);
  const auto again = Call(next);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_TRUE(again->replayed);
  EXPECT_EQ(again->content, "hello");
  EXPECT_EQ(provider_->asked().size(), 1u);
  EXPECT_EQ(records_.RunUsage(run_id_, {})->tokens_out, 50);
}

TEST_F(GatewayRecordsTest, TakesOverSoonAfterACrash) {
  settings_.call_lease = milliseconds(300);
  const int64_t epoch = ybis::testing::Claimed(world_, run_id_);
  // A process that died in the middle of the call: begun, never renewed.
  api::ModelRequest request;
  request.messages = {{"user", "plan it"}};
  const LlmCallKey key{"planner", 1, 0, request.RequestDigest()};
  ASSERT_TRUE(records_.Begin(run_id_, epoch, key, {}, milliseconds(300), {}));
  const auto answer = Call(epoch);
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_FALSE(answer->replayed);
}

TEST_F(GatewayRecordsTest, RenewalKeepsOthersOut) {
  settings_.call_lease = milliseconds(1000);
  Sync<bool> asked{false};
  provider_->BeforeAnswer([&] {
    *asked.Lock() = true;
    asked.NotifyAll();
    std::this_thread::sleep_for(milliseconds(2500));
  });
  const int64_t epoch = ybis::testing::Claimed(world_, run_id_);
  std::jthread first([&] { EXPECT_TRUE(Call(epoch)); });
  {
    auto seen = asked.Lock();
    ASSERT_TRUE(asked.WaitFor(seen, {}, std::chrono::seconds(30), [](bool now) { return now; }));
  }
  const auto second = Call(epoch);
  ASSERT_TRUE(second) << second.error().message;
  EXPECT_TRUE(second->replayed);
  EXPECT_EQ(provider_->asked().size(), 1u);
}

}  // namespace
}  // namespace ybis::control
