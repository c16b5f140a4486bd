#include "kube/client.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/kube/fake_transport.h"

namespace ybis::kube {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;

std::string StatusBody(const char* reason) {
  return json{{"kind", "Status"}, {"reason", reason}, {"message", "m"}}.dump();
}

/// Counts refusals; gives another token after each.
class CountingToken final : public TokenSource {
 public:
  Result<std::string> Token(std::stop_token) override { return "token-" + std::to_string(refused); }
  void Refused() override { ++refused; }
  int refused = 0;
};

class KubeClientTest : public ::testing::Test {
 protected:
  KubeClientTest() {
    Connection connection{.server = "https://api.test:6443", .token = token_};
    ClientSettings settings;
    settings.user_agent = "ybis-operator/test";
    settings.on_request = [this](std::string_view method, std::string_view host, std::string_view code) {
      counted_.push_back(fmt::format("{} {} {}", method, host, code));
    };
    client_ = std::make_unique<KubeClient>(transport_, connection, clock_, settings);
  }
  const http::ClientRequest& Last() { return transport_.requests.back(); }

  FakeTransport transport_;
  FakeClock clock_{TimePoint(std::chrono::hours(500'000))};
  std::shared_ptr<CountingToken> token_ = std::make_shared<CountingToken>();
  std::vector<std::string> counted_;
  std::unique_ptr<KubeClient> client_;
  std::stop_source stop_;
  const json job_ = {
      {"apiVersion", "batch/v1"}, {"kind", "Job"}, {"metadata", {{"namespace", "n"}, {"name", "j"}}}};
};

TEST_F(KubeClientTest, GetsAnObjectWithTokenAndUserAgent) {
  transport_.Answer(200, job_.dump());
  const auto got = client_->Get(kJobs, {"n", "j"}, stop_.get_token());
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_EQ(*got, job_);
  EXPECT_EQ(Last().url, "https://api.test:6443/apis/batch/v1/namespaces/n/jobs/j");
  EXPECT_EQ(Last().headers.at("Authorization"), "Bearer token-0");
  EXPECT_EQ(Last().headers.at("User-Agent"), "ybis-operator/test");
  EXPECT_EQ(counted_, std::vector<std::string>{"GET api.test:6443 200"});
}

TEST_F(KubeClientTest, NeverTurnsAMissingNameIntoACollection) {
  for (const Key& key : {Key{"n", ""}, Key{"", "j"}, Key{"n", ".."}, Key{"n", "."}}) {
    EXPECT_EQ(client_->Delete(kJobs, key, {}, {}).error().code, ErrorCode::kInvalid) << key.ToString();
    EXPECT_EQ(client_->Get(kJobs, key, {}).error().code, ErrorCode::kInvalid) << key.ToString();
  }
  json nameless = job_;
  nameless["metadata"] = {{"namespace", "n"}, {"generateName", "j-"}};
  EXPECT_EQ(client_->Create(kJobs, nameless, {}).error().code, ErrorCode::kInvalid);
  EXPECT_TRUE(transport_.requests.empty());
}

TEST_F(KubeClientTest, ListsAPageWithSelectorsAndContinue) {
  transport_.Answer(200, R"({"metadata":{"resourceVersion":"42","continue":"more"},
                             "items":[{"metadata":{"name":"a","namespace":"n","managedFields":[1]}}]})");
  const auto page =
      client_->List(kPods, "n", {.label_selector = "app in (a,b)", .limit = 7, .continue_token = "c=="}, {});
  ASSERT_TRUE(page) << page.error().message;
  EXPECT_EQ(page->resource_version, "42");
  EXPECT_EQ(page->continue_token, "more");
  ASSERT_EQ(page->items.size(), 1U);
  EXPECT_EQ((*page->items[0])["kind"], "Pod");
  EXPECT_EQ((*page->items[0])["apiVersion"], "v1");
  EXPECT_FALSE((*page->items[0])["metadata"].contains("managedFields"));
  EXPECT_EQ(Last().url,
            "https://api.test:6443/api/v1/namespaces/n/"
            "pods?continue=c%3D%3D&labelSelector=app%20in%20%28a%2Cb%29&limit=7");
}

TEST_F(KubeClientTest, RefusesListsOfTheWrongShape) {
  for (const char* body :
       {"[]", "{}", R"({"items":5})", R"({"items":[5]})", R"({"items":[{"metadata":{}}]})", "x"}) {
    FakeTransport transport;
    transport.Answer(200, body);
    KubeClient client(transport, {.server = "https://h"}, clock_);
    EXPECT_FALSE(client.List(kPods, "", {}, {})) << body;
  }
  transport_.Answer(200, R"({"metadata":{"resourceVersion":"1"},"items":null})");
  EXPECT_TRUE(client_->List(kPods, "", {}, {})->items.empty());
}

TEST_F(KubeClientTest, CreatesReplacesPatchesAndDeletes) {
  transport_.Answer(201, job_.dump());
  ASSERT_TRUE(client_->Create(kJobs, job_, {}));
  EXPECT_EQ(Last().method + " " + Last().url, "POST https://api.test:6443/apis/batch/v1/namespaces/n/jobs");
  EXPECT_EQ(json::parse(Last().body), job_);
  ASSERT_TRUE(client_->Replace(kJobs, job_, {}));
  EXPECT_EQ(Last().method + " " + Last().url, "PUT https://api.test:6443/apis/batch/v1/namespaces/n/jobs/j");
  ASSERT_TRUE(client_->Patch(kJobs, {"n", "j"}, {{"spec", {{"suspend", true}}}}, {}, {}));
  EXPECT_EQ(Last().headers.at("Content-Type"), "application/merge-patch+json");
  ASSERT_TRUE(client_->Patch(
      kTasks, {"n", "t"}, json::object(),
      {.type = PatchType::kApply, .subresource = "status", .field_manager = "ybis", .force = true}, {}));
  EXPECT_EQ(Last().url,
            "https://api.test:6443/apis/ybis.dev/v1alpha1/namespaces/n/ybistasks/t/"
            "status?fieldManager=ybis&force=true");
  EXPECT_EQ(Last().headers.at("Content-Type"), "application/apply-patch+yaml");
  ASSERT_TRUE(client_->Delete(kJobs, {"n", "j"},
                              {.propagation = "Foreground", .uid = "u", .grace_period_seconds = 0}, {}));
  EXPECT_EQ(Last().method, "DELETE");
  const json options = json::parse(Last().body);
  EXPECT_EQ(options["propagationPolicy"], "Foreground");
  EXPECT_EQ(options["preconditions"], (json{{"uid", "u"}}));
  EXPECT_EQ(options["gracePeriodSeconds"], 0);
}

TEST_F(KubeClientTest, DemandsAFieldManagerToApply) {
  EXPECT_EQ(client_->Patch(kTasks, {"n", "t"}, json::object(), {.type = PatchType::kApply}, {}).error().code,
            ErrorCode::kInvalid);
}

TEST_F(KubeClientTest, WaitsAsLongAsAThrottlingServerAsks) {
  transport_.Answer(429, StatusBody("TooManyRequests"), {{"retry-after", "3"}});
  transport_.Answer(201, job_.dump());
  const TimePoint before = clock_.Now();
  ASSERT_TRUE(client_->Create(kJobs, job_, {}));
  EXPECT_EQ(transport_.requests.size(), 2U);
  EXPECT_GE(clock_.Now() - before, std::chrono::seconds(3));
  EXPECT_LT(clock_.Now() - before, std::chrono::seconds(4));
}

TEST_F(KubeClientTest, HandsALongRetryAfterToTheCaller) {
  transport_.Answer(429, StatusBody("TooManyRequests"), {{"retry-after", "120"}});
  const auto got = client_->Get(kJobs, {"n", "j"}, {});
  EXPECT_EQ(got.error().code, ErrorCode::kExhausted);
  EXPECT_EQ(got.error().retry_after, milliseconds(120'000));
  EXPECT_EQ(transport_.requests.size(), 1U);
}

TEST_F(KubeClientTest, GivesUpOnEndlessThrottling) {
  transport_.Answer(429, StatusBody("TooManyRequests"), {{"retry-after", "1"}});
  EXPECT_EQ(client_->Get(kJobs, {"n", "j"}, {}).error().code, ErrorCode::kExhausted);
  EXPECT_EQ(transport_.requests.size(), 5U) << "once, and max_retries times";
}

TEST_F(KubeClientTest, RepeatsReadsThatCouldNotConnectButNoWrites) {
  transport_.Fail({ErrorCode::kUnavailable, "refused", true});
  EXPECT_EQ(client_->Create(kJobs, job_, {}).error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(transport_.requests.size(), 1U);
  EXPECT_EQ(counted_.back(), "POST api.test:6443 <error>");
  EXPECT_EQ(client_->Get(kJobs, {"n", "j"}, {}).error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(transport_.requests.size(), 6U);
}

TEST_F(KubeClientTest, AsksForAFreshTokenOnceWhenRefused) {
  transport_.Answer(401, StatusBody("Unauthorized"));
  transport_.Answer(200, job_.dump());
  ASSERT_TRUE(client_->Get(kJobs, {"n", "j"}, {}));
  EXPECT_EQ(Last().headers.at("Authorization"), "Bearer token-1");
  FakeTransport always;
  always.Answer(401, StatusBody("Unauthorized"));
  KubeClient client(always, {.server = "https://h", .token = token_}, clock_);
  const auto got = client.Get(kJobs, {"n", "j"}, {});
  EXPECT_EQ(got.error().code, ErrorCode::kDenied);
  EXPECT_FALSE(got.error().retryable);
  EXPECT_EQ(always.requests.size(), 2U);
}

TEST_F(KubeClientTest, WatchesWithBookmarksFromAVersion) {
  transport_.chunks = {
      "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"a\",\"resource",
      "Version\":\"5\"}}}\n{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"6\"}}}\n"};
  std::vector<WatchEventType> types;
  const Status status =
      client_->Watch(kJobs, "n", {.resource_version = "4", .timeout = std::chrono::seconds(60)},
                     [&](WatchEvent event) -> Status {
                       types.push_back(event.type);
                       return {};
                     },
                     {});
  ASSERT_TRUE(status) << status.error().message;
  EXPECT_EQ(types, (std::vector{WatchEventType::kAdded, WatchEventType::kBookmark}));
  EXPECT_EQ(Last().url,
            "https://api.test:6443/apis/batch/v1/namespaces/n/"
            "jobs?allowWatchBookmarks=true&resourceVersion=4&timeoutSeconds=60&watch=1");
  EXPECT_FALSE(Last().pooled);
  EXPECT_EQ(counted_, std::vector<std::string>{"GET api.test:6443 200"}) << "once";
  EXPECT_GT(Last().idle_timeout, std::chrono::seconds(120)) << "longer than two bookmarks are apart";
}

TEST_F(KubeClientTest, TellsWhyAWatchWasRefused) {
  transport_.stream_head.status = 410;
  transport_.chunks = {StatusBody("Expired")};
  const Status status = client_->Watch(kJobs, "n", {}, [](WatchEvent) -> Status { return {}; }, {});
  EXPECT_EQ(status.error().code, ErrorCode::kGone);
}

TEST_F(KubeClientTest, CountsWatchesThatCouldNotConnect) {
  class Refusing final : public http::Transport {
    Result<http::ClientResponse> Send(const http::ClientRequest&, std::stop_token) override {
      return Fail(ErrorCode::kUnavailable, "refused");
    }
    Status Stream(const http::ClientRequest&, const http::StreamHandler&, std::stop_token) override {
      return Fail(ErrorCode::kUnavailable, "refused");
    }
  } refusing;
  ClientSettings settings;
  std::string counted;
  settings.on_request = [&](std::string_view, std::string_view, std::string_view code) { counted = code; };
  KubeClient client(refusing, {.server = "https://h"}, clock_, settings);
  EXPECT_FALSE(client.Watch(kJobs, "n", {}, [](WatchEvent) -> Status { return {}; }, {}));
  EXPECT_EQ(counted, "<error>");
}

TEST_F(KubeClientTest, ReadsATokenReview) {
  transport_.Answer(201, R"({"status":{"authenticated":true,"audiences":["ybis"],"user":{
    "username":"system:serviceaccount:team:runner","uid":"u1","groups":["g1","g2"],
    "extra":{"authentication.kubernetes.io/pod-name":["p"],"authentication.kubernetes.io/pod-uid":["pu"]}}}})");
  const auto who = client_->Review("the-token", {"ybis"}, {});
  ASSERT_TRUE(who) << who.error().message;
  EXPECT_TRUE(who->authenticated);
  EXPECT_EQ(who->ns, "team");
  EXPECT_EQ(who->service_account, "runner");
  EXPECT_EQ(who->pod_name, "p");
  EXPECT_EQ(who->pod_uid, "pu");
  EXPECT_EQ(who->groups, (std::vector<std::string>{"g1", "g2"}));
  const json sent = json::parse(Last().body);
  EXPECT_EQ(sent["spec"], (json{{"token", "the-token"}, {"audiences", {"ybis"}}}));
  EXPECT_EQ(Last().url.find("the-token"), std::string::npos);
}

TEST_F(KubeClientTest, DoesNotBelieveATokenForAnotherAudience) {
  transport_.Answer(
      201, R"({"status":{"authenticated":true,"audiences":["https://kubernetes"],"user":{"username":"x"}}})");
  EXPECT_FALSE(client_->Review("t", {"ybis"}, {})->authenticated);
  FakeTransport odd;
  odd.Answer(201, R"({"status":{"authenticated":"yes","audiences":"ybis","user":[]}})");
  KubeClient client(odd, {.server = "https://h"}, clock_);
  EXPECT_FALSE(client.Review("t", {"ybis"}, {})->authenticated);
}

TEST_F(KubeClientTest, AsksWhetherItMay) {
  transport_.Answer(201, R"({"status":{"allowed":true}})");
  EXPECT_TRUE(client_->MayI("create", kJobs, "n", {}).value());
  FakeTransport odd;
  odd.Answer(201, R"({"status":{"allowed":"true"}})");
  KubeClient client(odd, {.server = "https://h"}, clock_);
  EXPECT_FALSE(client.MayI("create", kJobs, "n", {}).value());
}

TEST_F(KubeClientTest, TellsWhoWeAre) {
  transport_.Answer(201,
                    R"({"status":{"userInfo":{"username":"ada","groups":["dev","system:authenticated"]}}})");
  const auto me = client_->WhoAmI({});
  ASSERT_TRUE(me) << me.error().message;
  EXPECT_EQ(me->username, "ada");
  EXPECT_EQ(me->groups.size(), 2U);
  EXPECT_EQ(Last().url, "https://api.test:6443/apis/authentication.k8s.io/v1/selfsubjectreviews");
}

TEST_F(KubeClientTest, AsksWhatAnotherUserMay) {
  transport_.Answer(201, R"({"status":{"allowed":true}})");
  AccessQuestion question;
  question.user = "ada";
  question.groups = {"dev"};
  question.verb = "get";
  question.group = "record.ybis.dev";
  question.resource = "runs";
  question.subresource = "events";
  question.ns = "team";
  EXPECT_TRUE(client_->May(question, {}).value());
  const json spec = json::parse(Last().body)["spec"];
  EXPECT_EQ(spec["user"], "ada");
  EXPECT_EQ(spec["resourceAttributes"]["subresource"], "events");
  transport_.Answer(201, R"({"status":{"allowed":"yes"}})");
  FakeTransport odd;
  odd.Answer(201, R"({"status":{}})");
  KubeClient client(odd, {.server = "https://api.test:6443"}, clock_);
  EXPECT_FALSE(client.May(question, {}).value());
}

TEST_F(KubeClientTest, StreamsWhatIsNoJson) {
  transport_.chunks = {"one\n", "two\n"};
  std::string text;
  const auto take = [&text](std::string_view chunk) -> Status {
    text += chunk;
    return {};
  };
  ASSERT_TRUE(client_->StreamRaw("/api/v1/namespaces/n/pods/p/log?follow=true", take, {}));
  EXPECT_EQ(text, "one\ntwo\n");
  EXPECT_EQ(Last().idle_timeout.count(), 0) << "a quiet pod is no broken connection";
  transport_.stream_head = {.status = 400};
  transport_.chunks = {StatusBody("BadRequest")};
  const Status refused = client_->StreamRaw("/x", take, {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalid);
  EXPECT_EQ(text, "one\ntwo\n");
}

TEST_F(KubeClientTest, AsksForStrictFieldsWhenTold) {
  ClientSettings settings;
  settings.field_validation = "Strict";
  KubeClient strict(transport_, {.server = "https://api.test:6443"}, clock_, settings);
  transport_.Answer(201, job_.dump());
  ASSERT_TRUE(strict.Create(kJobs, job_, {}));
  EXPECT_TRUE(Last().url.ends_with("/jobs?fieldValidation=Strict")) << Last().url;
  ASSERT_TRUE(strict.Patch(kJobs, {"n", "j"}, job_, {}, {}));
  EXPECT_NE(Last().url.find("fieldValidation=Strict"), std::string::npos);
}

}  // namespace
}  // namespace ybis::kube
