#include "runner/report/http_run_api.h"

#include <gtest/gtest.h>

#include <deque>
#include <nlohmann/json.hpp>

#include "tests/support/temp_dir.h"

namespace ybis::runner {
namespace {

using nlohmann::json;

/// Answers in turn; the last answer repeats.
class ScriptedTransport final : public http::Transport {
 public:
  Result<http::ClientResponse> Send(const http::ClientRequest& request, std::stop_token stop) override {
    requests.push_back(request);
    if (on_send) on_send();
    if (stop.stop_requested()) return Fail(ErrorCode::kCancelled, "stopped");
    Result<http::ClientResponse> answer = answers.front();
    if (answers.size() > 1) answers.pop_front();
    return answer;
  }
  Status Stream(const http::ClientRequest&, const http::StreamHandler&, std::stop_token) override {
    return Fail(ErrorCode::kUnsupported, "not used");
  }
  void Answer(int status, const json& body) {
    answers.push_back(http::ClientResponse{.status = status, .body = body.dump()});
  }
  void Break() { answers.push_back(Fail(ErrorCode::kUnavailable, "connection refused")); }

  std::deque<Result<http::ClientResponse>> answers;
  std::vector<http::ClientRequest> requests;
  std::function<void()> on_send;
};

json ErrorBody(const char* code, bool retryable) {
  return {{"error", {{"code", code}, {"message", "because"}, {"retryable", retryable}}}};
}

class HttpRunApiTest : public ::testing::Test {
 protected:
  HttpRunApi Api() {
    return HttpRunApi({.base_url = "https://core:8443/",
                       .run_id = "abc-1",
                       .token_file = folder_.Write("token", "first-token\n")},
                      transport_, clock_);
  }
  testing::TempDir folder_;
  ScriptedTransport transport_;
  FakeClock clock_{TimePoint(std::chrono::hours(1))};
};

TEST_F(HttpRunApiTest, SendsTheTokenReadAgainForEachRequest) {
  transport_.Answer(200, json::object());
  HttpRunApi api = Api();
  ASSERT_TRUE(api.Release({.epoch = 3, .reason = "x"}, {}));
  folder_.Write("token", "second-token");
  ASSERT_TRUE(api.Release({.epoch = 3, .reason = "x"}, {}));
  EXPECT_EQ(transport_.requests[0].headers.at("Authorization"), "Bearer first-token");
  EXPECT_EQ(transport_.requests[1].headers.at("Authorization"), "Bearer second-token");
  EXPECT_EQ(transport_.requests[0].url, "https://core:8443/v1/runs/abc-1/release");
  EXPECT_EQ(json::parse(transport_.requests[0].body)["epoch"], 3);
}

TEST_F(HttpRunApiTest, GoesOnThroughARestartOfTheCore) {
  for (int i = 0; i < 5; ++i) transport_.Break();
  transport_.Answer(503, "a proxy's page");
  transport_.Answer(200, json::object());
  EXPECT_TRUE(Api().Finish({.epoch = 1, .outcome = "Completed"}, {}));
  EXPECT_EQ(transport_.requests.size(), 7U);
}

TEST_F(HttpRunApiTest, GivesUpAfterTheBound) {
  transport_.Break();
  const TimePoint start = clock_.Now();
  const Status status = Api().Finish({.epoch = 1, .outcome = "Completed"}, {});
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kUnavailable);
  EXPECT_GT(clock_.Now() - start, std::chrono::minutes(9));
  EXPECT_LE(clock_.Now() - start, std::chrono::minutes(10));
}

TEST_F(HttpRunApiTest, GivesUpSoonerWhenTheCoreItselfSaysLater) {
  transport_.Answer(503, ErrorBody("Unavailable", true));
  const TimePoint start = clock_.Now();
  const auto answer = Api().CallModel({.epoch = 1, .node = "planner"}, {});
  ASSERT_FALSE(answer);
  EXPECT_TRUE(answer.error().retryable);
  EXPECT_LE(clock_.Now() - start, std::chrono::minutes(1));
  const TimePoint second = clock_.Now();
  ASSERT_FALSE(Api().ReportNode({.epoch = 1, .seq = 1}, {}));
  EXPECT_GT(clock_.Now() - second, std::chrono::minutes(2)) << "a record that is away is waited for longer";
}

TEST_F(HttpRunApiTest, AsksAModelOnceMoreAfterItsEndpointsPause) {
  transport_.answers.push_back(http::ClientResponse{
      .status = 503, .headers = {{"retry-after", "30"}}, .body = ErrorBody("Unavailable", true).dump()});
  transport_.Answer(400, ErrorBody("Invalid", false));
  const auto answer = Api().CallModel({.epoch = 1, .node = "planner"}, {});
  EXPECT_EQ(answer.error().code, ErrorCode::kInvalid);
  EXPECT_EQ(transport_.requests.size(), 2U);
}

TEST_F(HttpRunApiTest, AsksAModelAgainWhoseCoreStopsInTheMiddleOfALongCall) {
  transport_.Answer(503, ErrorBody("Unavailable", true));
  transport_.Answer(400, ErrorBody("Invalid", false));
  transport_.on_send = [this] {
    if (transport_.requests.size() == 1) clock_.Advance(std::chrono::minutes(5));
  };
  const auto answer = Api().CallModel({.epoch = 1, .node = "planner"}, {});
  EXPECT_EQ(answer.error().code, ErrorCode::kInvalid);
  EXPECT_EQ(transport_.requests.size(), 2U);
}

TEST_F(HttpRunApiTest, WaitsForAnEarlierAttemptsLeaseToEnd) {
  transport_.answers.push_back(http::ClientResponse{
      .status = 409, .headers = {{"retry-after", "290"}}, .body = ErrorBody("Conflict", true).dump()});
  transport_.Answer(410, ErrorBody("Gone", false));
  const auto claim = Api().Claim({}, {});
  ASSERT_FALSE(claim);
  EXPECT_EQ(claim.error().code, ErrorCode::kGone);
}

TEST_F(HttpRunApiTest, StopsAtOnceWhenStale) {
  transport_.Answer(409, ErrorBody("Stale", true));
  const Status status = Api().ReportNode({.epoch = 1, .seq = 1}, {});
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kStale);
  EXPECT_EQ(transport_.requests.size(), 1U);
}

