// The operator's program against a real API server and a real Postgres: KUBECONFIG must name a cluster in
// which the CRDs may be installed. Runners don't run here; what they would report is written to the record by
// the test.
#include <gtest/gtest.h>
#include <signal.h>

#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

#include "base/digest.h"
#include "base/file.h"
#include "base/yaml.h"
#include "control/run_ledger.h"
#include "kube/client.h"
#include "kube/config.h"
#include "tests/integration/operator/operator_process.h"
#include "tests/support/postgres.h"
#include "tests/support/source_dir.h"

namespace ybis {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::seconds;
using Steady = std::chrono::steady_clock;
using testing::OperatorProcess;

constexpr kube::Resource kCrds{"apiextensions.k8s.io", "v1", "customresourcedefinitions",
                               "CustomResourceDefinition", false};

template <class Ready>
bool Eventually(Ready ready, milliseconds limit = seconds(20)) {
  for (const auto start = Steady::now(); Steady::now() - start < limit;) {
    if (ready()) return true;
    std::this_thread::sleep_for(milliseconds(5));
  }
  return ready();
}

class OperatorClusterTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (Configured()) postgres_ = new testing::Postgres();
  }
  static void TearDownTestSuite() { delete std::exchange(postgres_, nullptr); }
  static bool Configured() {
    const char* kubeconfig = std::getenv("KUBECONFIG");
    return kubeconfig != nullptr && *kubeconfig != '\0';
  }

  void SetUp() override {
    if (!Configured()) {
      const char* required = std::getenv("YBIS_REQUIRE_CLUSTER");
      if (required != nullptr && std::string(required) == "1")
        FAIL() << "KUBECONFIG is not set, but a cluster is required";
      GTEST_SKIP() << "KUBECONFIG is not set: no API server to test against";
    }
    auto connection = kube::FindConnection({}, SystemClock(), {});
    ASSERT_TRUE(connection) << connection.error().message;
    api_ = kube::KubeClient::Make(*connection, SystemClock());
    InstallCrds();
    ns_ = "operator-test-" + RandomHex(4);
    ASSERT_TRUE(api_->Create(
        kube::kNamespaces, {{"apiVersion", "v1"}, {"kind", "Namespace"}, {"metadata", {{"name", ns_}}}}, {}));
    url_ = postgres_->NewDatabase();
    operator_ = std::make_unique<OperatorProcess>(ns_, url_);
    ASSERT_TRUE(operator_->WaitReady(seconds(30))) << operator_->Log();
  }
  void TearDown() override {
    if (HasFailure() && operator_) std::cerr << operator_->Log();
    operator_.reset();
    if (api_ && !ns_.empty()) (void)api_->Delete(kube::kNamespaces, {"", ns_}, {}, {});
  }
  void InstallCrds() {
    for (const char* file :
         {"ybis.dev_ybistasks.yaml", "ybis.dev_ybisworkflows.yaml", "ybis.dev_ybisapprovals.yaml"}) {
      const auto text = ReadFile(testing::SourceDir() + "/crds/" + file).value();
      const auto made = api_->Create(kCrds, *ParseYaml(text, file).value().value, {});
      ASSERT_TRUE(made || made.error().code == ErrorCode::kExists) << made.error().message;
    }
    for (const auto& resource : {kube::kTasks, kube::kApprovals}) {
      ASSERT_TRUE(Eventually([&] { return api_->List(resource, "default", {}, {}).has_value(); }));
    }
  }

  void Apply(const std::string& name, const json& spec = json::object()) {
    json task = {
        {"apiVersion", "ybis.dev/v1alpha1"},
        {"kind", "YbisTask"},
        {"metadata", {{"name", name}, {"namespace", ns_}, {"labels", {{"ybis.dev/operator", ns_}}}}},
        {"spec", {{"objective", "Mend it"}, {"repository", {{"url", "https://git.example.com/r.git"}}}}}};
    task["spec"].merge_patch(spec);
    kube::PatchOptions options{kube::PatchType::kApply, "", "kubectl", true};
    const auto applied = api_->Patch(kube::kTasks, {ns_, name}, task, options, {});
    ASSERT_TRUE(applied) << applied.error().message;
  }
  json Task(const std::string& name) {
    return api_->Get(kube::kTasks, {ns_, name}, {}).value_or(json::object());
  }
  std::string Phase(const std::string& name) { return Task(name).value("/status/phase"_json_pointer, ""); }
  json Condition(const std::string& name, const char* type) {
    for (const json& condition : Task(name).value("/status/conditions"_json_pointer, json::array())) {
      if (condition["type"] == type) return condition;
    }
    return {{"reason", ""}, {"status", ""}};
  }
  std::string RunOf(const std::string& name) { return Task(name).value("/status/run/id"_json_pointer, ""); }
  std::vector<kube::Object> Jobs() { return api_->List(kube::kJobs, ns_, {}, {})->items; }
  /// Writes of the operator so far, by its own count; the lease is no write that counts.
  int Writes() {
    int writes = 0;
    std::istringstream lines(operator_->Get("/metrics"));
    for (std::string line; std::getline(lines, line);) {
      const bool counted = line.starts_with("rest_client_requests_total") &&
                           line.find("method=\"GET\"") == std::string::npos &&
                           line.find("method=\"PUT\"") == std::string::npos;
      if (counted) writes += std::stoi(line.substr(line.rfind(' ')));
    }
    return writes;
  }
  void Restart() { operator_ = std::make_unique<OperatorProcess>(ns_, url_); }

  static inline testing::Postgres* postgres_ = nullptr;
  std::unique_ptr<kube::KubeClient> api_;
  std::string ns_;
  std::string url_;
  std::unique_ptr<OperatorProcess> operator_;
};

