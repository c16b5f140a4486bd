// The Kubernetes client against a real API server: KUBECONFIG must name one. Without it the tests are
// skipped, unless YBIS_REQUIRE_CLUSTER=1 says that there must be one.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

#include "base/digest.h"
#include "kube/client.h"
#include "kube/config.h"
#include "kube/events.h"
#include "kube/leader_election.h"
#include "kube/reflector.h"

namespace ybis::kube {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::seconds;
using SteadyClock = std::chrono::steady_clock;

milliseconds Since(SteadyClock::time_point start) {
  return std::chrono::duration_cast<milliseconds>(SteadyClock::now() - start);
}

template <class Ready>
bool Eventually(Ready ready, milliseconds limit = seconds(20)) {
  for (const auto start = SteadyClock::now(); Since(start) < limit;) {
    if (ready()) return true;
    std::this_thread::sleep_for(milliseconds(10));
  }
  return ready();
}

/// One namespace for a test, deleted after it.
class ApiServerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* kubeconfig = std::getenv("KUBECONFIG");
    if (kubeconfig == nullptr || *kubeconfig == '\0') {
      const char* required = std::getenv("YBIS_REQUIRE_CLUSTER");
      if (required != nullptr && std::string(required) == "1")
        FAIL() << "KUBECONFIG is not set, but a cluster is required";
      GTEST_SKIP() << "KUBECONFIG is not set: no API server to test against";
    }
    auto connection = FindConnection({}, SystemClock(), {});
    ASSERT_TRUE(connection) << connection.error().message;
    connection_ = *connection;
    client_ = KubeClient::Make(connection_, SystemClock());
    ns_ = "kube-test-" + RandomHex(4);
    const auto made = client_->Create(
        kNamespaces, {{"apiVersion", "v1"}, {"kind", "Namespace"}, {"metadata", {{"name", ns_}}}}, {});
    ASSERT_TRUE(made) << made.error().message;
  }
  void TearDown() override {
    if (client_ && !ns_.empty()) (void)client_->Delete(kNamespaces, {"", ns_}, {}, {});
  }

  json ConfigMap(const std::string& name, const std::string& value = "v") {
    return {{"apiVersion", "v1"},
            {"kind", "ConfigMap"},
            {"metadata", {{"namespace", ns_}, {"name", name}, {"labels", {{"app", "kube-test"}}}}},
            {"data", {{"key", value}}}};
  }

  Connection connection_;
  std::unique_ptr<KubeClient> client_;
  std::string ns_;
};