TEST_F(HttpRunApiTest, DoesNotRepeatWhatIsRefusedForGood) {
  transport_.Answer(400, ErrorBody("Invalid", false));
  const auto answer = Api().CallModel({.epoch = 1, .node = "planner"}, {});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, ErrorCode::kInvalid);
  EXPECT_NE(answer.error().message.find("because"), std::string::npos);
  EXPECT_EQ(transport_.requests.size(), 1U);
}

TEST_F(HttpRunApiTest, TriesADeniedTokenAFewTimes) {
  transport_.Answer(401, ErrorBody("Denied", false));
  EXPECT_FALSE(Api().Release({.epoch = 1}, {}));
  EXPECT_EQ(transport_.requests.size(), 4U);
}

TEST_F(HttpRunApiTest, WaitsAsLongAsRetryAfterAsks) {
  transport_.answers.push_back(
      http::ClientResponse{.status = 429, .headers = {{"retry-after", "40"}}, .body = "{}"});
  transport_.Answer(200, json::object());
  const TimePoint start = clock_.Now();
  EXPECT_TRUE(Api().Release({.epoch = 1}, {}));
  EXPECT_GE(clock_.Now() - start, std::chrono::seconds(40));
}

TEST_F(HttpRunApiTest, HeartbeatsOnlyOnce) {
  transport_.Break();
  EXPECT_FALSE(Api().Heartbeat({.epoch = 1}, {}));
  EXPECT_EQ(transport_.requests.size(), 1U);
}

TEST_F(HttpRunApiTest, EncodesArtifactNamesAndKeepsBytes) {
  transport_.Answer(200, {{"name", "0001-plan/input.json"}, {"digest", "sha256:x"}, {"size", 3}});
  const std::string bytes("a\0b", 3);
  const auto ref = Api().PutArtifact(7, "0001-plan/input.json", bytes, {});
  ASSERT_TRUE(ref) << ref.error().message;
  EXPECT_EQ(transport_.requests[0].method, "PUT");
  EXPECT_EQ(transport_.requests[0].url,
            "https://core:8443/v1/runs/abc-1/artifacts/0001-plan%2Finput.json?epoch=7");
  EXPECT_EQ(transport_.requests[0].body, bytes);
}

TEST_F(HttpRunApiTest, ModelCallsRideNoPooledConnection) {
  transport_.Answer(400, ErrorBody("Invalid", false));
  (void)Api().CallModel({.epoch = 1, .node = "planner"}, {});
  EXPECT_FALSE(transport_.requests[0].pooled);
}

TEST_F(HttpRunApiTest, StopEndsTheRetrying) {
  transport_.Break();
  std::stop_source stop;
  stop.request_stop();
  const Status status = Api().Finish({.epoch = 1}, stop.get_token());
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kCancelled);
}

TEST_F(HttpRunApiTest, NamesAMissingTokenFile) {
  HttpRunApi api({.base_url = "https://core", .run_id = "r", .token_file = "/nonexistent/token"}, transport_,
                 clock_);
  const Status status = api.Release({.epoch = 1}, {});
  ASSERT_FALSE(status);
  EXPECT_NE(status.error().message.find("/nonexistent/token"), std::string::npos);
}

}  // namespace
}  // namespace ybis::runner
