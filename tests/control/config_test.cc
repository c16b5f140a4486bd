#include "control/config.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/support/temp_dir.h"

namespace ybis::control {
namespace {

constexpr const char* kModels = R"(
models:
  - name: small
    endpoint: https://models.example.com/v1
    apiKeyFile: /etc/ybis/key
    inputUSDPerMillionTokens: 0.5
)";

TEST(LoadConfig, EveryProfileIsValid) {
  for (const char* profile : {"dev", "staging", "prod"}) {
    const auto config = LoadConfig({.profile = profile, .file = "", .environment = {}});
    ASSERT_TRUE(config) << config.error().message;
    EXPECT_EQ(config->profile, profile);
  }
  EXPECT_FALSE(LoadConfig({.profile = "prod", .file = "", .environment = {}})->policy.sandbox_best_effort);
  EXPECT_EQ(LoadConfig({.profile = "test", .file = "", .environment = {}}).error().message,
            "profile 'test' is none of dev, staging, prod (YBIS_PROFILE or --profile)");
}

TEST(LoadConfig, FileLiesOverTheProfileAndEnvironmentOverBoth) {
  testing::TempDir dir;
  const auto file = dir.Write("config.yaml", std::string(kModels) + "limits:\n  maxRuns: 7\n");
  const auto config = LoadConfig({.profile = "prod",
                                  .file = file,
                                  .environment = {{"YBIS_CONFIG__LIMITS__MAX_RUNS", "9"},
                                                  {"YBIS_CONFIG__runner__limits__cpu", "2"},
                                                  {"HOME", "/"}}});
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->limits.admission.total, 9);
  EXPECT_EQ(config->limits.admission.per_namespace, 10);
  EXPECT_EQ(config->default_model, "small");
  EXPECT_EQ(config->FindModel("")->endpoint, "https://models.example.com/v1");
  EXPECT_EQ(config->runner.limits.at("cpu"), "2");
}

TEST(LoadConfig, NamesFileLineAndKey) {
  testing::TempDir dir;
  const auto file = dir.Write("config.yaml", "logLevel: info\nlimits:\n  maxRuns: many\n");
  EXPECT_EQ(LoadConfig({.profile = "prod", .file = file, .environment = {}}).error().message,
            file.string() + ":3: limits.maxRuns: must be a whole number from 1 to 100000");
  const auto unknown = dir.Write("unknown.yaml", "\nmaxRuns: 3\n");
  EXPECT_EQ(LoadConfig({.profile = "prod", .file = unknown, .environment = {}}).error().message,
            unknown.string() + ":2: maxRuns: unknown field");
  const auto endpoint =
      dir.Write("endpoint.yaml", "models:\n  - name: a\n    endpoint: models.example.com\n");
  EXPECT_NE(LoadConfig({.profile = "prod", .file = endpoint, .environment = {}})
                .error()
                .message.find(endpoint.string() + ":3: models[0].endpoint: must be"),
            std::string::npos);
}

TEST(LoadConfig, TakesNoDiffThatNoReportCouldCarry) {
  const auto load = [](const std::string& bytes) {
    return LoadConfig({.profile = "prod", .environment = {{"YBIS_CONFIG__POLICY__MAX_DIFF_BYTES", bytes}}});
  };
  EXPECT_TRUE(load("12582912"));
  EXPECT_NE(load("12582913").error().message.find("policy.maxDiffBytes: must be a whole number from 1 to"),
            std::string::npos);
}

