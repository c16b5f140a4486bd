// The gateway against a model server over real HTTP, and its record in a real Postgres.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/log.h"
#include "cli/dev_model_server.h"
#include "control/model_gateway.h"
#include "tests/control/fake_call_records.h"
#include "tests/support/temp_dir.h"

namespace ybis::control {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using SteadyClock = std::chrono::steady_clock;
using ybis::testing::FakeCallRecords;
using ybis::testing::FakeRunTerms;
using ybis::testing::TempDir;

constexpr const char* kApiKey = "integration-secret-key";

/// A recorded model server on a thread of its own.
class RecordedServer {
 public:
  explicit RecordedServer(const std::string& dir) {
    thread_ = std::jthread([this, dir](std::stop_token stop) {
      cli::ModelServerSettings settings;
      settings.address = "127.0.0.1";
      settings.port = 0;
      settings.recordings_dir = dir;
      settings.api_key = kApiKey;
      settings.on_listening = [this](int port) {
        *port_.Lock() = port;
        port_.NotifyAll();
      };
      const Status served = cli::ServeRecordedModel(settings, stop);
      EXPECT_TRUE(served) << served.error().message;
    });
    auto port = port_.Lock();
    port_.WaitFor(port, {}, seconds(10), [](int now) { return now != 0; });
  }
  std::string Endpoint() { return fmt::format("http://127.0.0.1:{}/v1", *port_.Lock()); }

 private:
  Sync<int> port_{0};
  std::jthread thread_;
};

class Counter final : public model::ModelObserver {
 public:
  void OnAttempt(std::string_view, std::string_view outcome, milliseconds) override {
    ++(*attempts.Lock())[std::string(outcome)];
  }
  void OnRetry(std::string_view) override { ++retries; }
  void OnFallback(std::string_view, std::string_view) override { ++fallbacks; }
  void OnCircuit(std::string_view, bool open) override { opened += open ? 1 : 0; }
  void OnReask(std::string_view) override { ++reasks; }
  void OnUsage(std::string_view, const api::Usage&) override {}
  void OnCall(std::string_view, std::string_view) override {}

  Sync<std::map<std::string, int>> attempts;
  std::atomic<int> retries = 0;
  std::atomic<int> fallbacks = 0;
  std::atomic<int> opened = 0;
  std::atomic<int> reasks = 0;
};

class GatewayHttpTest : public ::testing::Test {
 protected:
  GatewayHttpTest() {
    Record("plan.json", R"({"match": {"schema": "plan", "contains": ["simple"]},
                            "response": {"content": {"steps": ["one"]}, "usage": {"tokensIn": 100, "tokensOut": 20}}})");
    model_.name = "main";
    model_.api_key_file = dir_.Write("key", kApiKey);
    model_.max_attempts = 3;
    model_.first_backoff = milliseconds(20);
    model_.max_backoff = milliseconds(40);
    model_.input_usd_per_million_tokens = 10;
    model_.output_usd_per_million_tokens = 50;
    settings_.default_model = "main";
  }
  void Record(const std::string& name, const std::string& text) { dir_.Write("recordings/" + name, text); }
  void Start() {
    server_ = std::make_unique<RecordedServer>(dir_.path() / "recordings");
    if (model_.endpoint.empty()) model_.endpoint = server_->Endpoint();
    models_.insert(models_.begin(), model_);
    for (auto& model : models_) {
      if (model.endpoint.empty()) model.endpoint = server_->Endpoint();
    }
    auto set = model::ModelSet::Make(models_, SystemClock(), counter_);
    ASSERT_TRUE(set) << set.error().message;
    set_ = std::move(*set);
    gateway_ = std::make_unique<ModelGateway>(*set_, records_, terms_, SystemClock(), counter_, settings_);
  }
  static api::ModelRequest Request(const std::string& text) {
    api::ModelRequest request;
    request.epoch = 1;
    request.node = "planner";
    request.messages = {{"system", "plan"}, {"user", text}};
    request.schema_name = "plan";
    request.schema = std::make_shared<const json>(
        json{{"type", "object"},
             {"required", {"steps"}},
             {"properties", {{"steps", {{"type", "array"}, {"items", {{"type", "string"}}}}}}}});
    return request;
  }
  Result<api::ModelResponse> Call(const std::string& text) {
    return gateway_->Call("run-1", Request(text), {});
  }
  int Attempts() {
    int sum = 0;
    for (const auto& [outcome, count] : *counter_.attempts.Lock()) sum += count;
    return sum;
  }

