#include "control/run_api_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/json.h"
#include "base/sync.h"
#include "http/client.h"
#include "http/server.h"

namespace ybis::control {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using Kind = AuthVerdict::Kind;

/// Remembers what it was told; answers Stale to every epoch but 7.
class FakeRuns final : public RunService {
 public:
  Result<api::ClaimResponse> Claim(const std::string& run_id, const std::string& holder,
                                   const api::ClaimRequest& request, std::stop_token) override {
    Note("claim " + run_id + " by " + holder + " on " + request.host);
    api::ClaimResponse response;
    response.epoch = 7;
    response.order.run_id = run_id;
    response.order.spec.title = "t";
    return response;
  }
  Result<api::HeartbeatResponse> Heartbeat(const std::string&, const api::HeartbeatRequest& request,
                                           std::stop_token) override {
    YBIS_TRY(Check(request.epoch));
    return api::HeartbeatResponse{true};
  }
  Status ReportNode(const std::string&, const api::NodeReport& report, std::stop_token) override {
    YBIS_TRY(Check(report.epoch));
    Note(fmt::format("node {} patch {}", report.node, report.checkpoint.patch.size()));
    return {};
  }
  Status RecordEvent(const std::string&, const api::EventReport& report, std::stop_token) override {
    Note("event " + report.type);
    return Check(report.epoch);
  }
  Result<api::ArtifactRef> PutArtifact(const std::string&, int64_t epoch, const std::string& name,
                                       std::string bytes, std::stop_token) override {
    YBIS_TRY(Check(epoch));
    api::ArtifactRef ref{name, "sha256:x", static_cast<int64_t>(bytes.size())};
    (*artifacts.Lock())[name] = std::move(bytes);
    return ref;
  }
  Result<std::string> GetArtifact(const std::string&, const std::string& name, std::stop_token) override {
    auto all = artifacts.Lock();
    const auto it = all->find(name);
    if (it == all->end()) return Fail(ErrorCode::kNotFound, "no artifact " + name);
    return it->second;
  }
  Status Finish(const std::string&, const api::FinishReport& report, std::stop_token) override {
    Note("finish " + report.outcome);
    return Check(report.epoch);
  }
  Status Release(const std::string&, const api::ReleaseReport& report, std::stop_token) override {
    Note("release " + report.reason);
    return Check(report.epoch);
  }
  static Status Check(int64_t epoch) {
    if (epoch == 7) return {};
    return Fail(ErrorCode::kStale, "epoch 7 is the current one: stop");
  }
  void Note(std::string line) { notes.Lock()->push_back(std::move(line)); }

  Sync<std::vector<std::string>> notes;
  Sync<std::map<std::string, std::string>> artifacts;
};

class FakeModels final : public ModelCalls {
 public:
  Result<api::ModelResponse> Call(const std::string&, const api::ModelRequest& request,
                                  std::stop_token) override {
    if (request.prompt == "broke") return Fail(Error{ErrorCode::kExhausted, "budget", false, {}});
    return api::ModelResponse{"said " + request.messages.at(0).content, nullptr, "m", {}, false};
  }
};

class FakeAuth final : public RunAuthenticator {
 public:
  Result<AuthVerdict> Authenticate(std::string_view token, const std::string& run_id, const std::string&,
                                   std::stop_token) override {
    if (token == "unknowable") return Fail(ErrorCode::kUnavailable, "the API server is away");
    if (token != "good") return AuthVerdict{Kind::kUnauthenticated, {}, "not known"};
    if (run_id != "run-1") return AuthVerdict{Kind::kForbidden, {}, "another run"};
    return AuthVerdict{Kind::kAllowed, "pod-uid", {}};
  }
};

class RunApiTest : public ::testing::Test {
 protected:
  RunApiTest() {
    http::Router router;
    AddRunApi(router, api_);
    http::ServerSettings settings;
    settings.listen = {{.address = "127.0.0.1"}};
    auto server = http::Server::Start(settings, router);
    EXPECT_TRUE(server) << server.error().message;
    server_ = std::move(*server);
  }
  http::ClientResponse Send(const std::string& method, const std::string& path, const std::string& body,
                            const std::string& token = "good") {
    http::ClientRequest request;
    request.method = method;
    request.url = fmt::format("http://127.0.0.1:{}/v1/runs/{}", server_->Port(), path);
    request.body = body;
    if (!token.empty()) request.headers["Authorization"] = "Bearer " + token;
    auto response = client_.Send(request, {});
    EXPECT_TRUE(response) << response.error().message;
    return response ? *response : http::ClientResponse();
  }
  http::ClientResponse Post(const std::string& path, const json& body, const std::string& token = "good") {
    return Send("POST", path, DumpJson(body), token);
  }
  static std::string CodeOf(const http::ClientResponse& response) {
    return json::parse(response.body).at("error").at("code").get<std::string>();
  }

