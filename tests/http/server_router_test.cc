#include "http/server_router.h"

#include <gtest/gtest.h>

namespace ybis::http {
namespace {

class RouterTest : public ::testing::Test {
 protected:
  RouterTest() {
    const auto handler = [](const Request&, std::stop_token) { return Response(); };
    router_.Add("GET", "/v1/runs/{id}/artifacts/{name}", handler);
    router_.Add("PUT", "/v1/runs/{id}/artifacts/{name}", handler);
    router_.Add("GET", "/", handler);
  }
  int StatusFor(const std::string& method, const std::string& path) {
    request_ = {};
    request_.method = method;
    request_.path = path;
    const auto match = router_.Find(request_);
    return match.route == nullptr ? match.refusal.status : 200;
  }
  Router router_;
  Request request_;
};

TEST_F(RouterTest, FillsInParameters) {
  EXPECT_EQ(StatusFor("GET", "/v1/runs/r-1/artifacts/nodes%2F1-spec%2Finput.json"), 200);
  EXPECT_EQ(request_.Param("id"), "r-1");
  EXPECT_EQ(request_.Param("name"), "nodes/1-spec/input.json");
}

TEST_F(RouterTest, RefusesWhatDoesNotFit) {
  EXPECT_EQ(StatusFor("GET", "/"), 200);
  EXPECT_EQ(StatusFor("GET", "//"), 404);
  EXPECT_EQ(StatusFor("GET", "/v1/runs//artifacts/x"), 404);
  EXPECT_EQ(StatusFor("GET", "/v1/runs/r/artifacts/x/y"), 404);
  EXPECT_EQ(StatusFor("DELETE", "/v1/runs/r/artifacts/x"), 405);
  EXPECT_EQ(StatusFor("GET", "/v1/runs/r/artifacts/%zz"), 400);
  EXPECT_EQ(StatusFor("GET", "/v1/runs/r/artifacts/a%00b"), 400);
}

TEST(SplitTarget, ReadsTheQuery) {
  Request request;
  EXPECT_TRUE(SplitTarget("/a?epoch=3&note=a+b%26c&flag", request));
  EXPECT_EQ(request.path, "/a");
  EXPECT_EQ(request.query.at("epoch"), "3");
  EXPECT_EQ(request.query.at("note"), "a b&c");
  EXPECT_EQ(request.query.at("flag"), "");
  EXPECT_FALSE(SplitTarget("http://host/a", request));
  EXPECT_FALSE(SplitTarget("/a?x=%f", request));
}

TEST(BearerToken, TakesTheTokenAlone) {
  Request request;
  EXPECT_EQ(request.BearerToken(), "");
  for (const auto& [header, token] : std::map<std::string, std::string>{{"Bearer abc", "abc"},
                                                                        {"bearer   abc", "abc"},
                                                                        {"Basic abc", ""},
                                                                        {"Bearer ", ""},
                                                                        {"Bearer", ""}}) {
    request.headers["authorization"] = header;
    EXPECT_EQ(request.BearerToken(), token) << header;
  }
}

TEST(ErrorResponse, TellsCodeMessageAndWhetherToRetry) {
  Error error = Fail(ErrorCode::kExhausted, "slow down").value();
  error.retry_after = std::chrono::milliseconds(1500);
  const Response response = ErrorResponse(error);
  EXPECT_EQ(response.status, 429);
  EXPECT_EQ(response.headers.at("Retry-After"), "2");
  EXPECT_EQ(response.body, R"({"error":{"code":"Exhausted","message":"slow down","retryable":true}})");
  EXPECT_EQ(StatusOf(ErrorCode::kStale), 409);
}

}  // namespace
}  // namespace ybis::http