TEST_F(OperatorClusterTest, MakesAJobSoonAfterATaskIsApplied) {
  std::vector<milliseconds> times;
  for (int i = 0; i < 20; ++i) {
    const std::string name = "task-" + std::to_string(i);
    Apply(name);
    const auto start = Steady::now();
    const kube::Key job{ns_, "ybis-" + kube::MetaString(Task(name), "uid").substr(0, 8) + "-1"};
    ASSERT_TRUE(Eventually([&] { return api_->Get(kube::kJobs, job, {}).has_value(); }));
    times.push_back(std::chrono::duration_cast<milliseconds>(Steady::now() - start));
  }
  std::sort(times.begin(), times.end());
  std::cout << "apply to Job: median " << times[10].count() << " ms, longest " << times.back().count()
            << " ms; resident " << operator_->ResidentKiB() << " KiB\n";
  EXPECT_LT(times.back(), seconds(5));
}

TEST_F(OperatorClusterTest, FollowsARunFromClaimToItsEndWithTwoStatusWrites) {
  const int before = Writes();
  Apply("good", {{"runner", {{"nodeSelector", {{"no-such-node", "x"}}}}}});
  ASSERT_TRUE(Eventually([&] { return Phase("good") == "Running"; }));
  store::Pool pool({.url = url_});
  control::RunLedger ledger(pool);
  const auto claim = ledger.Claim(RunOf("good"), "pod", {"test", "host"}, {});
  ASSERT_TRUE(claim) << claim.error().message;
  api::FinishReport finish;
  finish.epoch = claim->epoch;
  finish.outcome = "Completed";
  finish.result = api::RunResult{"approved", "ybis/good-1", "c0ffee", "ba5e", "sha256:0", 1, 2, 3};
  finish.verification = api::VerificationResult{2, 0};
  ASSERT_TRUE(ledger.Finish(RunOf("good"), finish, {}));
  const auto start = Steady::now();
  ASSERT_TRUE(Eventually([&] { return Phase("good") == "Completed"; }));
  std::cout << "finish to status: " << std::chrono::duration_cast<milliseconds>(Steady::now() - start).count()
            << " ms\n";
  EXPECT_EQ(Condition("good", "Succeeded")["status"], "True");
  EXPECT_EQ(Task("good")["status"]["result"]["branch"], "ybis/good-1");
  std::this_thread::sleep_for(seconds(1));
  // Job, two statuses, two events; the pod that no node takes is a third status and event.
  EXPECT_LE(Writes() - before, 7);
}

TEST_F(OperatorClusterTest, WritesNothingWhileNothingHappens) {
  Apply("queued", {{"suspend", true}});
  ASSERT_TRUE(Eventually([&] { return Condition("queued", "Accepted")["status"] == "True"; }));
  std::this_thread::sleep_for(seconds(1));
  const int before = Writes();
  Apply("queued", {{"suspend", true}});
  std::this_thread::sleep_for(seconds(5));
  EXPECT_EQ(Writes(), before);
  std::cout << "resident " << operator_->ResidentKiB() << " KiB\n";
}

TEST_F(OperatorClusterTest, GoesOnAfterSigkillWithOneJobAndOneRun) {
  for (int i = 0; i < 5; ++i) Apply("task-" + std::to_string(i));
  EXPECT_EQ(operator_->End(SIGKILL, seconds(5)), 128 + SIGKILL);
  Apply("task-5");
  Restart();
  ASSERT_TRUE(Eventually([&] { return Jobs().size() == 6; }, seconds(40))) << operator_->Log();
  for (int i = 0; i < 6; ++i) {
    EXPECT_TRUE(Eventually([&] { return Phase("task-" + std::to_string(i)) == "Running"; })) << i;
    EXPECT_EQ(Task("task-" + std::to_string(i))["status"]["run"]["number"], 1);
  }
  store::Pool pool({.url = url_});
  EXPECT_EQ((*pool.Execute("SELECT count(*) FROM runs", {}, {}))[0].Int(0), 6);
}