  FakeRuns runs_;
  FakeModels models_;
  FakeAuth auth_;
  RunApi api_{runs_, models_, auth_};
  http::Client client_{http::ClientSettings()};
  std::unique_ptr<http::Server> server_;
};

TEST_F(RunApiTest, ClaimsForWhoeverTheTokenSays) {
  const auto response = Post("run-1/claim", api::ToJson(api::ClaimRequest{"0.1.0", "node-a"}));
  EXPECT_EQ(response.status, 200) << response.body;
  EXPECT_EQ(json::parse(response.body).at("epoch"), 7);
  EXPECT_THAT(*runs_.notes.Lock(), ::testing::ElementsAre("claim run-1 by pod-uid on node-a"));
}

TEST_F(RunApiTest, DistinguishesUnknownFromForeignTokens) {
  const json body = api::ToJson(api::ClaimRequest{"0.1.0", "h"});
  EXPECT_EQ(Post("run-1/claim", body, "").status, 401);
  EXPECT_EQ(Post("run-1/claim", body, "bad").status, 401);
  EXPECT_EQ(Post("run-2/claim", body).status, 403);
  EXPECT_EQ(Post("run-1/claim", body, "unknowable").status, 503);
  EXPECT_EQ(Post("a%20b/claim", body).status, 400);
  EXPECT_TRUE(runs_.notes.Lock()->empty());
}

TEST_F(RunApiTest, EveryRouteAuthenticates) {
  for (const std::string path : {"claim", "heartbeat", "nodes", "events", "model", "finish", "release"}) {
    EXPECT_EQ(Post("run-1/" + path, json::object(), "bad").status, 401) << path;
  }
  EXPECT_EQ(Send("PUT", "run-1/artifacts/x?epoch=7", "bytes", "bad").status, 401);
  EXPECT_EQ(Send("GET", "run-1/artifacts/x", "", "bad").status, 401);
}

TEST_F(RunApiTest, TellsTheRunnerToStop) {
  EXPECT_EQ(json::parse(Post("run-1/heartbeat", api::ToJson(api::HeartbeatRequest{7, "planner"})).body)
                .at("cancel"),
            true);
  const auto stale = Post("run-1/heartbeat", api::ToJson(api::HeartbeatRequest{6, "planner"}));
  EXPECT_EQ(stale.status, 409);
  EXPECT_EQ(CodeOf(stale), "Stale");
  EXPECT_EQ(Post("run-1/finish", api::ToJson(api::FinishReport{6, "Completed"})).status, 409);
}

TEST_F(RunApiTest, TakesReports) {
  api::NodeReport report;
  report.epoch = 7;
  report.seq = 1;
  report.node = "planner";
  report.type = "planner";
  report.outcome = "ok";
  report.checkpoint.seq = 1;
  report.checkpoint.state = std::make_shared<const json>(json::object());
  report.checkpoint.patch = std::string(5'000'000, 'x');
  EXPECT_EQ(Post("run-1/nodes", api::ToJson(report)).status, 200);
  api::EventReport event;
  event.epoch = 7;
  event.key = "k";
  event.type = "GIT_WORKTREE_CREATED";
  EXPECT_EQ(Post("run-1/events", api::ToJson(event)).status, 200);
  EXPECT_EQ(Post("run-1/release", api::ToJson(api::ReleaseReport{7, "SIGTERM"})).status, 200);
  EXPECT_THAT(*runs_.notes.Lock(), ::testing::ElementsAre("node planner patch 5000000",
                                                          "event GIT_WORKTREE_CREATED", "release SIGTERM"));
}

TEST_F(RunApiTest, NamesWhatIsWrongWithABody) {
  EXPECT_EQ(Send("POST", "run-1/heartbeat", "not json").status, 400);
  EXPECT_EQ(Send("POST", "run-1/heartbeat", std::string(1000, '[')).status, 400);
  json body = api::ToJson(api::HeartbeatRequest{7, "planner"});
  body["epoch"] = "seven";
  const auto wrong = Post("run-1/heartbeat", body);
  EXPECT_EQ(wrong.status, 400);
  EXPECT_THAT(wrong.body, HasSubstr("epoch"));
  EXPECT_EQ(Send("POST", "run-1/heartbeat", std::string(2'000'000, ' ')).status, 413);
}

std::string ManyValues(const std::string& before, int count) {
  std::string body = before + "[{}";
  for (int i = 1; i < count; ++i) body += ",{}";
  return body + "]}";
}

TEST_F(RunApiTest, RefusesMoreValuesThanAMessageNeeds) {
  const auto heartbeat = Send("POST", "run-1/heartbeat", ManyValues(R"({"epoch": 7, "node": )", 200'000));
  EXPECT_EQ(heartbeat.status, 400);
  EXPECT_THAT(heartbeat.body, HasSubstr("more than 1000 values"));
  const auto model = Send("POST", "run-1/model", ManyValues(R"({"epoch": 7, "messages": )", 200'000));
  EXPECT_THAT(model.body, HasSubstr("more than 2000 values"));
  const auto report = Send("POST", "run-1/nodes", ManyValues(R"({"epoch": 7, "input": )", 999'000));
  EXPECT_THAT(report.body, HasSubstr("more than 50000 values"));
  EXPECT_THAT(*runs_.notes.Lock(), ::testing::IsEmpty());
}

TEST_F(RunApiTest, TakesAReportOfManyNodesOutputs) {
  json report =
      api::ToJson(api::NodeReport{.epoch = 7, .seq = 1, .node = "n", .type = "passthrough", .outcome = "ok"});
  report["checkpoint"]["state"] = {{"outputs", json(std::vector<json>(45'000, json::object()))}};
  EXPECT_EQ(Post("run-1/nodes", report).status, 200);
}

TEST_F(RunApiTest, CountsWhatABodyTakesInMemory) {
  http::Router router;
  AddRunApi(router, api_);
  http::ServerSettings settings;
  settings.listen = {{.address = "127.0.0.1"}};
  settings.max_buffered_bytes = 4 * 1024 * 1024;
  server_ = std::move(*http::Server::Start(settings, router));
  EXPECT_EQ(Send("POST", "run-1/nodes", ManyValues(R"({"epoch": 7, "input": )", 20'000)).status, 503);
  EXPECT_EQ(Send("PUT", "run-1/artifacts/x?epoch=7", std::string(2 * 1024 * 1024, 'x')).status, 503);
  EXPECT_EQ(Send("PUT", "run-1/artifacts/x?epoch=7", std::string(512 * 1024, 'x')).status, 200);
}

TEST_F(RunApiTest, KeepsArtifacts) {
  const std::string bytes("\0\x01\xff binary", 10);
  const auto put = Send("PUT", "run-1/artifacts/nodes%2F1-spec%2Finput.json?epoch=7", bytes);
  EXPECT_EQ(put.status, 200) << put.body;
  EXPECT_EQ(json::parse(put.body).at("size"), bytes.size());
  const auto got = Send("GET", "run-1/artifacts/nodes%2F1-spec%2Finput.json", "");
  EXPECT_EQ(got.status, 200);
  EXPECT_EQ(got.body, bytes);
  EXPECT_EQ(Send("GET", "run-1/artifacts/none", "").status, 404);
  EXPECT_EQ(Send("PUT", "run-1/artifacts/x?epoch=6", bytes).status, 409);
  for (const std::string query : {"", "?epoch=", "?epoch=-1", "?epoch=7x", "?epoch=99999999999999999999"}) {
    EXPECT_EQ(Send("PUT", "run-1/artifacts/x" + query, bytes).status, 400) << query;
  }
}

TEST_F(RunApiTest, RefusesArtifactsPastTheCap) {
  EXPECT_EQ(Send("PUT", "run-1/artifacts/big?epoch=7", std::string(32 * 1024 * 1024, 'x')).status, 200);
  EXPECT_EQ(Send("PUT", "run-1/artifacts/big?epoch=7", std::string(32 * 1024 * 1024 + 1, 'x')).status, 413);
}

TEST_F(RunApiTest, PassesModelCallsOn) {
  api::ModelRequest request;
  request.epoch = 7;
  request.node = "planner";
  request.prompt = "planner";
  request.prompt_version = "1";
  request.messages = {{"user", "hi"}};
  const auto answer = Post("run-1/model", api::ToJson(request));
  ASSERT_EQ(answer.status, 200) << answer.body;
  EXPECT_EQ(json::parse(answer.body).at("content"), "said hi");
  request.prompt = "broke";
  const auto refused = Post("run-1/model", api::ToJson(request));
  EXPECT_EQ(refused.status, 429);
  EXPECT_EQ(json::parse(refused.body).at("error").at("retryable"), false);
}

}  // namespace
}  // namespace ybis::control
