#include "cli/backend_options.h"

#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <cstdlib>

#include "tests/support/temp_dir.h"

namespace ybis::cli {
namespace {

class WhichBackend : public ::testing::Test {
 protected:
  void SetUp() override {
    ::setenv("YBIS_CONFIG_DIR", dir_.path().c_str(), 1);
    ::unsetenv("YBIS_BACKEND");
    ::unsetenv("YBIS_CONFIG");
  }
  void TearDown() override { ::unsetenv("YBIS_BACKEND"); }

  Result<bool> Cluster(std::vector<std::string> words, const char* program = "ybis") {
    CLI::App app{"", IsPluginName(program) ? kPluginName : "ybis"};
    const Command verb = Command(&app).Add("verb", "");
    BackendOptions options;
    AddBackendOptions(verb, options);
    words.insert(words.begin(), "verb");
    std::reverse(words.begin(), words.end());
    app.parse(words);
    return IsCluster(options);
  }
  testing::TempDir dir_;
};

TEST_F(WhichBackend, IsLocalUnlessToldOtherwise) {
  EXPECT_FALSE(*Cluster({}));
  EXPECT_TRUE(*Cluster({"--backend", "cluster"}));
}

TEST_F(WhichBackend, FollowsTheEnvironmentThenTheConfiguration) {
  dir_.Write("config.yaml", "backend: cluster\n");
  EXPECT_TRUE(*Cluster({}));
  EXPECT_FALSE(*Cluster({"--backend", "local"}));
  ::setenv("YBIS_BACKEND", "local", 1);
  EXPECT_FALSE(*Cluster({}));
  EXPECT_TRUE(*Cluster({"--backend", "cluster"}));
}

TEST_F(WhichBackend, IsTheClusterForKubectlsPlugin) {
  ::setenv("YBIS_BACKEND", "local", 1);
  EXPECT_TRUE(*Cluster({"-n", "team", "--context", "c", "--kubeconfig", "f"}, "/usr/local/bin/kubectl-ybis"));
  EXPECT_TRUE(*Cluster({}, "kubectl_ybis"));
  EXPECT_FALSE(*Cluster({"--backend", "local"}, "kubectl-ybis"));
}

TEST_F(WhichBackend, AFlagOfTheOtherOneIsRefused) {
  EXPECT_NE(Cluster({"-n", "team"}).error().message.find("--namespace"), std::string::npos);
  EXPECT_NE(Cluster({"--kubeconfig", "f"}).error().message.find("--kubeconfig"), std::string::npos);
  const auto both = Cluster({"--backend", "cluster", "--database-url", "postgresql://h/d"});
  ASSERT_FALSE(both);
  EXPECT_NE(both.error().message.find("--database-url"), std::string::npos);
}

}  // namespace
}  // namespace ybis::cli