  TempDir dir_;
  model::ModelSettings model_;
  std::vector<model::ModelSettings> models_;
  GatewaySettings settings_;
  Counter counter_;
  FakeCallRecords records_;
  FakeRunTerms terms_;
  std::unique_ptr<RecordedServer> server_;
  std::unique_ptr<model::ModelSet> set_;
  std::unique_ptr<ModelGateway> gateway_;
};

TEST_F(GatewayHttpTest, AnswersOverHttpAndSaysThatItIsRecorded) {
  Start();
  const auto answer = Call("a simple thing");
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(*answer->answer, json({{"steps", {"one"}}}));
  EXPECT_EQ(answer->model, "recorded:plan");
  EXPECT_EQ(answer->usage.tokens_in, 100);
  EXPECT_NEAR(answer->usage.cost_usd, 0.002, 1e-12);
}

TEST_F(GatewayHttpTest, AsksUpstreamOnceForTheSameRequest) {
  Record("slow.json", R"({"match": {"schema": "plan", "contains": ["slow"]}, "fault": {"stallSeconds": 0.3},
                          "response": {"content": {"steps": []}}})");
  Start();
  {
    std::vector<std::jthread> callers;
    for (int i = 0; i < 5; ++i) callers.emplace_back([this] { EXPECT_TRUE(Call("a slow thing")); });
  }
  EXPECT_TRUE(Call("a slow thing")->replayed);
  EXPECT_EQ(Attempts(), 1);
}

TEST_F(GatewayHttpTest, WaitsAsLongAsRetryAfterSays) {
  Record("a1.json", R"({"match": {"schema": "plan", "contains": ["busy"], "occurrence": 1},
                        "fault": {"status": 429, "retryAfterSeconds": 1}})");
  Record("a2.json",
         R"({"match": {"schema": "plan", "contains": ["busy"], "occurrence": 2}, "fault": {"status": 500}})");
  Record("a3.json",
         R"({"match": {"schema": "plan", "contains": ["busy"]}, "response": {"content": {"steps": []}}})");
  Start();
  const auto began = SteadyClock::now();
  const auto answer = Call("a busy thing");
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_GE(SteadyClock::now() - began, seconds(1));
  EXPECT_EQ(counter_.retries, 2);
  EXPECT_EQ(answer->usage.llm_calls, 1) << "only answers are paid";
}

TEST_F(GatewayHttpTest, SendsNonsenseBack) {
  Record("n1.json", R"({"match": {"schema": "plan", "contains": ["hard"], "lacks": ["cannot be used"]},
                        "response": {"content": "no idea"}})");
  Record("n2.json", R"({"match": {"schema": "plan", "contains": ["hard", "cannot be used"]},
                        "response": {"content": "```json\n{\"steps\": [\"two\"]}\n```"}})");
  Start();
  const auto answer = Call("a hard thing");
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(counter_.reasks, 1);
  EXPECT_EQ(answer->usage.llm_calls, 2);
}

TEST_F(GatewayHttpTest, EndsAfterThreeNonsenseAnswers) {
  Record("n.json",
         R"({"match": {"schema": "*", "contains": ["mad"]}, "response": {"content": "the weather"}})");
  Start();
  const auto answer = Call("a mad thing");
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, ErrorCode::kInvalid);
  EXPECT_EQ(Attempts(), 3);
}

