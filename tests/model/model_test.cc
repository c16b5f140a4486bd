#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/model_set.h"
#include "model/throttle.h"
#include "tests/model/fake_provider.h"

namespace ybis::model {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;
using ybis::testing::FakeProvider;
using ybis::testing::Says;

Unexpected Down() { return Fail(ErrorCode::kUnavailable, "connection refused"); }
Unexpected Throttled(milliseconds retry_after) {
  Error error = Fail(ErrorCode::kExhausted, "HTTP 429").value();
  error.retry_after = retry_after;
  return Fail(error);
}

class ModelTest : public ::testing::Test {
 protected:
  void Make(std::vector<Result<Completion>> script) {
    auto provider = std::make_unique<FakeProvider>(std::move(script));
    provider_ = provider.get();
    model_ = std::make_unique<Model>(settings_, std::move(provider), clock_, NoObserver());
  }
  Result<Completion> Ask() { return model_->CompleteBy(CompletionRequest(), clock_.Now() + deadline_, {}); }
  milliseconds Elapsed() const { return std::chrono::duration_cast<milliseconds>(clock_.Now() - start_); }

  const TimePoint start_ = *ParseRfc3339("2026-03-01T12:00:00Z");
  FakeClock clock_{start_};
  milliseconds deadline_ = std::chrono::hours(1);
  ModelSettings settings_{.name = "m", .max_attempts = 4, .circuit_failures = 100};
  FakeProvider* provider_ = nullptr;
  std::unique_ptr<Model> model_;
};

TEST_F(ModelTest, RetriesWhatMayPass) {
  Make({Down(), Fail(ErrorCode::kTimeout, "slow"), Says("ok")});
  const auto answer = Ask();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->content, "ok");
  EXPECT_EQ(provider_->asked().size(), 3u);
  EXPECT_GE(Elapsed(), milliseconds(1500));
  EXPECT_LE(Elapsed(), milliseconds(3000));
}

TEST_F(ModelTest, TellsOfAttemptsThatMayBePaid) {
  Make({Down(), Fail(ErrorCode::kTimeout, "slow"), Says("ok")});
  int told = 0;
  const auto count = [&](bool again) -> Status {
    EXPECT_TRUE(again);
    ++told;
    return {};
  };
  EXPECT_TRUE(model_->CompleteBy(CompletionRequest(), clock_.Now() + deadline_, {}, count));
  EXPECT_EQ(told, 1) << "nobody answers where nobody is";
  Make({Fail(ErrorCode::kTimeout, "slow")});
  const auto refuse = [](bool again) -> Status {
    return again ? Status(Fail(ErrorCode::kExhausted, "no more")) : Status();
  };
  const auto answer = model_->CompleteBy(CompletionRequest(), clock_.Now() + deadline_, {}, refuse);
  EXPECT_EQ(answer.error().code, ErrorCode::kExhausted);
  EXPECT_EQ(provider_->asked().size(), 1u);
}

TEST_F(ModelTest, GivesUpAfterItsAttempts) {
  Make({Down()});
  const auto answer = Ask();
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, ErrorCode::kUnavailable);
  EXPECT_TRUE(answer.error().retryable);
  EXPECT_THAT(answer.error().message, HasSubstr("model 'm'"));
  EXPECT_EQ(provider_->asked().size(), 4u);
}

TEST_F(ModelTest, AsksOnceWhenAskingAgainCannotHelp) {
  for (const ErrorCode code :
       {ErrorCode::kInvalid, ErrorCode::kDenied, ErrorCode::kNotFound, ErrorCode::kUnsupported}) {
    Make({Fail(code, "no")});
    EXPECT_EQ(Ask().error().code, code);
    EXPECT_EQ(provider_->asked().size(), 1u);
  }
}

TEST_F(ModelTest, WaitsAsLongAsTheEndpointWishes) {
  Make({Throttled(seconds(90)), Says("ok")});
  EXPECT_TRUE(Ask());
  EXPECT_GE(Elapsed(), seconds(90));
}