TEST_F(OperatorClusterTest, CancelsWhatIsDeletedAlsoWhenItWasAwayMeanwhile) {
  Apply("present");
  Apply("absent");
  ASSERT_TRUE(Eventually([&] { return Jobs().size() == 2; }));
  store::Pool pool({.url = url_});
  const auto cancelled = [&] {
    return (*pool.Execute("SELECT count(*) FROM runs WHERE state = 'Cancelled'", {}, {}))[0].Int(0);
  };
  ASSERT_TRUE(api_->Delete(kube::kTasks, {ns_, "present"}, {}, {}));
  EXPECT_TRUE(Eventually([&] { return cancelled() == 1; }));
  operator_->End(SIGKILL, seconds(5));
  ASSERT_TRUE(api_->Delete(kube::kTasks, {ns_, "absent"}, {}, {}));
  Restart();
  EXPECT_TRUE(Eventually([&] { return cancelled() == 2; }, seconds(40))) << operator_->Log();
  EXPECT_TRUE(Eventually([&] { return Jobs().empty(); }));
}

TEST_F(OperatorClusterTest, StopsOnSigtermAndGivesTheLeaseBack) {
  const auto start = Steady::now();
  EXPECT_EQ(operator_->End(SIGTERM, seconds(10)), 0);
  std::cout << "stop: " << std::chrono::duration_cast<milliseconds>(Steady::now() - start).count() << " ms\n";
  const json lease = api_->Get(kube::kLeases, {ns_, "ybis-operator"}, {}).value();
  EXPECT_EQ(lease["spec"].value("holderIdentity", ""), "");
}

TEST_F(OperatorClusterTest, MakesAJobAgainThatWasDeletedByHand) {
  Apply("task");
  ASSERT_TRUE(Eventually([&] { return Jobs().size() == 1; }));
  const std::string uid = kube::MetaString(*Jobs()[0], "uid");
  ASSERT_TRUE(api_->Delete(kube::kJobs, kube::KeyOf(*Jobs()[0]), {}, {}));
  EXPECT_TRUE(Eventually([&] { return Jobs().size() == 1 && kube::MetaString(*Jobs()[0], "uid") != uid; }));
}

TEST_F(OperatorClusterTest, TellsOfEveryWorkflowAndTakesTheTasksThatWaitedForOne) {
  Apply("waits", {{"workflowRef", {{"name", "mine"}}}});
  ASSERT_TRUE(Eventually([&] { return Condition("waits", "Accepted")["reason"] == "WorkflowNotFound"; }));
  const json workflow = {{"apiVersion", "ybis.dev/v1alpha1"},
                         {"kind", "YbisWorkflow"},
                         {"metadata", {{"name", "mine"}, {"namespace", ns_}}},
                         {"spec",
                          {{"entryPoint", "a"},
                           {"exitPoints", json::array({"a"})},
                           {"nodes", json::array({{{"name", "a"}, {"type", "passthrough"}}})}}}};
  ASSERT_TRUE(api_->Create(kube::kWorkflows, workflow, {}));
  EXPECT_TRUE(Eventually([&] { return Phase("waits") == "Running"; }));
  EXPECT_TRUE(Eventually([&] {
    const json object = api_->Get(kube::kWorkflows, {ns_, "mine"}, {}).value();
    return object.value("/status/conditions/0/status"_json_pointer, "") == "True";
  }));
}

TEST_F(OperatorClusterTest, RefusesADatabaseThatIsNewerByName) {
  EXPECT_EQ(operator_->End(SIGTERM, seconds(10)), 0);
  store::Pool pool({.url = url_});
  ASSERT_TRUE(
      pool.Execute("INSERT INTO _migrations (version, name, checksum) VALUES (99, 'future', 'x')", {}, {}));
  operator_ = std::make_unique<OperatorProcess>(ns_, url_);
  EXPECT_EQ(operator_->Wait(seconds(20)), 1);
  EXPECT_NE(operator_->Log().find("0099_future"), std::string::npos) << operator_->Log();
}

TEST_F(OperatorClusterTest, SurvivesARestartOfTheDatabase) {
  postgres_->Stop();
  Apply("task");
  std::this_thread::sleep_for(seconds(1));
  postgres_->Start();
  EXPECT_TRUE(Eventually([&] { return Phase("task") == "Running"; }, seconds(40))) << operator_->Log();
}

}  // namespace
}  // namespace ybis
