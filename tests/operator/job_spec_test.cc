#include "operator/task/job_spec.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/file.h"
#include "base/json.h"
#include "tests/operator/world.h"
#include "tests/support/source_dir.h"

namespace ybis::op {
namespace {

using namespace testing;
using nlohmann::json;

json Build(const json& spec, control::Config config = SomeConfig()) {
  const api::Task task = api::ParseTask(TaskObject(spec)).value();
  const auto run = RunIn(control::RunState::kDispatched);
  const std::string url = "https://ybis-operator.ybis-system.svc:8443";
  const std::string ca = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
  return BuildJob({task, run, config, url, ca});
}

const json kRich = json::parse(R"({
  "repository": {"credentialsSecretRef": {"name": "git-login"}, "caBundleSecretRef": {"name": "git-ca"}},
  "limits": {"timeoutSeconds": 600, "maxInfraRetries": 2},
  "workspace": {"size": "5Gi", "storageClassName": "fast"},
  "runner": {"image": "registry.example.com/exact:2", "nodeSelector": {"disk": "ssd"}, "priorityClassName": "low",
             "runtimeClassName": "gvisor", "resources": {"limits": {"memory": "4Gi"}},
             "tolerations": [{"key": "ci", "operator": "Exists"}]},
  "queueName": "batch"})");

/// Run with YBIS_UPDATE_GOLDEN=1 to write the file anew.
void ExpectGolden(const json& value, const std::string& name) {
  const std::string path = ybis::testing::SourceDir() + "/tests/golden/" + name;
  const std::string text = DumpJsonPretty(value);
  if (std::getenv("YBIS_UPDATE_GOLDEN") != nullptr) {
    ASSERT_TRUE(WriteFileAtomic(path, text));
  }
  const auto golden = ReadFile(path);
  ASSERT_TRUE(golden) << golden.error().message;
  EXPECT_EQ(text, *golden);
}

TEST(JobSpec, EqualsItsGoldenFile) { ExpectGolden(Build(json::object()), "job.json"); }

TEST(JobSpec, EqualsItsGoldenFileWithEverythingAskedFor) {
  control::Config config = SomeConfig();
  config.runner.image_pull_secrets = {"registry-login", "mirror-login"};
  ExpectGolden(Build(kRich, config), "job_rich.json");
}

TEST(JobSpec, EndsAtTheOperatorsLimitWhereTheTaskNamesNone) {
  control::Config config = SomeConfig();
  config.limits.max_timeout_seconds = 600;
  EXPECT_EQ(Build(json::object(), config)["spec"]["activeDeadlineSeconds"], 720);
}

TEST(JobSpec, IsAFunctionOfTaskAndRun) { EXPECT_EQ(Build(kRich), Build(kRich)); }

TEST(JobSpec, DoesNotCountARunnerThatLeavesARunToAPerson) {
  const json spec = Build(json::object())["spec"];
  const json& rule = spec["podFailurePolicy"]["rules"][1];
  EXPECT_EQ(rule["action"], "Ignore");
  EXPECT_EQ(rule["onExitCodes"]["values"], json::array({40}));
  const json& environment = spec["template"]["spec"]["containers"][0]["env"];
  EXPECT_EQ(environment[2]["name"], "YBIS_WAIT_WHEN_BLOCKED");
}

TEST(JobSpec, FitsTheRestrictedPodSecurityStandard) {
  const json pod = Build(kRich)["spec"]["template"]["spec"];
  EXPECT_EQ(pod["securityContext"]["runAsNonRoot"], true);
  EXPECT_EQ(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
  EXPECT_EQ(pod["automountServiceAccountToken"], false);
  const json& security = pod["containers"][0]["securityContext"];
  EXPECT_EQ(security["allowPrivilegeEscalation"], false);
  EXPECT_EQ(security["readOnlyRootFilesystem"], true);
  EXPECT_EQ(security["capabilities"]["drop"], json::array({"ALL"}));
  for (const json& volume : pod["volumes"]) EXPECT_FALSE(volume.contains("hostPath"));
}

TEST(JobSpec, GivesThePodATokenForTheRunApiAlone) {
  const json volumes = Build(json::object())["spec"]["template"]["spec"]["volumes"];
  const json& sources = volumes[0]["projected"]["sources"];
  EXPECT_EQ(sources[0]["serviceAccountToken"]["audience"], "ybis");
  EXPECT_EQ(sources[0]["serviceAccountToken"]["path"], "token");
}

TEST(JobSpec, MountsNoSecretThatTheTaskDoesNotName) {
  const std::string text = Build(json::object()).dump();
  EXPECT_EQ(text.find("secretName"), std::string::npos);
  EXPECT_EQ(text.find("--git-"), std::string::npos);
}

TEST(JobSpec, TakesTheOperatorsDefaultsWhereTheTaskIsSilent) {
  control::Config config = SomeConfig();
  config.runner.workspace_medium = "EmptyDir";
  config.runner.workspace_size = "3Gi";
  config.runner.service_account = "runner";
  const json pod = Build(json::object(), config)["spec"]["template"]["spec"];
  EXPECT_EQ(pod["volumes"][1]["emptyDir"]["sizeLimit"], "3Gi");
  EXPECT_EQ(pod["serviceAccountName"], "runner");
  EXPECT_EQ(pod["containers"][0]["image"], "registry.example.com/ybis-runner:1");
  EXPECT_EQ(pod["containers"][0]["resources"]["limits"]["memory"], "2Gi");
}

TEST(JobSpec, RetriesWhatIsNobodysFaultAndNotWhatFailedForGood) {
  const json spec = Build(kRich)["spec"];
  EXPECT_EQ(spec["backoffLimit"], 2);
  EXPECT_EQ(spec["podFailurePolicy"]["rules"][0]["action"], "Ignore");
  EXPECT_EQ(spec["podFailurePolicy"]["rules"][2]["onExitCodes"]["values"][0], 10);
  EXPECT_EQ(spec["template"]["spec"]["restartPolicy"], "Never");
}

}  // namespace
}  // namespace ybis::op
