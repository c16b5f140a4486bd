// kill -9 at any moment of create and restore: the old state or the new one, and the next command works.
#include <gtest/gtest.h>
#include <signal.h>

#include <nlohmann/json.hpp>
#include <thread>

#include "base/file.h"
#include "tests/integration/backup/fixture.h"
#include "tests/integration/local/machine.h"

namespace ybis::testing {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
namespace fs = std::filesystem;

constexpr int kKills = 16;

class BackupKill : public ::testing::Test {
 protected:
  void Task(const std::string& name) {
    const auto made =
        machine_.Ybis({"task", "create", "--name", name, "--repo", repository_, "--objective", "Do it."});
    ASSERT_EQ(made.exit_code, 0) << made.error_output;
  }
  json Backups() { return json::parse(machine_.Ybis({"backup", "list", "-o", "json"}).output); }
  std::string Names() {
    const auto listed = machine_.Ybis({"task", "list", "--sort", "name", "-o", "name"});
    EXPECT_EQ(listed.exit_code, 0) << listed.error_output;
    return listed.output;
  }
  std::string Settings() { return ReadFile(machine_.path() / "config/config.yaml").value_or("none"); }
  fs::path Data() { return machine_.path() / "data"; }

  /// Runs the command and kills it after `delay`; false when it had ended before.
  bool Kill(const std::vector<std::string>& arguments, std::chrono::milliseconds delay) {
    Background command(machine_.Command(arguments), machine_.env(), machine_.path() / "killed.log");
    std::this_thread::sleep_for(delay);
    command.Signal(SIGKILL);
    return command.Wait(10s) == 128 + SIGKILL;
  }
  std::chrono::milliseconds Time(const std::vector<std::string>& arguments) {
    const auto begin = std::chrono::steady_clock::now();
    const auto result = machine_.Ybis(arguments);
    EXPECT_EQ(result.exit_code, 0) << result.error_output;
    return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begin);
  }
  /// Names in a folder that begin with a dot, but for the lock.
  static std::string Leftovers(const fs::path& folder) {
    std::string out;
    for (const auto& entry : fs::directory_iterator(folder)) {
      const std::string name = entry.path().filename();
      if (name.starts_with('.') && name != ".lock") out += name + " ";
    }
    return out;
  }

  Machine machine_;
  std::string repository_ = machine_.Repository("hello");
};

TEST_F(BackupKill, CreateLeavesNoBackupOrAWholeOne) {
  Task("one");
  const auto whole = Time({"backup", "create", "--include-workspaces"});
  int killed = 0;
  for (int i = 0; i < kKills; ++i) {
    killed += Kill({"backup", "create", "--include-workspaces"}, whole * i / kKills) ? 1 : 0;
    for (const json& backup : Backups()) EXPECT_EQ(backup["problem"], "") << backup.dump(2);
  }
  EXPECT_GT(killed, kKills / 2);
  const auto made = machine_.Ybis({"backup", "create", "-o", "name"});
  ASSERT_EQ(made.exit_code, 0) << made.error_output;
  EXPECT_EQ(Leftovers(Data() / "backups"), "");
  for (const json& backup : Backups()) {
    const auto restored = machine_.Ybis(
        {"backup", "restore", backup["name"].get<std::string>(), "--component", "configs", "--yes"});
    EXPECT_EQ(restored.exit_code, 0) << restored.error_output;
  }
}

TEST_F(BackupKill, RestoreLeavesTheOldStateOrTheNewOneInAllComponents) {
  const std::string old_settings = Settings();
  Task("one");
  const std::string then_names = Names();
  const auto made = machine_.Ybis({"backup", "create", "-o", "name"});
  ASSERT_EQ(made.exit_code, 0) << made.error_output;
  const std::string then = made.output.substr(0, made.output.find('\n'));
  Task("two");
  const std::string now_names = Names(), new_settings = old_settings + "# changed\n";
  ASSERT_NE(now_names, then_names);
  ASSERT_TRUE(WriteFileAtomic(machine_.path() / "config/config.yaml", new_settings));
  const auto kept = machine_.Ybis({"backup", "create", "-o", "name"});
  const std::string now = kept.output.substr(0, kept.output.find('\n'));
  const auto whole = Time({"backup", "restore", then, "--yes"});
  ASSERT_EQ(Names(), then_names);
  ASSERT_EQ(Settings(), old_settings);
  int killed = 0, went_through = 0, stayed = 0;
  bool is_then = true;
  for (int i = 0; i < 2 * kKills; ++i) {
    // To the other state and perhaps back.
    killed += Kill({"backup", "restore", is_then ? now : then, "--yes"}, whole * i / (2 * kKills)) ? 1 : 0;
    const std::string names = Names();  // the next command: it ends what was begun
    ASSERT_TRUE(names == then_names || names == now_names) << names;
    const bool changed = (names == then_names) != is_then;
    ++(changed ? went_through : stayed);
    is_then = names == then_names;
    EXPECT_EQ(Settings(), is_then ? old_settings : new_settings) << "the components are of one state";
    EXPECT_FALSE(fs::exists(Data() / "restore.json"));
  }
  EXPECT_GT(killed, kKills / 2);
  EXPECT_GT(stayed, 0);
  const auto restored = machine_.Ybis({"backup", "restore", then, "--yes"});
  ASSERT_EQ(restored.exit_code, 0) << restored.error_output;
  EXPECT_EQ(Names(), then_names);
  EXPECT_EQ(Leftovers(Data()) + Leftovers(machine_.path() / "config") + Leftovers(Data() / "backups"), "");
  RecordProperty("went_through", went_through);
}

