#include "control/model_gateway.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/control/fake_call_records.h"
#include "tests/model/fake_provider.h"

namespace ybis::control {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;
using ::testing::HasSubstr;
using ybis::testing::FakeCallRecords;
using ybis::testing::FakeProvider;
using ybis::testing::FakeRunTerms;
using ybis::testing::Says;
using Script = std::vector<Result<model::Completion>>;

class ModelGatewayTest : public ::testing::Test {
 protected:
  ModelGatewayTest() { settings_.default_model = "main"; }

  FakeProvider& Add(const std::string& name, Script script) {
    model::ModelSettings settings{.name = name, .max_attempts = 2, .max_output_tokens = 1000};
    settings.input_usd_per_million_tokens = 1000;
    settings.output_usd_per_million_tokens = 2000;
    settings.first_backoff = milliseconds(1);
    settings.max_backoff = milliseconds(2);
    auto provider = std::make_unique<FakeProvider>(std::move(script));
    FakeProvider& made = *provider;
    models_.push_back(
        std::make_unique<model::Model>(settings, std::move(provider), SystemClock(), model::NoObserver()));
    return made;
  }
  void Build() {
    set_ = std::make_unique<model::ModelSet>(std::move(models_));
    gateway_ = std::make_unique<ModelGateway>(*set_, records_, terms_, SystemClock(), model::NoObserver(),
                                              settings_);
  }
  static api::ModelRequest Request(const std::string& text = "plan it") {
    api::ModelRequest request;
    request.epoch = 1;
    request.node = "planner";
    request.prompt = "planner";
    request.messages = {{"user", text}};
    return request;
  }
  static api::ModelRequest SchemaRequest() {
    api::ModelRequest request = Request();
    request.schema_name = "plan";
    request.schema = std::make_shared<const json>(
        json{{"type", "object"}, {"required", {"steps"}}, {"properties", {{"steps", {{"type", "array"}}}}}});
    return request;
  }
  Result<api::ModelResponse> Call(const api::ModelRequest& request) {
    return gateway_->Call("run-1", request, {});
  }

  std::vector<std::unique_ptr<model::Model>> models_;
  std::unique_ptr<model::ModelSet> set_;
  FakeCallRecords records_;
  FakeRunTerms terms_;
  GatewaySettings settings_;
  std::unique_ptr<ModelGateway> gateway_;
};

TEST_F(ModelGatewayTest, AnswersAndRecordsWhatItCost) {
  Add("main", {Says("hello", 100, 50)});
  Build();
  const auto answer = Call(Request());
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->content, "hello");
  EXPECT_EQ(answer->usage.tokens_in, 100);
  EXPECT_NEAR(answer->usage.cost_usd, 0.2, 1e-9);
  EXPECT_EQ(answer->usage.llm_calls, 1);
  EXPECT_FALSE(answer->replayed);
  EXPECT_EQ(records_.Lock()->usage.tokens_out, 50);
}

TEST_F(ModelGatewayTest, PaysOnceForTheSameRequest) {
  FakeProvider& model = Add("main", {Says("hello")});
  Build();
  ASSERT_TRUE(Call(Request()));
  const auto again = Call(Request());
  ASSERT_TRUE(again);
  EXPECT_TRUE(again->replayed);
  EXPECT_EQ(again->content, "hello");
  EXPECT_EQ(model.asked().size(), 1u);
  ASSERT_TRUE(Call(Request("another")));
  EXPECT_EQ(model.asked().size(), 2u);
}

TEST_F(ModelGatewayTest, PaysOnceForTheSameRequestAtTheSameTime) {
  FakeProvider& model = Add("main", {Says("hello")});
  Build();
  // The answer comes when somebody else has been told to wait for it.
  model.BeforeAnswer([this] {
    for (int i = 0; i < 2000 && records_.Lock()->in_progress_answers == 0; ++i) {
      std::this_thread::sleep_for(milliseconds(5));
    }
  });
  std::atomic<int> replayed = 0;
  {
    std::vector<std::jthread> callers;
    for (int i = 0; i < 6; ++i) {
      callers.emplace_back([&] {
        const auto answer = Call(Request());
        ASSERT_TRUE(answer);
        EXPECT_EQ(answer->content, "hello");
        replayed += answer->replayed ? 1 : 0;
      });
    }
  }
  EXPECT_EQ(replayed, 5);
  EXPECT_EQ(model.asked().size(), 1u);
  EXPECT_GT(records_.Lock()->in_progress_answers, 0);
}