TEST_F(GatewayHttpTest, TellsOfARefusalAndPaysNothing) {
  Record("r.json", R"({"match": {"schema": "plan", "contains": ["odd"]},
                       "fault": {"status": 400, "message": "Unsupported parameter: 'max_tokens'"}})");
  Start();
  const auto answer = Call("an odd thing");
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, ErrorCode::kUnsupported);
  EXPECT_NE(answer.error().message.find("maxTokensParameter"), std::string::npos) << answer.error().message;
  EXPECT_EQ(Attempts(), 1);
  EXPECT_EQ(records_.Lock()->usage.llm_calls, 0);
}

TEST_F(GatewayHttpTest, TimesOutAndFallsBack) {
  Record(
      "stall.json",
      R"({"match": {"schema": "plan", "contains": ["stuck"], "occurrence": 1}, "fault": {"stallSeconds": 5},
                           "response": {"content": {"steps": []}}})");
  Record(
      "stuck.json",
      R"({"match": {"schema": "plan", "contains": ["stuck"]}, "response": {"content": {"steps": ["b"]}}})");
  model_.timeout = milliseconds(200);
  model_.max_attempts = 1;
  models_ = {{.name = "spare", .api_key_file = model_.api_key_file.empty() ? "" : dir_.path() / "key"}};
  terms_.terms.model.fallbacks = {"spare"};
  Start();
  const auto began = SteadyClock::now();
  const auto answer = Call("a stuck thing");
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(counter_.fallbacks, 1);
  EXPECT_LT(SteadyClock::now() - began, seconds(3));
}

TEST_F(GatewayHttpTest, ADeadEndpointOpensTheCircuit) {
  model_.endpoint = "http://127.0.0.1:1/v1";
  model_.circuit_failures = 3;
  Start();
  const auto first = Call("a simple thing");
  ASSERT_FALSE(first);
  EXPECT_EQ(first.error().code, ErrorCode::kUnavailable);
  EXPECT_TRUE(first.error().retryable);
  EXPECT_EQ(counter_.opened, 1);
  const int before = Attempts();
  EXPECT_FALSE(Call("a simple thing"));
  EXPECT_EQ(Attempts(), before);
}

TEST_F(GatewayHttpTest, AWrongKeyIsToldWithoutTheKey) {
  dir_.Write("key", "a-wrong-secret-key");
  Start();
  const auto answer = Call("a simple thing");
  ASSERT_FALSE(answer);
  EXPECT_THAT(answer.error().message, HasSubstr("401"));
  EXPECT_THAT(answer.error().message, Not(HasSubstr("a-wrong-secret-key")));
  EXPECT_FALSE(answer.error().retryable);
  EXPECT_EQ(Attempts(), 1);
}

TEST_F(GatewayHttpTest, WhatIsNotRecordedIsNamed) {
  Start();
  const auto answer = Call("something new");
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(answer.error().message, HasSubstr("no recorded answer fits"));
  EXPECT_THAT(answer.error().message, HasSubstr("lacks 'simple'"));
  EXPECT_EQ(Attempts(), 1);
}

TEST_F(GatewayHttpTest, HoldsTheBudget) {
  terms_.terms.max_tokens = 240;
  Start();
  ASSERT_TRUE(Call("a simple thing"));
  ASSERT_TRUE(Call("a simple thing, again"));
  const auto refused = Call("a simple thing, once more");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kExhausted);
  EXPECT_FALSE(refused.error().retryable);
  EXPECT_EQ(Attempts(), 2);
}

TEST_F(GatewayHttpTest, WhatWasRecordedFromItCanBePlayedAgain) {
  model_.record_dir = dir_.path() / "out";
  Start();
  const auto first = Call("a simple thing");
  ASSERT_TRUE(first);
  auto replayed =
      model::ModelSet::Make({{.name = "main", .provider = "replay", .replay_dir = model_.record_dir}},
                            SystemClock(), model::NoObserver());
  ASSERT_TRUE(replayed) << replayed.error().message;
  FakeCallRecords records;
  ModelGateway gateway(**replayed, records, terms_, SystemClock(), model::NoObserver(), settings_);
  const auto again = gateway.Call("run-2", Request("a simple thing"), {});
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(*again->answer, *first->answer);
  EXPECT_THAT(again->model, StartsWith("recorded:"));
}

}  // namespace
}  // namespace ybis::control
