#include "operator/record/record_api.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "control/record_json.h"
#include "http/tls_cert.h"
#include "operator/record/api_service.h"
#include "tests/kube/fake_api.h"

namespace ybis::op {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

const kube::Key kAuthentication{"kube-system", "extension-apiserver-authentication"};

class FakeRecords final : public RunRecords {
 public:
  Result<control::RunRecord> Run(const std::string& run_id, std::stop_token) override {
    if (run_id != "r-1") return Fail(ErrorCode::kNotFound, "no run " + run_id);
    control::RunRecord run;
    run.run_id = run_id;
    run.task_namespace = "team";
    run.task_name = "hello";
    return run;
  }
  Result<std::vector<control::JournalEntry>> Events(const std::string& run_id, int64_t after, int64_t limit,
                                                    std::stop_token) override {
    asked = fmt::format("{} {}", after, limit);
    return std::vector<control::JournalEntry>{
        {7, run_id, std::string(32, 'a'), "RUN_QUEUED", "queued", nullptr, TimePoint()}};
  }
  Result<std::vector<control::NodeSummary>> Nodes(const std::string&, int64_t, std::stop_token) override {
    control::NodeSummary node;
    node.seq = 1;
    node.node = "plan";
    node.outcome = "ok";
    return std::vector<control::NodeSummary>{node};
  }
  Result<std::vector<api::ArtifactRef>> Artifacts(const std::string&, std::stop_token) override {
    return std::vector<api::ArtifactRef>{{"patch.diff", "sha256:0", 3}};
  }
  Result<std::string> Artifact(const std::string&, const std::string& name, std::stop_token) override {
    return "bytes of " + name;
  }
  std::string asked;
};

class FakeReviewer final : public kube::AccessReviewer {
 public:
  Result<bool> May(const kube::AccessQuestion& question, std::stop_token) override {
    questions.push_back(question);
    if (down) return Fail(ErrorCode::kUnavailable, "no API server");
    return question.user == "ada";
  }
  std::vector<kube::AccessQuestion> questions;
  bool down = false;
};

class RecordApiTest : public ::testing::Test {
 protected:
  RecordApiTest() {
    const TimePoint now = clock_.Now();
    authority_ = *http::MakeCertificateAuthority("front proxy authority", now);
    proxy_certificate_ = ClientOf(authority_, "front-proxy-client");
    (void)api_.Create(kube::kConfigMaps,
                      {{"metadata", {{"namespace", kAuthentication.ns}, {"name", kAuthentication.name}}},
                       {"data",
                        {{"requestheader-client-ca-file", authority_.certificate_pem},
                         {"requestheader-allowed-names", R"(["front-proxy-client"])"},
                         {"requestheader-username-headers", R"(["X-Remote-User"])"},
                         {"requestheader-group-headers", R"(["X-Remote-Group"])"},
                         {"requestheader-extra-headers-prefix", R"(["X-Remote-Extra-"])"}}}},
                      {});
    AddRecordApi(router_, {records_, proxy_, access_});
  }

  std::string ClientOf(const http::CertificateAndKey& authority, const std::string& name) {
    return http::MakeServerCertificate(authority,
                                       {.common_name = name, .not_before = clock_.Now(), .for_client = true})
        ->certificate_pem;
  }
  http::Request Request(const std::string& target, const std::string& user = "ada") {
    http::Request request;
    request.method = "GET";
    EXPECT_TRUE(http::SplitTarget(target, request));
    request.headers["x-remote-user"] = user;
    request.peer.certificate_pem = proxy_certificate_;
    return request;
  }
  http::Response Send(http::Request request) {
    const auto match = router_.Find(request);
    return match.route == nullptr ? match.refusal : match.route->handler(request, {});
  }
  http::Response Get(const std::string& rest, const std::string& user = "ada") {
    return Send(Request(std::string(control::kRecordApiPath) + "/namespaces/team/runs/r-1" + rest, user));
  }