TEST_F(ModelGatewayTest, EachSettlementSaysWhatWasReservedForItsAsk) {
  Add("main", {Says("nonsense"), Says(R"({"steps": []})")});
  Build();
  ASSERT_TRUE(Call(SchemaRequest()));
  auto state = records_.Lock();
  ASSERT_EQ(state->budgets.size(), 2u);
  ASSERT_EQ(state->settlements.size(), 2u);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_GT(state->settlements[i].reserved_tokens, 0);
    EXPECT_EQ(state->settlements[i].reserved_tokens, state->budgets[i].reserve_tokens) << i;
    EXPECT_EQ(state->settlements[i].reserved_usd, state->budgets[i].reserve_cost_usd) << i;
  }
}

TEST_F(ModelGatewayTest, AsksAgainWithWhatWasWrong) {
  FakeProvider& model =
      Add("main", {Says("nonsense"), Says(R"({"step": 1})"), Says("```json\n{\"steps\": []}\n```")});
  Build();
  const auto answer = Call(SchemaRequest());
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(*answer->answer, json({{"steps", json::array()}}));
  EXPECT_EQ(answer->usage.llm_calls, 3);
  EXPECT_EQ(answer->usage.tokens_in, 30);
  const auto asked = model.asked();
  ASSERT_EQ(asked.size(), 3u);
  ASSERT_EQ(asked[2].messages.size(), 3u);
  EXPECT_EQ(asked[2].messages[1].role, "assistant");
  EXPECT_THAT(asked[2].messages[2].content, HasSubstr("steps"));
}

TEST_F(ModelGatewayTest, GivesUpAfterThreeNonsenseAnswers) {
  FakeProvider& model = Add("main", {Says("nonsense")});
  Build();
  const auto answer = Call(SchemaRequest());
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, ErrorCode::kInvalid);
  EXPECT_FALSE(answer.error().retryable);
  EXPECT_THAT(answer.error().message, HasSubstr("3 answers"));
  EXPECT_EQ(model.asked().size(), 3u);
  EXPECT_EQ(records_.Lock()->usage.llm_calls, 3) << "what was paid counts all the same";
}

TEST_F(ModelGatewayTest, SendsBackAnAnswerThatWasCutOff) {
  model::Completion cut = Says("{\"steps\": [");
  cut.finish = model::FinishReason::kLength;
  FakeProvider& model = Add("main", {cut, Says(R"({"steps": []})")});
  Build();
  EXPECT_TRUE(Call(SchemaRequest()));
  EXPECT_THAT(model.asked()[1].messages.back().content, HasSubstr("cut off"));
}

TEST_F(ModelGatewayTest, TellsOfARefusal) {
  model::Completion refusal = Says("I cannot help with that");
  refusal.finish = model::FinishReason::kContentFilter;
  Add("main", {refusal});
  Build();
  const auto answer = Call(Request());
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, ErrorCode::kInvalid);
  EXPECT_THAT(answer.error().message, HasSubstr("refused"));
}

TEST_F(ModelGatewayTest, FallsBackInOrder) {
  Add("main", {Fail(ErrorCode::kUnavailable, "down")});
  Add("second", {Fail(ErrorCode::kDenied, "bad key")});
  Add("third", {Says("from the third")});
  terms_.terms.model.fallbacks = {"second", "third"};
  Build();
  const auto answer = Call(Request());
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->content, "from the third");
}

TEST_F(ModelGatewayTest, AModelThatIsDownMayBeAskedAgainLater) {
  FakeProvider& model = Add(
      "main", {Fail(ErrorCode::kUnavailable, "down"), Fail(ErrorCode::kUnavailable, "down"), Says("back")});
  Build();
  const auto answer = Call(Request());
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, ErrorCode::kUnavailable);
  EXPECT_TRUE(answer.error().retryable);
  EXPECT_EQ(model.asked().size(), 2u);
  EXPECT_TRUE(Call(Request()));
}