TEST(LoadConfig, TakesAModelsDialectAndNoOther) {
  testing::TempDir dir;
  const auto load = [&](const std::string& keys) {
    const auto file =
        dir.Write("c.yaml", "models:\n  - {name: a, endpoint: 'https://m.example.com/v1'" + keys + "}\n");
    return LoadConfig({.profile = "dev", .file = file, .environment = {}});
  };
  EXPECT_EQ(load("")->models[0].max_tokens_parameter, "max_tokens");
  EXPECT_EQ(load("")->models[0].response_format, "json_schema");
  const auto other = load(", maxTokensParameter: max_completion_tokens, responseFormat: json_object");
  ASSERT_TRUE(other) << other.error().message;
  EXPECT_EQ(other->models[0].max_tokens_parameter, "max_completion_tokens");
  EXPECT_EQ(other->models[0].response_format, "json_object");
  EXPECT_NE(load(", maxTokensParameter: max_output_tokens").error().message.find("max_completion_tokens"),
            std::string::npos);
  EXPECT_NE(load(", responseFormat: xml").error().message.find("json_object"), std::string::npos);
}

TEST(LoadConfig, RefusesAnEndpointThatHoldsAPassword) {
  testing::TempDir dir;
  const auto load = [&](const std::string& endpoint) {
    const auto file = dir.Write("c.yaml", "models:\n  - {name: a, endpoint: '" + endpoint + "'}\n");
    return LoadConfig({.profile = "dev", .file = file, .environment = {}});
  };
  const auto refused = load("https://user:secret@host.example.com/v1");
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("models[0].endpoint"), std::string::npos) << refused.error().message;
  EXPECT_EQ(refused.error().message.find("secret"), std::string::npos) << "the message is shown, too";
  EXPECT_TRUE(load("https://host.example.com/v1?key=a@b"));
}

TEST(ReadConfigLayers, TellsWhatEachLayerSays) {
  testing::TempDir dir;
  const auto file = dir.Write("c.yaml", "limits: {maxRuns: 5}\n");
  const auto layers =
      ReadConfigLayers({.profile = "dev",
                        .file = file,
                        .environment = {{"YBIS_CONFIG__LIMITS__MAX_RUNS", "5"}, {"HOME", "/"}}});
  ASSERT_TRUE(layers) << layers.error().message;
  ASSERT_EQ(layers->size(), 3U);
  EXPECT_EQ((*layers)[0].source, "profile dev");
  EXPECT_EQ((*layers)[1].source, file);
  EXPECT_EQ((*layers)[2].source, "environment");
  const nlohmann::json says = {{"limits", {{"maxRuns", 5}}}};
  EXPECT_EQ(*(*layers)[1].document, says);
  EXPECT_EQ(*(*layers)[2].document, says);
}

TEST(LoadConfig, RefusesOverridesThatNameNothing) {
  EXPECT_EQ(LoadConfig({.profile = "prod", .file = "", .environment = {{"YBIS_CONFIG__LIMIT__MAXRUNS", "9"}}})
                .error()
                .message,
            "environment variable YBIS_CONFIG__LIMIT__MAXRUNS: no setting is called so");
}

std::string ErrorWith(std::map<std::string, std::string> environment, const std::string& file = {}) {
  const auto config = LoadConfig({.profile = "dev", .file = file, .environment = std::move(environment)});
  return config ? "" : config.error().message;
}

TEST(LoadConfig, TakesEverySettingFromTheEnvironment) {
  const auto config = LoadConfig(
      {.profile = "prod",
       .file = "",
       .environment = {{"YBIS_CONFIG__MODELS", "[{name: small, endpoint: 'https://models.example.com/v1'}]"},
                       {"YBIS_CONFIG__BACKEND", "cluster"}}});
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->default_model, "small");
}

