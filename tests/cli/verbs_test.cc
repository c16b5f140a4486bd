#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "cli/verb.h"
#include "tests/support/temp_dir.h"

namespace ybis::cli {
namespace {

struct Outcome {
  int code;
  std::string out;
  std::string err;
};

Outcome Ybis(std::vector<std::string> words) {
  std::vector<const char*> argv = {"ybis"};
  for (const std::string& word : words) argv.push_back(word.c_str());
  std::ostringstream out, err;
  const int code = Run(static_cast<int>(argv.size()), argv.data(), out, err);
  return {code, out.str(), err.str()};
}

/// Points the folders at a place of the test's own.
class Verbs : public ::testing::Test {
 protected:
  void SetUp() override {
    ::setenv("YBIS_DATA_DIR", (dir_.path() / "data").c_str(), 1);
    ::setenv("YBIS_CONFIG_DIR", dir_.path().c_str(), 1);
    for (const char* name : {"DATABASE_URL", "YBIS_PROFILE", "YBIS_CONFIG", "YBIS_BACKEND"}) ::unsetenv(name);
    std::vector<std::string> overrides;
    for (char** variable = environ; *variable != nullptr; ++variable) {
      const std::string text = *variable;
      if (text.starts_with("YBIS_CONFIG__")) overrides.push_back(text.substr(0, text.find('=')));
    }
    for (const std::string& name : overrides) ::unsetenv(name.c_str());
  }
  testing::TempDir dir_;
};

const std::vector<std::vector<std::string>> kLocalVerbs = {
    {"run"},           {"task", "create"}, {"task", "list"},  {"task", "status"},  {"approve"},
    {"reject"},        {"revise"},         {"cancel"},        {"retry"},           {"diff"},
    {"artifacts"},     {"events"},         {"logs"},          {"worker", "start"}, {"worker", "status"},
    {"db", "status"},  {"db", "stop"},     {"db", "migrate"}, {"db", "rollback"},  {"health"},
    {"config", "show"}};

TEST_F(Verbs, OutputThatIsLostIsAnError) {
  const char* argv[] = {"ybis", "workflow", "show", "ybis-native"};
  std::ofstream full("/dev/full");
  std::ostringstream err;
  EXPECT_EQ(cli::Run(4, argv, full, err), kExitFailed);
  EXPECT_TRUE(err.str().starts_with("error: standard output: No space left on device;")) << err.str();
}

TEST_F(Verbs, ARevisionMayBeAskedForByItsReasonAndTheHintIsForTheBackend) {
  if (::isatty(STDIN_FILENO) == 1) GTEST_SKIP() << "there somebody would be asked";
  EXPECT_NE(Ybis({"revise", "x"}).err.find("--feedback: a revision"), std::string::npos);
  for (const char* flag : {"--reason", "--feedback"}) {
    const Outcome local = Ybis({"revise", "x", flag, "y"});
    EXPECT_EQ(local.code, kExitUsage);
    EXPECT_NE(local.err.find("`ybis diff x`, then give --yes"), std::string::npos) << local.err;
  }
  const Outcome cluster = Ybis({"approve", "x", "--backend", "cluster", "-n", "team"});
  EXPECT_NE(cluster.err.find("`ybis diff x --backend cluster -n team`"), std::string::npos) << cluster.err;
}

TEST_F(Verbs, EveryHelpHasAnExample) {
  for (std::vector<std::string> words : kLocalVerbs) {
    words.emplace_back("--help");
    const Outcome outcome = Ybis(words);
    EXPECT_EQ(outcome.code, kExitOk);
    EXPECT_NE(outcome.out.find("Example"), std::string::npos) << outcome.out;
    EXPECT_NE(outcome.out.find("--backend"), std::string::npos) << outcome.out;
  }
}

TEST_F(Verbs, WhatIsOfThisMachineIsRefusedForAClusterWithTheCommandThere) {
  const std::vector<std::vector<std::string>> calls = {{"db", "status", "--backend", "cluster"},
                                                       {"worker", "start", "--backend", "cluster"},
                                                       {"config", "show", "--backend", "cluster"}};
  for (const auto& words : calls) {
    const Outcome outcome = Ybis(words);
    EXPECT_EQ(outcome.code, kExitUsage);
    EXPECT_NE(outcome.err.find("--backend local"), std::string::npos) << outcome.err;
  }
  EXPECT_FALSE(std::filesystem::exists(dir_.path() / "data")) << "nothing is made for a refusal";
}

TEST_F(Verbs, NoClusterIsOneClearLineForEveryVerb) {
  const std::string kubeconfig = dir_.Write("kubeconfig",
                                            "apiVersion: v1\nkind: Config\ncurrent-context: c\n"
                                            "clusters: [{name: k, cluster: {server: "
                                            "'https://127.0.0.1:1'}}]\nusers: [{name: u, user: {token: t}}]\n"
                                            "contexts: [{name: c, context: {cluster: k, user: u}}]\n");
  const std::vector<std::vector<std::string>> calls = {
      {"task", "list"}, {"task", "status", "x"}, {"cancel", "x"},     {"retry", "x"},
      {"diff", "x"},    {"artifacts", "x"},      {"events", "x"},     {"logs", "x"},
      {"run", "x"},     {"worker", "status"},    {"workflow", "list"}};
  for (auto words : calls) {
    for (const char* word : {"--backend", "cluster", "--kubeconfig"}) words.emplace_back(word);
    words.push_back(kubeconfig);
    const Outcome outcome = Ybis(words);
    EXPECT_EQ(outcome.code, kExitFailed) << outcome.err;
    EXPECT_TRUE(outcome.err.starts_with("error: no cluster answers at https://127.0.0.1:1 ")) << outcome.err;
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
  }
  EXPECT_FALSE(std::filesystem::exists(dir_.path() / "data"));
}

TEST_F(Verbs, ConfigShowNamesTheLayerOfEachValue) {
  dir_.Write("config.yaml",
             "limits: {maxTokensPerRun: 1234}\nmodels: [{name: m, endpoint: 'https://m.example.com/v1'}]\n");
  ::setenv("YBIS_CONFIG__LIMITS__MAX_RUNS", "7", 1);
  const Outcome outcome = Ybis({"config", "show"});
  ::unsetenv("YBIS_CONFIG__LIMITS__MAX_RUNS");
  ASSERT_EQ(outcome.code, kExitOk) << outcome.err;
  const auto line = [&](const std::string& start) {
    const size_t at = outcome.out.find("\n" + start + " ");
    return at == std::string::npos ? "" : outcome.out.substr(at + 1, outcome.out.find('\n', at + 1) - at - 1);
  };
  EXPECT_TRUE(line("limits.maxRuns").ends_with("environment")) << line("limits.maxRuns");
  EXPECT_TRUE(line("limits.maxTokensPerRun").ends_with("config.yaml")) << line("limits.maxTokensPerRun");
  EXPECT_TRUE(line("policy.sandbox").ends_with("profile dev")) << line("policy.sandbox");
  EXPECT_TRUE(line("models[0].name").ends_with("config.yaml")) << outcome.out;
}

TEST_F(Verbs, ConfigShowNamesTheHighestLayerThatSaysTheSame) {
  dir_.Write("config.yaml", "limits: {maxRuns: 7}\nlogLevel: info\n");
  ::setenv("YBIS_CONFIG__LIMITS__MAX_RUNS", "7", 1);
  const Outcome outcome = Ybis({"config", "show", "-o", "json"});
  ::unsetenv("YBIS_CONFIG__LIMITS__MAX_RUNS");
  ASSERT_EQ(outcome.code, kExitOk) << outcome.err;
  const auto shown = nlohmann::json::parse(outcome.out);
  EXPECT_EQ(shown["limits"]["maxRuns"], (nlohmann::json{{"value", 7}, {"source", "environment"}}));
  EXPECT_EQ(shown["logLevel"]["source"], (dir_.path() / "config.yaml").string());
  EXPECT_EQ(shown["health"]["backupFolder"]["source"], "default");
  EXPECT_TRUE(shown["database"]["value"].get<std::string>().ends_with("/postgres")) << shown["database"];
}

TEST_F(Verbs, ConfigShowHidesTheDatabaseAddress) {
  const Outcome outcome = Ybis({"config", "show", "--database-url", "postgresql://u:secret@h/d"});
  EXPECT_EQ(outcome.out.find("secret"), std::string::npos);
  EXPECT_NE(outcome.out.find("--database-url"), std::string::npos);
}

TEST_F(Verbs, ConfigShowNamesFileLineAndKeyOfAMistake) {
  dir_.Write("config.yaml", "limits:\n  maxRunz: 3\n");
  const Outcome outcome = Ybis({"config", "show"});
  EXPECT_EQ(outcome.code, kExitUsage);
  EXPECT_NE(outcome.err.find("config.yaml:"), std::string::npos) << outcome.err;
  EXPECT_NE(outcome.err.find("maxRunz"), std::string::npos) << outcome.err;
}

TEST_F(Verbs, DryRunShowsGraphLimitsModelsAndCeilingAndMakesNothing) {
  std::filesystem::create_directories(dir_.path() / "repo/.git");
  dir_.Write("config.yaml", "models: [{name: mine, endpoint: 'https://m.example.com/v1'}]\n");
  const Outcome outcome = Ybis({"run", "--dry-run", "--repo", dir_.path() / "repo", "--objective", "x",
                                "--verify", "make test", "--name", "dry"});
  ASSERT_EQ(outcome.code, kExitOk) << outcome.err;
  EXPECT_NE(outcome.out.find("spec*    spec_generator  1       -        mine   plan\n"), std::string::npos)
      << outcome.out;
  EXPECT_NE(outcome.out.find("repair   repair          3       -        mine   verify\n"), std::string::npos)
      << outcome.out;
  EXPECT_NE(outcome.out.find("Ceiling   500000 tokens, $5.00"), std::string::npos) << outcome.out;
  EXPECT_NE(outcome.out.find("Verify    make test"), std::string::npos) << outcome.out;
  EXPECT_FALSE(std::filesystem::exists(dir_.path() / "data"));
}

TEST_F(Verbs, AFlagThatMayBeRepeatedTakesOneValueEachTime) {
  std::filesystem::create_directories(dir_.path() / "repo/.git");
  const std::string file =
      dir_.Write("task.yaml",
                 "apiVersion: ybis.dev/v1alpha1\nkind: YbisTask\nmetadata: {name: from-file}\n"
                 "spec: {objective: o, repository: {url: 'https://h/x'}}\n");
  const Outcome run =
      Ybis({"run", "--dry-run", "--verify", "make test", "--param", "a=b", file, "--verify", "make lint"});
  ASSERT_EQ(run.code, kExitOk) << run.err;
  EXPECT_TRUE(run.out.starts_with("task from-file:")) << run.out;
  EXPECT_NE(run.out.find("Verify    make test; make lint\n"), std::string::npos) << run.out;
  const Outcome restore = Ybis({"backup", "restore", "--component", "database", "none", "--yes"});
  EXPECT_EQ(restore.err.find("not in {"), std::string::npos) << restore.err;
}

TEST_F(Verbs, BesideATaskThatIsThereOnlyAWorkflowMeansAnything) {
  for (const char* backend : {"local", "cluster"}) {
    const Outcome outcome = Ybis({"run", "there", "--backend", backend, "--workflow", "w", "--title", "x"});
    EXPECT_EQ(outcome.code, kExitUsage);
    EXPECT_TRUE(outcome.err.starts_with("error: --title: ")) << outcome.err;
  }
  EXPECT_FALSE(std::filesystem::exists(dir_.path() / "data"));
}

TEST_F(Verbs, HealthOfAClusterTellsWhetherItAnswers) {
  const std::string kubeconfig = dir_.Write("kubeconfig",
                                            "apiVersion: v1\nkind: Config\ncurrent-context: c\n"
                                            "clusters: [{name: k, cluster: {server: "
                                            "'https://127.0.0.1:1'}}]\nusers: [{name: u, user: {token: t}}]\n"
                                            "contexts: [{name: c, context: {cluster: k, user: u}}]\n");
  const Outcome outcome = Ybis({"health", "--backend", "cluster", "--kubeconfig", kubeconfig});
  EXPECT_EQ(outcome.code, kExitFailed) << outcome.err;
  EXPECT_TRUE(outcome.out.starts_with("[XX] cluster        no cluster answers at https://127.0.0.1:1 "))
      << outcome.out;
  EXPECT_FALSE(std::filesystem::exists(dir_.path() / "data"));
}

TEST_F(Verbs, RunSaysWhatIsMissing) {
  EXPECT_EQ(Ybis({"run", "--dry-run"}).code, kExitUsage);
  const Outcome outcome = Ybis({"run", "--dry-run", "--objective", "x", "--repo", "/nowhere"});
  EXPECT_EQ(outcome.code, kExitNotFound);
  EXPECT_NE(outcome.err.find("/nowhere"), std::string::npos) << outcome.err;
}

}  // namespace
}  // namespace ybis::cli