TEST_F(BackupKill, RestoreLeavesWorkspacesOfTheStateThatTheRecordIsOf) {
  const fs::path plan = Data() / "runs/r1/runs/r1/artifacts/plan.json";
  const auto write = [&](const std::string& text) {
    fs::create_directories(plan.parent_path());
    ASSERT_TRUE(WriteFileAtomic(plan, text));
  };
  const auto backup = [&] {
    const auto made = machine_.Ybis({"backup", "create", "--include-workspaces", "-o", "name"});
    EXPECT_EQ(made.exit_code, 0) << made.error_output;
    return made.output.substr(0, made.output.find('\n'));
  };
  Task("one");
  write("then");
  const std::string then_names = Names(), then = backup();
  Task("two");
  write("now");
  const std::string now_names = Names(), now = backup();
  const auto whole = Time({"backup", "restore", then, "--yes"});
  ASSERT_EQ(ReadFile(plan).value_or("none"), "then");
  int killed = 0, stayed = 0;
  bool is_then = true;
  for (int i = 0; i < kKills; ++i) {
    killed += Kill({"backup", "restore", is_then ? now : then, "--yes"}, whole * i / kKills) ? 1 : 0;
    const std::string names = Names();  // the next command: it ends what was begun
    ASSERT_TRUE(names == then_names || names == now_names) << names;
    stayed += (names == then_names) == is_then ? 1 : 0;
    is_then = names == then_names;
    EXPECT_EQ(ReadFile(plan).value_or("none"), is_then ? "then" : "now") << "they are of one state";
    EXPECT_FALSE(fs::exists(Data() / "restore.json"));
  }
  EXPECT_GT(killed, kKills / 2);
  EXPECT_GT(stayed, 0);
  ASSERT_EQ(machine_.Ybis({"backup", "restore", then, "--yes"}).exit_code, 0);
  EXPECT_EQ(ReadFile(plan).value_or("none"), "then");
  EXPECT_EQ(Leftovers(Data()) + Leftovers(Data() / "runs") + Leftovers(Data() / "backups"), "");
}

TEST_F(BackupKill, TwoCommandsAtOnceDoNotMeet) {
  Task("one");
  std::vector<ProcessResult> results(3);
  {
    std::vector<std::jthread> threads;
    for (auto& result : results)
      threads.emplace_back([this, &result] { result = machine_.Ybis({"backup", "create", "-o", "name"}); });
  }
  int done = 0;
  for (const auto& result : results) {
    done += result.exit_code == 0 ? 1 : 0;
    if (result.exit_code != 0) {
      EXPECT_NE(result.error_output.find("another command"), std::string::npos) << result.error_output;
    }
  }
  EXPECT_GE(done, 1);
  EXPECT_EQ(Backups().size(), static_cast<size_t>(done));
}

TEST_F(BackupKill, ADatabaseNewerThanTheProgramIsRefusedByName) {
  Site site;
  ASSERT_TRUE(site.pool->Execute(
      "INSERT INTO _migrations (version, name, checksum) VALUES (99, 'future', 'x')", {}, {}));
  for (const std::vector<std::string>& words :
       std::vector<std::vector<std::string>>{{"task", "list"}, {"db", "migrate"}, {"backup", "create"}}) {
    auto arguments = words;
    arguments.insert(arguments.end(), {"--database-url", site.url});
    const auto refused = machine_.Ybis(arguments);
    EXPECT_NE(refused.exit_code, 0);
    EXPECT_NE(refused.error_output.find("0099_future"), std::string::npos) << refused.error_output;
  }
}

TEST_F(BackupKill, CommandsSayWhatIsMissing) {
  Task("one");
  EXPECT_EQ(machine_.Ybis({"backup", "restore", "ybis-20260131T120000Z-1f2e3d", "--yes"}).exit_code, 3);
  EXPECT_EQ(machine_.Ybis({"backup", "restore", "x"}).exit_code, 3) << "it looks before it asks";
  EXPECT_EQ(machine_.Ybis({"backup", "cleanup", "--keep", "0"}).exit_code, 2);
  const std::string folder = machine_.path() / "elsewhere";
  for (int i = 0; i < 3; ++i)
    ASSERT_EQ(machine_.Ybis({"backup", "create", "--to", folder, "--keep", "2"}).exit_code, 0);
  const json listed = json::parse(machine_.Ybis({"backup", "list", "--dir", folder, "-o", "json"}).output);
  ASSERT_EQ(listed.size(), 2u);
  const std::string newest = folder + "/" + listed[0]["name"].get<std::string>();
  EXPECT_EQ(machine_.Ybis({"backup", "restore", newest}).exit_code, 2) << "nobody can be asked";
  fs::create_directory_symlink("/", fs::path(folder) / "ybis-20250131T120000Z-1f2e3d");
  EXPECT_EQ(machine_.Ybis({"backup", "cleanup", "--dir", folder, "--keep", "2"}).output,
            "nothing to remove\n");
}

}  // namespace
}  // namespace ybis::testing
