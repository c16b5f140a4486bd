// The private database stops when nobody uses it, and never under anybody's feet.
#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <charconv>
#include <fstream>
#include <sstream>
#include <thread>

#include "base/file.h"
#include "store/database.h"
#include "tests/integration/local/machine.h"

namespace ybis::testing {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

class IdleStop : public ::testing::Test {
 protected:
  void IdleSeconds(int seconds) {
    machine_.Set("YBIS_CONFIG__LOCAL__DATABASE_IDLE_SECONDS", std::to_string(seconds));
  }

  fs::path Folder() const { return machine_.path() / "data/postgres"; }

  bool Up() const {
    const auto pid = ReadFile(Folder() / "data/postmaster.pid", 4096);
    return static_cast<bool>(pid);
  }

  bool IsUpFor(std::chrono::milliseconds time) const {
    const auto until = std::chrono::steady_clock::now() + time;
    while (std::chrono::steady_clock::now() < until) {
      if (!Up()) return false;
      std::this_thread::sleep_for(50ms);
    }
    return true;
  }

  bool EndsWithin(std::chrono::seconds time) const { return !IsUpFor(time); }

  /// The keepers of this machine's server.
  std::vector<pid_t> Keepers() const {
    std::vector<pid_t> found;
    for (const auto& process : fs::directory_iterator("/proc")) {
      const std::string name = process.path().filename();
      pid_t pid = 0;
      if (std::from_chars(name.data(), name.data() + name.size(), pid).ec != std::errc()) continue;
      std::ifstream in(process.path() / "cmdline");
      std::stringstream text;
      text << in.rdbuf();
      const std::string words = text.str();
      if (words.find(std::string("keep\0--folder\0", 14) + Folder().string()) != std::string::npos)
        found.push_back(pid);
    }
    return found;
  }

  bool NoKeeperWithin(std::chrono::seconds time) const {
    const auto until = std::chrono::steady_clock::now() + time;
    while (std::chrono::steady_clock::now() < until) {
      if (Keepers().empty()) return true;
      std::this_thread::sleep_for(50ms);
    }
    return false;
  }

  int List() const { return machine_.Ybis({"task", "list"}).exit_code; }

  Machine machine_;
};

TEST_F(IdleStop, StopsTheServerAndEndsWithIt) {
  IdleSeconds(1);
  ASSERT_EQ(List(), 0);
  EXPECT_EQ(Keepers().size(), 1U);
  EXPECT_TRUE(EndsWithin(20s));
  EXPECT_TRUE(NoKeeperWithin(5s));
  EXPECT_EQ(List(), 0) << "the next command starts it again";
  EXPECT_TRUE(Up());
}

TEST_F(IdleStop, StopsTheServerWhoseFolderIsReachedOverALink) {
  fs::create_directory(machine_.path() / "data");
  fs::create_directory_symlink(machine_.path() / "data", machine_.path() / "link");
  machine_.Set("YBIS_DATA_DIR", machine_.path() / "link");
  IdleSeconds(1);
  ASSERT_EQ(List(), 0);
  EXPECT_TRUE(EndsWithin(20s));
  machine_.Set("YBIS_DATA_DIR", machine_.path() / "data");
  ASSERT_EQ(List(), 0) << "under its other name";
  EXPECT_TRUE(EndsWithin(20s));
}

TEST_F(IdleStop, EveryCommandCountsAsUse) {
  IdleSeconds(3);
  const auto until = std::chrono::steady_clock::now() + 7s;
  while (std::chrono::steady_clock::now() < until) {
    ASSERT_EQ(List(), 0);
    EXPECT_TRUE(IsUpFor(500ms));
  }
}

TEST_F(IdleStop, ALongCommandKeepsItUp) {
  IdleSeconds(1);
  ASSERT_EQ(List(), 0);
  Background watch(machine_.Command({"watch"}), machine_.env(), machine_.path() / "watch.log");
  EXPECT_TRUE(IsUpFor(4s));
  watch.Signal(SIGKILL);
  EXPECT_TRUE(EndsWithin(20s)) << "a command that was killed does not";
}

TEST_F(IdleStop, AnotherProgramsConnectionKeepsItUp) {
  IdleSeconds(1);
  ASSERT_EQ(List(), 0);
  auto pool = std::make_unique<store::Pool>(store::PoolSettings{.url = machine_.DatabaseUrl(), .size = 1});
  ASSERT_TRUE(pool->Execute("SELECT 1", {}, {}));
  EXPECT_TRUE(IsUpFor(4s));
  ASSERT_TRUE(pool->Execute("SELECT 1", {}, {}));
  pool.reset();
  EXPECT_TRUE(EndsWithin(20s));
}

TEST_F(IdleStop, CommandsThatStartAtTheMomentItStopsAllWork) {
  ASSERT_EQ(List(), 0);
  ASSERT_EQ(machine_.Ybis({"db", "stop"}).exit_code, 0);
  IdleSeconds(1);
  // Pauses around the idle time, so that many commands meet a server that is being stopped.
  std::atomic<int> failed = 0;
  for (int round = 0; round < 12; ++round) {
    std::vector<std::jthread> commands;
    for (int i = 0; i < 3; ++i) {
      commands.emplace_back([&, i] {
        std::this_thread::sleep_for(i * 7ms);
        const auto result = machine_.Ybis({"task", "list"});
        if (result.exit_code == 0) return;
        ++failed;
        ADD_FAILURE() << result.error_output;
      });
    }
    commands.clear();
    std::this_thread::sleep_for(900ms + round * 25ms);
  }
  EXPECT_EQ(failed, 0);
}

TEST_F(IdleStop, AKeeperThatWasKilledIsReplaced) {
  IdleSeconds(2);
  ASSERT_EQ(List(), 0);
  for (const pid_t keeper : Keepers()) ::kill(keeper, SIGKILL);
  EXPECT_TRUE(NoKeeperWithin(5s));
  EXPECT_TRUE(IsUpFor(4s)) << "nobody is there to stop it";
  ASSERT_EQ(List(), 0);
  EXPECT_EQ(Keepers().size(), 1U);
  EXPECT_TRUE(EndsWithin(20s));
}

TEST_F(IdleStop, AServerThatWasKilledTakesItsKeeperAlongAndComesBack) {
  IdleSeconds(60);
  ASSERT_EQ(List(), 0);
  const auto pid = ReadFile(Folder() / "data/postmaster.pid", 4096);
  ASSERT_TRUE(pid);
  ::kill(std::stoi(*pid), SIGKILL);
  EXPECT_TRUE(NoKeeperWithin(20s));
  ASSERT_EQ(List(), 0);
  EXPECT_EQ(Keepers().size(), 1U);
}

TEST_F(IdleStop, ZeroSecondsMeanNeverAndNoKeeper) {
  IdleSeconds(0);
  ASSERT_EQ(List(), 0);
  EXPECT_TRUE(Keepers().empty());
}

}  // namespace
}  // namespace ybis::testing
