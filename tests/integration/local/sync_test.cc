// A person's checkout under a run: what they have not committed comes along, and their checkout stays as it
// is.
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "base/digest.h"
#include "base/file.h"
#include "tests/integration/local/machine.h"

namespace ybis::testing {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using nlohmann::json;

class LocalSync : public ::testing::Test {
 protected:
  void SetUp() override {
    repository_ = machine_.Repository("hello");
    std::ofstream(fs::path(repository_) / "NOTES.md") << "not committed\n";
    std::ofstream(fs::path(repository_) / "a b \xff.txt") << "odd\n";
  }
  std::string Fingerprint() const {
    std::set<std::string> lines;
    for (const auto& entry : fs::recursive_directory_iterator(repository_)) {
      std::string content;
      if (entry.is_symlink()) {
        content = fs::read_symlink(entry.path());
      } else if (entry.is_regular_file()) {
        content = Sha256Hex(ReadFile(entry.path(), 1 << 28).value_or("?"));
      }
      const auto time = entry.is_symlink() ? 0 : entry.last_write_time().time_since_epoch().count();
      lines.insert(entry.path().string() + " " + content + " " + std::to_string(time));
    }
    std::string all;
    for (const std::string& line : lines) all += line + "\n";
    return all;
  }
  json EventOf(const std::string& task, const std::string& type) const {
    std::istringstream lines(machine_.Ybis({"events", task, "-o", "json"}).output);
    for (std::string line; std::getline(lines, line);) {
      json event = json::parse(line);
      if (event["type"] == type) return event;
    }
    return nullptr;
  }
  std::string BaseOf(const std::string& task) const {
    return json::parse(machine_.Ybis({"artifacts", task, "get", "base.json"}).output)["commit"];
  }