TEST_F(ModelGatewayTest, ABadKeyIsNotTheRunsFault) {
  Add("main", {Fail(ErrorCode::kDenied, "HTTP 401: bad key")});
  Build();
  const auto answer = Call(Request());
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, ErrorCode::kUnavailable);
  EXPECT_FALSE(answer.error().retryable);
}

TEST_F(ModelGatewayTest, ARefusedRequestCostsNothingAndIsNotRepeated) {
  FakeProvider& model = Add("main", {Fail(ErrorCode::kUnsupported, "HTTP 400: no 'max_tokens'")});
  Build();
  const auto answer = Call(Request());
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, ErrorCode::kUnsupported);
  EXPECT_FALSE(answer.error().retryable);
  EXPECT_THAT(answer.error().message, HasSubstr("no 'max_tokens'"));
  EXPECT_EQ(model.asked().size(), 1u);
  EXPECT_EQ(records_.Lock()->usage.llm_calls, 0);
  EXPECT_EQ(records_.Lock()->usage.tokens_in, 0);
}

TEST_F(ModelGatewayTest, AnotherModelMayTakeWhatOneRefuses) {
  Add("main", {Fail(ErrorCode::kUnsupported, "HTTP 400: too long")});
  Add("second", {Says("hello")});
  terms_.terms.model.fallbacks = {"second"};
  Build();
  EXPECT_TRUE(Call(Request()));
}

TEST_F(ModelGatewayTest, RefusesWhatTheBudgetDoesNotAllow) {
  FakeProvider& model = Add("main", {Says("hello", 400, 500)});
  terms_.terms.max_tokens = 1000;
  Build();
  ASSERT_TRUE(Call(Request("first")));
  ASSERT_TRUE(Call(Request("second"))) << "some room is left";
  EXPECT_LE(model.asked()[1].max_output_tokens, 100) << "the answer's allowance is what is left";
  const auto refused = Call(Request("third"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kExhausted);
  EXPECT_FALSE(refused.error().retryable);
  EXPECT_THAT(refused.error().message, HasSubstr("1000 tokens"));
  EXPECT_EQ(model.asked().size(), 2u);
  EXPECT_TRUE(Call(Request("first"))) << "what was paid is given whatever the budget";
}

TEST_F(ModelGatewayTest, StopsReaskingWhenTheBudgetIsUsedUp) {
  FakeProvider& model = Add("main", {Says("nonsense", 600, 600)});
  terms_.terms.max_tokens = 1200;
  Build();
  const auto refused = Call(SchemaRequest());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kExhausted);
  EXPECT_EQ(model.asked().size(), 1u);
}

TEST_F(ModelGatewayTest, HoldsTheCostBudget) {
  Add("main", {Says("hello", 100, 50)});
  terms_.terms.max_cost_usd = 0.3;
  Build();
  ASSERT_TRUE(Call(Request("first")));  // $0.20
  EXPECT_LE(records_.Lock()->budgets[0].reserve_cost_usd, 0.3);
  ASSERT_TRUE(Call(Request("second")));
  const auto refused = Call(Request("third"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kExhausted);
}

TEST_F(ModelGatewayTest, ReasksWithinWhatOtherCallsHaveLeft) {
  FakeProvider& model = Add("main", {Says("nonsense", 100, 100)});
  terms_.terms.max_tokens = 2000;
  Build();
  // Another call of the run answers meanwhile.
  bool told = false;
  model.BeforeAnswer([&] {
    if (!std::exchange(told, true)) records_.Lock()->usage.tokens_out += 1500;
  });
  const auto refused = Call(SchemaRequest());
  ASSERT_FALSE(refused);
  EXPECT_LE(model.asked().at(1).max_output_tokens, 300) << "the answer's allowance is what is left by now";
}

TEST_F(ModelGatewayTest, CountsWhatTimedOut) {
  Add("main", {Fail(ErrorCode::kTimeout, "slow"), Says("hello", 10, 5)});
  Build();
  const auto answer = Call(Request());
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->usage.llm_calls, 2);
  EXPECT_EQ(answer->usage.tokens_out, 1005) << "the whole allowance, since nobody knows";
  EXPECT_EQ(records_.Lock()->usage.tokens_out, 1005) << "each part is counted once";
}