TEST_F(ApiServerTest, CreatesReadsPatchesAndDeletes) {
  const auto created = client_->Create(kConfigMaps, ConfigMap("a"), {});
  ASSERT_TRUE(created) << created.error().message;
  EXPECT_EQ(client_->Create(kConfigMaps, ConfigMap("a"), {}).error().code, ErrorCode::kExists);
  const auto got = client_->Get(kConfigMaps, {ns_, "a"}, {});
  ASSERT_TRUE(got);
  EXPECT_FALSE((*got)["metadata"].contains("managedFields"));

  ASSERT_TRUE(client_->Patch(kConfigMaps, {ns_, "a"}, {{"data", {{"other", "1"}}}}, {}, {}));
  json stale = *created;
  stale["data"]["key"] = "late";
  EXPECT_EQ(client_->Replace(kConfigMaps, stale, {}).error().code, ErrorCode::kConflict);
  const json operations = json::array({{{"op", "replace"}, {"path", "/data/key"}, {"value", "json"}}});
  const auto patched = client_->Patch(kConfigMaps, {ns_, "a"}, operations, {.type = PatchType::kJson}, {});
  ASSERT_TRUE(patched) << patched.error().message;
  EXPECT_EQ((*patched)["data"], (json{{"key", "json"}, {"other", "1"}}));

  EXPECT_EQ(client_->Delete(kConfigMaps, {ns_, "a"}, {.uid = "another"}, {}).error().code,
            ErrorCode::kConflict);
  ASSERT_TRUE(client_->Delete(kConfigMaps, {ns_, "a"}, {.uid = MetaString(*created, "uid")}, {}));
  EXPECT_EQ(client_->Get(kConfigMaps, {ns_, "a"}, {}).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(client_->Delete(kConfigMaps, {ns_, "a"}, {}, {}).error().code, ErrorCode::kNotFound);
}

TEST_F(ApiServerTest, AppliesWithAFieldManagerAndTellsOfConflicts) {
  const PatchOptions ours{.type = PatchType::kApply, .field_manager = "ybis"};
  ASSERT_TRUE(client_->Patch(kConfigMaps, {ns_, "a"}, ConfigMap("a", "1"), ours, {}));
  const PatchOptions theirs{.type = PatchType::kApply, .field_manager = "other"};
  const auto refused = client_->Patch(kConfigMaps, {ns_, "a"}, ConfigMap("a", "2"), theirs, {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kConflict);
  const PatchOptions forced{.type = PatchType::kApply, .field_manager = "other", .force = true};
  EXPECT_TRUE(client_->Patch(kConfigMaps, {ns_, "a"}, ConfigMap("a", "2"), forced, {}));
}

TEST_F(ApiServerTest, NamesTheFieldsOfAnInvalidObject) {
  json job = {
      {"apiVersion", "batch/v1"},
      {"kind", "Job"},
      {"metadata", {{"namespace", ns_}, {"name", "bad"}}},
      {"spec", {{"template", {{"spec", {{"containers", json::array()}, {"restartPolicy", "Always"}}}}}}}};
  const auto refused = client_->Create(kJobs, job, {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalid);
  EXPECT_NE(refused.error().message.find("restartPolicy"), std::string::npos) << refused.error().message;
  job["spec"]["parallelism"] = "three";
  EXPECT_EQ(client_->Create(kJobs, job, {}).error().code, ErrorCode::kInvalid) << "400 for a wrong type";
}

TEST_F(ApiServerTest, PatchesAStatusApart) {
  const json job = {
      {"apiVersion", "batch/v1"},
      {"kind", "Job"},
      {"metadata", {{"namespace", ns_}, {"name", "j"}}},
      {"spec",
       {{"suspend", true},
        {"template",
         {{"spec",
           {{"restartPolicy", "Never"}, {"containers", {{{"name", "c"}, {"image", "none.invalid/x"}}}}}}}}}}};
  ASSERT_TRUE(client_->Create(kJobs, job, {}));
  const json status = {{"status", {{"ready", 0}, {"terminating", 0}}}};
  const auto patched = client_->Patch(kJobs, {ns_, "j"}, status, {.subresource = "status"}, {});
  ASSERT_TRUE(patched) << patched.error().message;
  EXPECT_EQ((*patched)["spec"]["suspend"], true);
  ASSERT_TRUE(client_->Delete(kJobs, {ns_, "j"}, {.propagation = "Foreground"}, {}));
}

TEST_F(ApiServerTest, ReviewsABoundToken) {
  const json account = {{"apiVersion", "v1"},
                        {"kind", "ServiceAccount"},
                        {"metadata", {{"namespace", ns_}, {"name", "runner"}}}};
  ASSERT_TRUE(client_->Create(kServiceAccounts, account, {}));
  // The request for a token is a subresource with a body of its own kind: posted as a collection of the
  // account.
  http::Client http({.tls = connection_.tls});
  http::ClientRequest ask{.method = "POST",
                          .url = connection_.server + ObjectPath(kServiceAccounts, {ns_, "runner"}, "token"),
                          .headers = {{"Content-Type", "application/json"}},
                          .body = R"({"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest",
                                      "spec":{"audiences":["ybis"],"expirationSeconds":600}})"};
  if (connection_.token) ask.headers["Authorization"] = "Bearer " + connection_.token->Token({}).value();
  const auto answer = http.Send(ask, {});
  ASSERT_TRUE(answer) << answer.error().message;
  ASSERT_EQ(answer->status, 201) << answer->body;
  const std::string token = json::parse(answer->body)["status"]["token"];

  const auto who = client_->Review(token, {"ybis"}, {});
  ASSERT_TRUE(who) << who.error().message;
  EXPECT_TRUE(who->authenticated) << who->error;
  EXPECT_EQ(who->ns, ns_);
  EXPECT_EQ(who->service_account, "runner");
  EXPECT_EQ(who->audiences, std::vector<std::string>{"ybis"});
  const auto elsewhere = client_->Review(token, {"another"}, {});
  ASSERT_TRUE(elsewhere);
  EXPECT_FALSE(elsewhere->authenticated);
  EXPECT_FALSE(client_->Review("garbage", {"ybis"}, {})->authenticated);
  EXPECT_TRUE(client_->MayI("create", kTokenReviews, "", {}).value());
}

TEST_F(ApiServerTest, ReflectsChangesAndStopsASilentWatch) {
  Sync<std::vector<std::string>> seen;
  Reflector reflector(
      *client_, *client_, SystemClock(),
      {.resource = kConfigMaps, .ns = ns_, .label_selector = "app=kube-test", .page_size = 10},
      [&](const Key& key, const Object& object) { seen.Lock()->push_back((object ? "+" : "-") + key.name); });
  for (int i = 0; i < 25; ++i)
    ASSERT_TRUE(client_->Create(kConfigMaps, ConfigMap("c" + std::to_string(i)), {}));
  reflector.Start();
  ASSERT_TRUE(reflector.WaitForSync(seconds(10), {})) << reflector.LastError();
  EXPECT_EQ(reflector.Objects().Size(), 25U) << "in pages of 10, without the root certificate's map";

  const auto patched = client_->Patch(kConfigMaps, {ns_, "c3"}, {{"data", {{"key", "new"}}}}, {}, {});
  ASSERT_TRUE(patched);
  const Key key{ns_, "c3"};
  reflector.Objects().ExpectVersion(key, MetaString(*patched, "resourceVersion"));
  const auto start = SteadyClock::now();
  EXPECT_TRUE(Eventually([&] { return reflector.Objects().Current(key); }));
  std::cout << "own write seen by the watch after " << Since(start).count() << " ms\n";
  EXPECT_EQ((*reflector.Objects().Get(key))["data"]["key"], "new");
  ASSERT_TRUE(client_->Delete(kConfigMaps, {ns_, "c4"}, {}, {}));
  EXPECT_TRUE(Eventually([&] { return reflector.Objects().Size() == 24; }));
  EXPECT_EQ(seen.Lock()->back(), "-c4");
  EXPECT_EQ(reflector.Lists(), 1U);

  std::this_thread::sleep_for(milliseconds(300));
  const auto stop = SteadyClock::now();
  reflector.Stop();
  std::cout << "reflector with a silent watch stopped after " << Since(stop).count() << " ms\n";
  EXPECT_LT(Since(stop), milliseconds(200));
}

TEST_F(ApiServerTest, SaysThatACompactedVersionIsGone) {
  const std::string path =
      CollectionPath(kConfigMaps, ns_) + "?limit=1&resourceVersionMatch=Exact&resourceVersion=1";
  const auto old = client_->GetRaw(path, {});
  if (old) GTEST_SKIP() << "this cluster is younger than its first compaction (5 minutes)";
  EXPECT_EQ(old.error().code, ErrorCode::kGone) << old.error().message;
}

TEST_F(ApiServerTest, EndsAWatchInGoodOrderAtItsTimeout) {
  const auto page = client_->List(kConfigMaps, ns_, {}, {});
  ASSERT_TRUE(page);
  const auto start = SteadyClock::now();
  const Status status =
      client_->Watch(kConfigMaps, ns_, {.resource_version = page->resource_version, .timeout = seconds(1)},
                     [](WatchEvent) -> Status { return {}; }, {});
  EXPECT_TRUE(status) << status.error().message;
  EXPECT_GE(Since(start), milliseconds(900));
  EXPECT_LT(Since(start), seconds(10));
}

TEST_F(ApiServerTest, ElectsOneLeaderAndHandsOver) {
  const LeaderElectionSettings base{.ns = ns_,
                                    .name = "lock",
                                    .lease_duration = seconds(3),
                                    .renew_deadline = seconds(2),
                                    .retry_period = milliseconds(200)};
  LeaderElectionSettings first = base;
  first.identity = "a";
  LeaderElectionSettings second = base;
  second.identity = "b";
  LeaderElector a(*client_, *client_, SystemClock(), first, {});
  LeaderElector b(*client_, *client_, SystemClock(), second, {});
  std::jthread run_a([&](std::stop_token stop) { a.Run(stop); });
  ASSERT_TRUE(Eventually([&] { return a.IsLeader(); }));
  std::jthread run_b([&](std::stop_token stop) { b.Run(stop); });
  std::this_thread::sleep_for(seconds(1));
  EXPECT_FALSE(b.IsLeader());
  run_a.request_stop();
  run_a.join();
  const auto start = SteadyClock::now();
  ASSERT_TRUE(Eventually([&] { return b.IsLeader(); }));
  std::cout << "handed over after a release in " << Since(start).count() << " ms\n";
  EXPECT_LT(Since(start), seconds(2)) << "faster than the lease runs out";
  const auto lease = client_->Get(kLeases, {ns_, "lock"}, {});
  ASSERT_TRUE(lease);
  EXPECT_EQ((*lease)["spec"]["holderIdentity"], "b");
}

TEST_F(ApiServerTest, RecordsAnEvent) {
  const auto object = client_->Create(kConfigMaps, ConfigMap("a"), {});
  ASSERT_TRUE(object);
  EventRecorder recorder(*client_, SystemClock(), {.instance = "test-0"});
  recorder.Record(*object, EventType::kWarning, "SomethingHappened", "Testing", std::string(5000, 'x'));
  ASSERT_TRUE(recorder.Flush(seconds(10)));
  EXPECT_EQ(recorder.Dropped(), 0U);
  const auto events = client_->List(kEvents, ns_, {.field_selector = "reason=SomethingHappened"}, {});
  ASSERT_TRUE(events) << events.error().message;
  ASSERT_EQ(events->items.size(), 1U);
  EXPECT_EQ((*events->items[0])["regarding"]["name"], "a");
  EXPECT_EQ((*events->items[0])["note"].get<std::string>().size(), 1024U);
}

TEST_F(ApiServerTest, IsDeniedWithoutCredentials) {
  Connection anonymous = connection_;
  anonymous.token = nullptr;
  anonymous.tls.client_certificate = nullptr;
  anonymous.tls.client_cert_file.clear();
  const auto client = KubeClient::Make(anonymous, SystemClock());
  EXPECT_EQ(client->Get(kConfigMaps, {ns_, "a"}, {}).error().code, ErrorCode::kDenied);
  anonymous.token = nullptr;
  anonymous.tls.ca_pem.clear();
  anonymous.tls.ca_file.clear();
  const auto stranger = KubeClient::Make(anonymous, SystemClock(), {.max_retries = 0});
  const auto refused = stranger->Get(kConfigMaps, {ns_, "a"}, {});
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("certificate"), std::string::npos) << refused.error().message;
}

TEST_F(ApiServerTest, MovesManySmallRequests) {
  ASSERT_TRUE(client_->Create(kConfigMaps, ConfigMap("a"), {}));
  const auto start = SteadyClock::now();
  for (int i = 0; i < 200; ++i) ASSERT_TRUE(client_->Get(kConfigMaps, {ns_, "a"}, {}));
  std::cout << "200 GETs one after the other: " << Since(start).count() << " ms\n";
  EXPECT_LT(Since(start), seconds(20));
}

}  // namespace
}  // namespace ybis::kube