TEST(LoadConfig, NamesTheVariableThatIsWrong) {
  EXPECT_EQ(
      ErrorWith({{"YBIS_CONFIG__LIMITS__MAX_RUNS", "abc"}}),
      "environment variable YBIS_CONFIG__LIMITS__MAX_RUNS: limits.maxRuns: must be a whole number from 1 "
      "to 100000");
  EXPECT_EQ(
      ErrorWith({{"YBIS_CONFIG__LIMITS", "5"}, {"YBIS_CONFIG__LIMITS__MAX_RUNS", "5"}}),
      "environment variable YBIS_CONFIG__LIMITS__MAX_RUNS: limits is set to something that has no parts");
  EXPECT_EQ(
      ErrorWith({{"YBIS_CONFIG__MODELS", "[{name: a}]"}}).find("environment variable YBIS_CONFIG__MODELS: "),
      0u);
  // Each alone would not do beside the profile's other half.
  EXPECT_EQ(ErrorWith({{"YBIS_CONFIG__LEASE__HEARTBEAT_SECONDS", "200"},
                       {"YBIS_CONFIG__LEASE__LEASE_SECONDS", "600"}}),
            "");
}

TEST(LoadConfig, JudgesAFileTogetherWithItsProfile) {
  testing::TempDir dir;
  const auto good = dir.Write("good.yaml", "lease: {leaseSeconds: 100}\n");
  EXPECT_EQ(ErrorWith({}, good), "") << "the profile's heartbeat counts, not a built-in one";
  const auto bad = dir.Write("bad.yaml", "logLevel: info\nlease: {leaseSeconds: 4}\n");
  EXPECT_EQ(ErrorWith({}, bad).find(bad.string() + ":2: lease.heartbeatSeconds: "), 0u) << ErrorWith({}, bad);
}

TEST(LoadConfig, RefusesABudgetOfNothing) {
  EXPECT_NE(ErrorWith({{"YBIS_CONFIG__LIMITS__MAX_COST_USD_PER_RUN", "0"}}).find("limits.maxCostUSDPerRun"),
            std::string::npos);
}

TEST(LoadConfig, ReadsWhatRunnersPullAndMayMount) {
  const auto config = LoadConfig(
      {.profile = "prod",
       .file = "",
       .environment = {{"YBIS_CONFIG__RUNNER__IMAGE_PULL_SECRETS", "[registry-login]"},
                       {"YBIS_CONFIG__RUNNER__CREDENTIALS_SECRET_ALLOW", "[git-login, \"git-*\"]"}}});
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->runner.image_pull_secrets, std::vector<std::string>{"registry-login"});
  EXPECT_EQ(config->runner.credentials_secret_allow, (std::vector<std::string>{"git-login", "git-*"}));
}

TEST(LoadConfig, RefusesALeaseThatEndsBetweenHeartbeats) {
  const auto config = LoadConfig(
      {.profile = "prod", .file = "", .environment = {{"YBIS_CONFIG__LEASE__HEARTBEATSECONDS", "200"}}});
  ASSERT_FALSE(config);
  EXPECT_NE(config.error().message.find("lease.heartbeatSeconds"), std::string::npos);
}

TEST(TimeoutSeconds, IsTheTasksOrAnHourWithinTheOperatorsLimit) {
  Config config;
  api::TaskSpec spec;
  EXPECT_EQ(TimeoutSeconds(config, spec), 3600);
  config.limits.max_timeout_seconds = 600;
  EXPECT_EQ(TimeoutSeconds(config, spec), 600);
  spec.limits.timeout_seconds = 60;
  EXPECT_EQ(TimeoutSeconds(config, spec), 60);
}

TEST(EffectivePolicy, TheTaskCanOnlyTighten) {
  Config config;
  config.policy.protected_paths = {"a/**"};
  config.policy.max_changed_files = 10;
  api::TaskSpec spec;
  spec.policy.protected_paths = {"b/**"};
  spec.policy.max_changed_files = 50;
  spec.policy.max_diff_bytes = 5;
  spec.policy.network = true;
  const api::RunPolicy policy = EffectivePolicy(config, spec);
  EXPECT_EQ(policy.protected_paths, (std::vector<std::string>{"a/**", "b/**"}));
  EXPECT_EQ(policy.max_changed_files, 10);
  EXPECT_EQ(policy.max_diff_bytes, 5);
  EXPECT_FALSE(policy.network);
}

}  // namespace
}  // namespace ybis::control