TEST_F(ModelGatewayTest, DoesNotRepeatPastTheBudget) {
  FakeProvider& main = Add("main", {Fail(ErrorCode::kTimeout, "slow")});
  FakeProvider& spare = Add("spare", {Says("hello")});
  terms_.terms.model.fallbacks = {"spare"};
  terms_.terms.max_tokens = 1500;
  Build();
  const auto refused = Call(Request());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kExhausted);
  EXPECT_EQ(main.asked().size(), 1u);
  EXPECT_TRUE(spare.asked().empty());
  EXPECT_GT(records_.Lock()->usage.tokens_out, 0);
}

TEST_F(ModelGatewayTest, RefusesAStaleEpoch) {
  FakeProvider& model = Add("main", {Says("hello")});
  Build();
  records_.Lock()->epoch = 2;
  EXPECT_EQ(Call(Request()).error().code, ErrorCode::kStale);
  EXPECT_TRUE(model.asked().empty());
}

TEST_F(ModelGatewayTest, NamesAModelThatIsNotConfigured) {
  Add("main", {Says("hello")});
  terms_.terms.model.name = "imaginary";
  Build();
  const auto answer = Call(Request());
  EXPECT_EQ(answer.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(answer.error().message, HasSubstr("imaginary"));
}

TEST_F(ModelGatewayTest, SaysThatNoModelIsConfigured) {
  settings_.default_model.clear();
  Build();
  const auto answer = Call(Request());
  EXPECT_EQ(answer.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(answer.error().message, HasSubstr("no model is configured"));
}

TEST(ModelSettingsOf, HandsTheDialectOn) {
  Config config;
  config.models = {{.name = "m", .max_tokens_parameter = "max_completion_tokens", .response_format = "none"}};
  const auto settings = ModelSettingsOf(config);
  EXPECT_EQ(settings.at(0).max_tokens_parameter, "max_completion_tokens");
  EXPECT_EQ(settings.at(0).response_format, "none");
}

TEST_F(ModelGatewayTest, KeepsLongCallsItsOwn) {
  FakeProvider& model = Add("main", {Says("hello")});
  settings_.call_lease = milliseconds(60);
  Build();
  model.BeforeAnswer([] { std::this_thread::sleep_for(milliseconds(200)); });
  ASSERT_TRUE(Call(Request()));
  EXPECT_GE(records_.Lock()->renewals, 2);
}

TEST_F(ModelGatewayTest, WaitsForARecordThatIsAwayAndCountsOnce) {
  FakeProvider& model = Add("main", {Says("hello", 100, 50)});
  Build();
  records_.Lock()->outages = 3;
  const auto answer = Call(Request());
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->content, "hello");
  EXPECT_EQ(model.asked().size(), 1u);
  EXPECT_EQ(records_.Lock()->usage.tokens_in, 100) << "three of four writes were in doubt";
}

TEST_F(ModelGatewayTest, WaitsForARecordThatIsAwayToTellOfAFailure) {
  Add("main", {Says("nonsense", 100, 50)});
  settings_.max_reasks = 0;
  Build();
  records_.Lock()->outages = 2;
  EXPECT_EQ(Call(SchemaRequest()).error().code, ErrorCode::kInvalid);
  EXPECT_EQ(records_.Lock()->usage.tokens_in, 100);
  EXPECT_EQ(records_.Lock()->rows.begin()->second.state, "failed");
}

TEST_F(ModelGatewayTest, DoesNotWaitForTheRecordForEver) {
  Add("main", {Says("hello")});
  settings_.settle_patience = milliseconds(300);
  Build();
  records_.Lock()->outages = 1000;
  const auto answer = Call(Request());
  EXPECT_EQ(answer.error().code, ErrorCode::kUnavailable);
  EXPECT_TRUE(answer.error().retryable);
}

TEST_F(ModelGatewayTest, RecordsTheFailureWhenItIsStopped) {
  FakeProvider& model = Add("main", {Fail(ErrorCode::kCancelled, "stopped")});
  Build();
  const auto answer = Call(Request());
  EXPECT_EQ(answer.error().code, ErrorCode::kUnavailable);
  EXPECT_TRUE(answer.error().retryable);
  EXPECT_EQ(records_.Lock()->rows.begin()->second.state, "failed");
  EXPECT_EQ(model.asked().size(), 1u);
}

}  // namespace
}  // namespace ybis::control