TEST_F(ModelTest, DoesNotWaitPastItsDeadline) {
  deadline_ = seconds(30);
  Make({Throttled(seconds(90)), Says("ok")});
  const auto answer = Ask();
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().retry_after, seconds(90));
  EXPECT_EQ(Elapsed(), seconds(0));
}

TEST_F(ModelTest, BoundsEachAttempt) {
  settings_.timeout = seconds(20);
  deadline_ = seconds(5);
  Make({Says("ok")});
  EXPECT_TRUE(Ask());
  EXPECT_EQ(provider_->asked()[0].timeout, seconds(5));
}

TEST_F(ModelTest, LeavesABrokenEndpointAlone) {
  settings_.max_attempts = 1;
  settings_.circuit_failures = 3;
  settings_.circuit_pause = seconds(30);
  Make({Down(), Down(), Down(), Down(), Says("ok")});
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(Ask());
  const auto blocked = Ask();
  EXPECT_EQ(blocked.error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(blocked.error().retry_after, seconds(30));
  EXPECT_EQ(provider_->asked().size(), 3u);
  clock_.Advance(seconds(31));
  EXPECT_FALSE(Ask());  // one probe, which fails: it stays open
  EXPECT_FALSE(Ask());
  EXPECT_EQ(provider_->asked().size(), 4u);
  clock_.Advance(seconds(31));
  EXPECT_TRUE(Ask());
  EXPECT_TRUE(Ask());
}

TEST_F(ModelTest, KeepsToItsRate) {
  settings_.requests_per_minute = 60;
  Make({Says("ok")});
  for (int i = 0; i < 12; ++i) EXPECT_TRUE(Ask());
  EXPECT_GE(Elapsed(), seconds(5));
  EXPECT_LE(Elapsed(), seconds(8));
}

TEST_F(ModelTest, WhoGivesUpLeavesItsTurnToOthers) {
  settings_.requests_per_minute = 10;  // one at once, then one every six seconds
  settings_.max_attempts = 1;
  Make({Says("ok")});
  EXPECT_TRUE(Ask());
  deadline_ = seconds(1);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(Ask().error().code, ErrorCode::kExhausted);
  deadline_ = seconds(10);
  EXPECT_TRUE(Ask()) << "those who gave up took nothing";
  EXPECT_LE(Elapsed(), seconds(7));
}

TEST_F(ModelTest, KeepsToItsPlaces) {
  settings_.max_concurrent = 2;
  Make({Says("ok")});
  std::atomic<int> now = 0;
  std::atomic<int> most = 0;
  provider_->BeforeAnswer([&] {
    const int count = ++now;
    int seen = most;
    while (seen < count && !most.compare_exchange_weak(seen, count)) {
    }
    std::this_thread::sleep_for(milliseconds(20));
    --now;
  });
  std::vector<std::jthread> callers;
  for (int i = 0; i < 8; ++i) callers.emplace_back([this] { EXPECT_TRUE(Ask()); });
  callers.clear();
  EXPECT_EQ(most, 2);
}

TEST_F(ModelTest, CountsCostByItsPrice) {
  settings_.input_usd_per_million_tokens = 3;
  settings_.output_usd_per_million_tokens = 15;
  Make({Says("ok")});
  EXPECT_DOUBLE_EQ(model_->CostUsd(1'000'000, 2'000'000), 33);
}

TEST(ModelSet, NamesWhatIsWrong) {
  FakeClock clock(*ParseRfc3339("2026-03-01T12:00:00Z"));
  const auto make = [&](ModelSettings settings) {
    return ModelSet::Make({std::move(settings)}, clock, NoObserver()).error().message;
  };
  EXPECT_THAT(make({.name = "a", .provider = "telepathy"}), HasSubstr("telepathy"));
  EXPECT_THAT(make({.name = "a", .endpoint = "ftp://x"}), HasSubstr("model 'a'"));
  EXPECT_THAT(make({.name = "a", .provider = "replay", .replay_dir = "/nowhere"}), HasSubstr("/nowhere"));
}

}  // namespace
}  // namespace ybis::model
