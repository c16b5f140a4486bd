// The example tasks on one machine: real database, real runner, recorded answers.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/integration/local/machine.h"

namespace ybis::testing {
namespace {

using nlohmann::json;

class LocalRun : public ::testing::Test {
 protected:
  Machine machine_;
};

TEST_F(LocalRun, HelloBecomesABranchInTheSourceRepositoryAndNothingElseChangesThere) {
  const std::string repository = machine_.Repository("hello");
  const std::string before = machine_.Git(repository, {"rev-parse", "HEAD"});
  const auto run = machine_.Ybis({"run", Example("hello"), "--repo", repository});
  ASSERT_EQ(run.exit_code, 0) << run.output << run.error_output;
  EXPECT_NE(run.output.find("Result    Completed"), std::string::npos) << run.output;
  const std::string branch = machine_.Task("hello")["status"]["result"]["branch"];
  EXPECT_TRUE(branch.starts_with("ybis/hello-")) << branch;
  EXPECT_NE(run.output.find("Branch    " + branch), std::string::npos) << run.output;
  EXPECT_EQ(machine_.Git(repository, {"log", "--format=%s", "-1", branch}), "Add hello.py");
  EXPECT_EQ(machine_.Git(repository, {"rev-parse", branch + "^"}), before);
  EXPECT_EQ(machine_.Git(repository, {"rev-parse", "HEAD"}), before);
  EXPECT_EQ(machine_.Git(repository, {"status", "--porcelain", "--ignored"}), "");
  EXPECT_EQ(run.output.find('\x1b'), std::string::npos) << "no colour when it is no terminal";
}

TEST_F(LocalRun, RingIsMendedInARepairRound) {
  const std::string repository = machine_.Repository("ring");
  const auto run = machine_.Ybis({"run", Example("ring"), "--repo", repository});
  ASSERT_EQ(run.exit_code, 0) << run.output << run.error_output;
  EXPECT_NE(run.output.find("repair"), std::string::npos) << run.output;
  const json task = machine_.Task("ring");
  EXPECT_EQ(task["status"]["phase"], "Completed");
  EXPECT_EQ(task["status"]["verification"]["failed"], 0);
}

TEST_F(LocalRun, AProtectedPathBlocksAndPushesNothing) {
  const std::string repository = machine_.Repository("shop");
  const auto run = machine_.Ybis({"run", Example("protected-path"), "--repo", repository});
  ASSERT_EQ(run.exit_code, 4) << run.output << run.error_output;
  EXPECT_NE(run.output.find("deploy/production.yaml"), std::string::npos) << run.output;
  EXPECT_TRUE(machine_.Branches(repository).empty());
  const auto diff = machine_.Ybis({"diff", "protected-path"});
  EXPECT_NE(diff.output.find("deploy/production.yaml"), std::string::npos) << diff.output;
  EXPECT_EQ(machine_.Ybis({"cancel", "protected-path"}).exit_code, 0);
  EXPECT_EQ(machine_.Phase("protected-path"), "Cancelled");
}

TEST_F(LocalRun, TellsEverythingAboutATask) {
  const std::string repository = machine_.Repository("hello");
  ASSERT_EQ(machine_.Ybis({"run", Example("hello"), "--repo", repository}).exit_code, 0);
  const json task = machine_.Task("hello");
  const std::string uid = task["metadata"]["uid"];
  EXPECT_EQ(machine_.Ybis({"task", "status", uid.substr(0, 8), "-o", "name"}).output, "hello\n");
  EXPECT_EQ(machine_.Ybis({"task", "list", "-o", "name", "--status", "Completed"}).output, "hello\n");
  EXPECT_EQ(machine_.Ybis({"task", "list", "-o", "name", "--status", "Failed"}).output, "");
  const auto names = machine_.Ybis({"artifacts", "hello", "-o", "name"}).output;
  for (const char* name :
       {"spec.json", "plan.json", "patch.diff", "verifier.json", "gate.json", "logs.jsonl"}) {
    EXPECT_NE(names.find(name), std::string::npos) << names;
  }
  const auto gate = machine_.Ybis({"artifacts", "hello", "get", "gate.json"});
  EXPECT_EQ(json::parse(gate.output)["decision"], "approved");
  EXPECT_EQ(machine_.Ybis({"artifacts", "hello", "get", "none"}).exit_code, 3);
  const std::string events = machine_.Events("hello");
  for (const char* type : {"RUN_CLAIMED", "BRANCH_PUSHED", "RUN_COMPLETED"}) {
    EXPECT_NE(events.find(type), std::string::npos) << events;
  }
  EXPECT_NE(machine_.Ybis({"logs", "hello"}).output.find("node finished"), std::string::npos);
  EXPECT_EQ(machine_.Ybis({"task", "status", "nobody"}).exit_code, 3);
  const auto health = machine_.Ybis({"health"});
  EXPECT_EQ(health.exit_code, 0) << health.output;
  EXPECT_NE(health.output.find("[OK] database"), std::string::npos) << health.output;
}

TEST_F(LocalRun, RetryAndRunAgainMakeNewRunsOfTheSameTask) {
  const std::string repository = machine_.Repository("hello");
  ASSERT_EQ(machine_.Ybis({"run", Example("hello"), "--repo", repository}).exit_code, 0);
  const auto over = machine_.Ybis({"run", "hello"});
  EXPECT_EQ(over.exit_code, 2);
  EXPECT_NE(over.error_output.find("ybis retry hello"), std::string::npos) << over.error_output;
  EXPECT_EQ(machine_.Ybis({"task", "create", "-f", Example("hello"), "--repo", repository}).exit_code, 1);
  ASSERT_EQ(machine_.Ybis({"retry", "hello"}).exit_code, 0);
  EXPECT_EQ(machine_.Phase("hello"), "Queued");
  const auto again = machine_.Ybis({"run", "hello"});
  EXPECT_EQ(again.exit_code, 0) << again.output << again.error_output;
  EXPECT_EQ(machine_.Task("hello")["status"]["run"]["number"], 2);
  EXPECT_EQ(machine_.Branches(repository).size(), 2U);
}

TEST_F(LocalRun, AMissingSecretIsNamedBeforeAnythingStarts) {
  const auto run = machine_.Ybis({"run", Example("hello")});
  EXPECT_EQ(run.exit_code, 3);
  EXPECT_NE(run.error_output.find("secrets/git-credentials"), std::string::npos) << run.error_output;
}

TEST_F(LocalRun, AnUnknownRefFailsWithItsReason) {
  const std::string repository = machine_.Repository("hello");
  const auto run = machine_.Ybis({"run", Example("hello"), "--repo", repository, "--ref", "nowhere"});
  EXPECT_EQ(run.exit_code, 1);
  EXPECT_NE(run.output.find("RefNotFound"), std::string::npos) << run.output;
}

}  // namespace
}  // namespace ybis::testing