  FakeClock clock_{*ParseRfc3339("2026-03-01T12:00:00Z")};
  http::CertificateAndKey authority_;
  std::string proxy_certificate_;
  kube::FakeApi api_;
  FakeRecords records_;
  FakeReviewer reviewer_;
  FrontProxy proxy_{api_, clock_};
  RecordAccess access_{reviewer_, clock_};
  http::Router router_;
};

TEST_F(RecordApiTest, GivesARunItsEventsNodesAndArtifacts) {
  EXPECT_EQ(json::parse(Get("").body)["task"], "hello");
  const json events = json::parse(Get("/events?after=3&limit=9").body);
  EXPECT_EQ(records_.asked, "3 9");
  const auto event = control::ParseJournalEntry(events["items"][0]);
  ASSERT_TRUE(event) << event.error().message;
  EXPECT_EQ(event->type, "RUN_QUEUED");
  const auto node = control::ParseNodeSummary(json::parse(Get("/nodes").body)["items"][0]);
  ASSERT_TRUE(node) << node.error().message;
  EXPECT_EQ(node->node, "plan");
  EXPECT_EQ(json::parse(Get("/artifacts").body)["items"][0]["name"], "patch.diff");
  const http::Response bytes = Get("/artifacts/nodes/1-plan/input.json");
  EXPECT_EQ(bytes.status, 200);
  EXPECT_EQ(bytes.body, "bytes of nodes/1-plan/input.json");
  EXPECT_EQ(bytes.headers.at("Content-Type"), "application/octet-stream");
}

TEST_F(RecordApiTest, WithoutTheProxysCertificateNobodyIsHeard) {
  http::Request none = Request(std::string(control::kRecordApiPath) + "/namespaces/team/runs/r-1");
  none.peer.certificate_pem.clear();
  EXPECT_EQ(Send(none).status, 401);
  none.peer.certificate_pem =
      ClientOf(*http::MakeCertificateAuthority("other", clock_.Now()), "front-proxy-client");
  EXPECT_EQ(Send(none).status, 401);
  none.peer.certificate_pem = ClientOf(authority_, "somebody-else");
  EXPECT_EQ(Send(none).status, 401);
  EXPECT_EQ(json::parse(Send(none).body)["reason"], "Unauthorized");
  EXPECT_TRUE(reviewer_.questions.empty());
}

TEST_F(RecordApiTest, AsksWhetherTheUserMayReadThatPart) {
  http::Request request =
      Request(std::string(control::kRecordApiPath) + "/namespaces/team/runs/r-1/artifacts");
  request.headers["x-remote-group"] = "one, a, b";
  request.repeated_headers["x-remote-group"] = {"one", "a, b"};
  request.headers["x-remote-extra-scopes%2fx"] = "s";
  EXPECT_EQ(Send(request).status, 200);
  ASSERT_EQ(reviewer_.questions.size(), 1U);
  const auto& question = reviewer_.questions[0];
  EXPECT_EQ(question.user, "ada");
  EXPECT_THAT(question.groups, ElementsAre("one", "a, b")) << "a comma in a name makes no group";
  EXPECT_EQ(question.extra.at("scopes/x").front(), "s");
  EXPECT_EQ(question.group + "/" + question.resource + "/" + question.subresource,
            "record.ybis.dev/runs/artifacts");
  EXPECT_EQ(question.ns, "team");
  EXPECT_EQ(question.name, "r-1");
}

TEST_F(RecordApiTest, DeniesInTheWordsOfTheApiServer) {
  const http::Response response = Get("/events", "eve");
  EXPECT_EQ(response.status, 403);
  const json body = json::parse(response.body);
  EXPECT_EQ(body["reason"], "Forbidden");
  EXPECT_THAT(body["message"].get<std::string>(),
              HasSubstr(R"(User "eve" cannot get resource "runs/events" in API group "record.ybis.dev")"));
}

TEST_F(RecordApiTest, KeepsAnAnswerForAWhileAndForNobodyElse) {
  Get("/events");
  Get("/events");
  EXPECT_EQ(reviewer_.questions.size(), 1U);
  Get("/nodes");
  Get("/events", "eve");
  EXPECT_EQ(reviewer_.questions.size(), 3U);
  clock_.Advance(std::chrono::seconds(11));
  Get("/events");
  EXPECT_EQ(reviewer_.questions.size(), 4U);
}

TEST_F(RecordApiTest, AReviewThatFailsAllowsNothing) {
  reviewer_.down = true;
  EXPECT_EQ(Get("/events").status, 503);
}

TEST_F(RecordApiTest, ARunOfAnotherNamespaceIsNotThere) {
  const http::Response other =
      Send(Request(std::string(control::kRecordApiPath) + "/namespaces/other/runs/r-1/artifacts/patch.diff"));
  EXPECT_EQ(other.status, 404);
  EXPECT_THAT(other.body, HasSubstr("no record of run r-1 in namespace other"));
  EXPECT_EQ(Send(Request(std::string(control::kRecordApiPath) + "/namespaces/team/runs/none")).status, 404);
}

TEST_F(RecordApiTest, WrongNumbersAndDoubledUsersAreRefused) {
  EXPECT_EQ(Get("/events?after=-1").status, 400);
  EXPECT_EQ(Get("/events?limit=100000").status, 400);
  http::Request twice = Request(std::string(control::kRecordApiPath) + "/namespaces/team/runs/r-1");
  twice.repeated_headers["x-remote-user"] = {"eve", "ada"};
  EXPECT_EQ(Send(twice).status, 401);
}

TEST_F(RecordApiTest, ReadsTheProxysAuthorityAgain) {
  EXPECT_EQ(Get("").status, 200);
  const auto next = *http::MakeCertificateAuthority("next", clock_.Now());
  (void)api_.Patch(kube::kConfigMaps, kAuthentication,
                   {{"data", {{"requestheader-client-ca-file", next.certificate_pem}}}}, {}, {});
  clock_.Advance(std::chrono::minutes(2));
  EXPECT_EQ(Get("").status, 401);
  proxy_certificate_ = ClientOf(next, "front-proxy-client");
  EXPECT_EQ(Get("").status, 200);
}

TEST_F(RecordApiTest, AnApiServerWithoutFrontProxyIsSaidSo) {
  (void)api_.Patch(kube::kConfigMaps, kAuthentication,
                   {{"data", {{"requestheader-client-ca-file", nullptr}}}}, {}, {});
  const http::Response response = Get("");
  EXPECT_EQ(response.status, 503);
  EXPECT_THAT(response.body, HasSubstr("--requestheader-client-ca-file"));
}

TEST_F(RecordApiTest, TellsWhatThereIsForDiscovery) {
  http::Request request = Request(control::kRecordApiPath);
  request.peer.certificate_pem.clear();
  const json list = json::parse(Send(request).body);
  EXPECT_EQ(list["kind"], "APIResourceList");
  EXPECT_EQ(list["groupVersion"], "record.ybis.dev/v1alpha1");
  EXPECT_EQ(list["resources"].size(), 4U);
  EXPECT_EQ(list["resources"][0]["verbs"], json::array({"get"}));
}

TEST(EnsureApiService, KeepsTheAuthorityOfItsOwnServiceAlone) {
  kube::FakeApi api;
  const kube::Key service{"ybis-system", "ybis-operator"};
  const kube::Key name{"", "v1alpha1.record.ybis.dev"};
  EXPECT_TRUE(EnsureApiService(api, service, "PEM", {})) << "not installed is no error";
  (void)api.Create(kube::kApiServices,
                   {{"metadata", {{"name", name.name}}},
                    {"spec", {{"service", {{"name", "ybis-operator"}, {"namespace", "ybis-system"}}}}}},
                   {});
  ASSERT_TRUE(EnsureApiService(api, service, "PEM", {}));
  EXPECT_EQ((*api.Get(kube::kApiServices, name, {}))["spec"]["caBundle"], "UEVN");
  int writes = 0;
  api.fail = [&writes](std::string_view verb, const kube::Resource&, const kube::Key&) -> Status {
    writes += verb == "patch" ? 1 : 0;
    return {};
  };
  ASSERT_TRUE(EnsureApiService(api, service, "PEM", {}));
  ASSERT_TRUE(EnsureApiService(api, {"other", "ybis-operator"}, "OTHER", {}));
  EXPECT_EQ(writes, 0);
  EXPECT_FALSE(EnsureApiService(api, service, "", {})) << "asks again later";
}

}  // namespace
}  // namespace ybis::op