  Machine machine_;
  std::string repository_;
};

TEST_F(LocalSync, UncommittedFilesComeAlongAndTheCheckoutIsNotTouched) {
  const std::string before = Fingerprint();
  const auto run = machine_.Ybis(
      {"run", Example("hello"), "--repo", repository_, "--no-branch", "--verify", "cat NOTES.md"});
  ASSERT_EQ(run.exit_code, 0) << run.output << run.error_output;
  EXPECT_EQ(Fingerprint(), before);
  EXPECT_NE(run.output.find("2 uncommitted files of"), std::string::npos) << run.output;
  EXPECT_NE(run.output.find("2 new, 0 changed, 0 deleted"), std::string::npos) << run.output;
  EXPECT_EQ(EventOf("hello", "WORKTREE_FILES_SYNCED")["fields"]["files"], 2);
  EXPECT_EQ(machine_.Ybis({"diff", "hello"}).output.find("NOTES.md"), std::string::npos);
}

TEST_F(LocalSync, ABranchHasTheWorkAsItsOwnCommitAndStatusStaysTheSame) {
  const std::string status = machine_.Git(repository_, {"status", "--porcelain"});
  const auto run = machine_.Ybis({"run", Example("hello"), "--repo", repository_});
  ASSERT_EQ(run.exit_code, 0) << run.output << run.error_output;
  EXPECT_EQ(machine_.Git(repository_, {"status", "--porcelain"}), status);
  const std::string branch = machine_.Task("hello")["status"]["result"]["branch"];
  EXPECT_EQ(machine_.Git(repository_, {"log", "--format=%an: %s", "main.." + branch}),
            "YBIS: Add hello.py\nYBIS: Uncommitted work of " + fs::path(repository_).filename().string());
  EXPECT_EQ(machine_.Git(repository_, {"show", branch + ":NOTES.md"}), "not committed");
}

TEST_F(LocalSync, NoSyncStartsFromTheCommit) {
  const auto run = machine_.Ybis({"run", Example("hello"), "--repo", repository_, "--no-sync"});
  ASSERT_EQ(run.exit_code, 0) << run.output << run.error_output;
  EXPECT_EQ(run.output.find("uncommitted"), std::string::npos) << run.output;
  const std::string branch = machine_.Task("hello")["status"]["result"]["branch"];
  EXPECT_EQ(machine_.Git(repository_, {"rev-list", "--count", "main.." + branch}), "1");
}

/// kill -9 in the middle of the sync and after it; the checkout moves on, the base does not.
TEST_F(LocalSync, AKilledRunnerComesBackToTheSameBase) {
  for (int i = 0; i < 1500; ++i) {
    std::ofstream(fs::path(repository_) / ("file" + std::to_string(i))) << std::string(2000, 'x') << i;
  }
  const auto created = machine_.Ybis({"task", "create", "-f", Example("hello"), "--repo", repository_,
                                      "--no-branch", "--verify", "sleep 3"});
  ASSERT_EQ(created.exit_code, 0) << created.error_output;
  const std::string run_id = machine_.Task("hello")["status"]["run"]["id"];
  const Background worker(machine_.Worker(), machine_.env(), machine_.path() / "worker.log");
  const auto kill_runner = [&] {
    for (int i = 0; i < 500; ++i) {
      if (const pid_t runner = machine_.RunnerOf(run_id); runner > 0) return ::kill(runner, SIGKILL) == 0;
      std::this_thread::sleep_for(10ms);
    }
    return false;
  };
  const fs::path run_folder = machine_.path() / "data" / "runs" / run_id;
  for (int i = 0; i < 60000 && !fs::exists(run_folder / "repo.git"); ++i) std::this_thread::sleep_for(1ms);
  ASSERT_TRUE(kill_runner());
  ASSERT_TRUE(machine_.WaitNode("hello", "verify")) << machine_.Events("hello");
  const std::string base = BaseOf("hello");
  std::ofstream(fs::path(repository_) / "file1") << "the person goes on working\n";
  ASSERT_TRUE(kill_runner());
  fs::remove_all(run_folder / "repo.git");
  ASSERT_TRUE(machine_.WaitPhase("hello", "Completed")) << machine_.Events("hello");
  EXPECT_EQ(BaseOf("hello"), base);
  EXPECT_EQ(machine_.Task("hello")["status"]["result"]["baseCommit"], base);
}

TEST_F(LocalSync, ARetryFromANodeAsksNoModelAgain) {
  ASSERT_EQ(machine_.Ybis({"run", Example("hello"), "--repo", repository_, "--no-branch"}).exit_code, 0);
  const std::string base = BaseOf("hello");
  std::ofstream(fs::path(repository_) / "NOTES.md") << "changed since\n";
  EXPECT_EQ(machine_.Ybis({"retry", "hello", "--from", "nowhere"}).exit_code, 3);
  const auto never = machine_.Ybis({"retry", "hello", "--from", "repair"});
  EXPECT_EQ(never.exit_code, 2) << never.error_output;
  EXPECT_NE(never.error_output.find("never came to it"), std::string::npos) << never.error_output;
  const auto retry = machine_.Ybis({"retry", "hello", "--from", "verify"});
  ASSERT_EQ(retry.exit_code, 0) << retry.error_output;
  const auto run = machine_.Ybis({"run", "hello"});
  ASSERT_EQ(run.exit_code, 0) << run.output << run.error_output;
  const json task = machine_.Task("hello");
  EXPECT_EQ(task["status"]["run"]["number"], 2);
  EXPECT_EQ(task["status"]["phase"], "Completed");
  EXPECT_EQ(task["status"].value("usage", json::object()).value("llmCalls", 0), 0) << task.dump(2);
  EXPECT_EQ(BaseOf("hello"), base);
  EXPECT_NE(EventOf("hello", "RUN_CONTINUED"), nullptr);
  EXPECT_NE(machine_.Ybis({"diff", "hello"}).output.find("hello.py"), std::string::npos);
}

}  // namespace
}  // namespace ybis::testing
