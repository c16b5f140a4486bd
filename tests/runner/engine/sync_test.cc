// A run on somebody's checkout: their uncommitted files are under it, its own change alone is the patch.
#include <filesystem>
#include <fstream>

#include "base/json.h"
#include "runner/engine/project_files.h"
#include "tests/runner/engine/engine_fixture.h"
#include "tests/runner/git/checkout_fixture.h"

namespace ybis::runner {
namespace {

namespace fs = std::filesystem;
using git::SourceCheckout;
using nlohmann::json;

class SyncTest : public EngineTest {
 protected:
  SyncTest() {
    source_.Write("app.py", "def greet():\n    return 'hi'\n");
    source_.Write(".gitignore", "*.local\n.env\nnode_modules/\n");
    source_.Commit();
    head_ = source_.Git({"rev-parse", "HEAD"}).substr(0, 40);
    source_.Write("app.py", "def greet():\n    return 'hello'\n");
    source_.Write("notes \xff.txt", "mine\n");
    core_.order.spec.repository = {.url = source_.path().string(), .ref = {}};
    core_.order.policy.project_root = source_.path().string();
    local_ = true;
  }
  const api::EventReport* Event(const std::string& type) const {
    for (const auto& [key, event] : core_.events) {
      if (event.type == type) return &event;
    }
    return nullptr;
  }
  /// As if no run had ever been.
  void Forget() {
    core_.finish.reset();
    core_.checkpoint.reset();
    core_.nodes.clear();
    core_.artifacts.clear();
    core_.events.clear();
    core_.model_record.clear();
  }
  std::string Base() const { return json::parse(core_.artifacts.at("base.json"))["commit"]; }

  SourceCheckout source_;
  std::string head_;
};

TEST_F(SyncTest, ThePatchHoldsTheRunsOwnChangeAndTheBranchBothCommits) {
  const std::string before = source_.Fingerprint();
  core_.order.spec.delivery.mode = api::DeliveryMode::kNone;
  ASSERT_EQ(RunOnce(), ExitCode::kDone);
  EXPECT_EQ(source_.Fingerprint(), before) << "nothing is written to the checkout";
  EXPECT_EQ(core_.checkpoint->patch.find("app.py"), std::string::npos) << core_.checkpoint->patch;
  EXPECT_NE(core_.checkpoint->patch.find("hello.py"), std::string::npos);
  EXPECT_EQ(core_.checkpoint->base_commit, Base());
  EXPECT_NE(Base(), head_);
  EXPECT_EQ(json::parse(core_.artifacts.at("base.json"))["head"], head_);
  const api::EventReport* event = Event("WORKTREE_FILES_SYNCED");
  ASSERT_NE(event, nullptr);
  EXPECT_EQ((*event->fields)["files"], 2);
  EXPECT_EQ((*event->fields)["paths"]["added"], json({"notes \\xff.txt"}));
  EXPECT_EQ(event->message, "2 uncommitted files of " + fs::canonical(source_.path()).string() +
                                " came along: 1 new, 1 changed, 0 deleted");
}

TEST_F(SyncTest, TheDeliveredBranchHasTheWorkAsACommitOfItsOwn) {
  ASSERT_EQ(RunOnce(), ExitCode::kDone);
  const std::string branch = core_.finish->result->branch;
  EXPECT_EQ(source_.Git({"log", "--format=%s", branch}), "Say hello\nUncommitted work of shop\nwork\n");
  EXPECT_EQ(source_.Git({"diff", "--name-only", branch + "^", branch}), "hello.py\n");
  EXPECT_EQ(source_.Git({"show", branch + ":app.py"}), "def greet():\n    return 'hello'\n");
}

TEST_F(SyncTest, OnlyLocallyAndOnlyWhenAskedFor) {
  core_.order.spec.delivery.mode = api::DeliveryMode::kNone;
  local_ = false;
  ASSERT_EQ(RunOnce(), ExitCode::kDone);
  EXPECT_EQ(Base(), head_);
  EXPECT_EQ(Event("WORKTREE_FILES_SYNCED"), nullptr);
}

TEST_F(SyncTest, AnotherCommitThanTheOneCheckedOutIsLeftAlone) {
  source_.Commit("second");
  source_.Write("app.py", "third\n");
  core_.order.spec.repository.ref = head_;
  core_.order.spec.delivery.mode = api::DeliveryMode::kNone;
  ASSERT_EQ(RunOnce(), ExitCode::kDone);
  EXPECT_EQ(Base(), head_);
  ASSERT_NE(Event("WORKTREE_SYNC_SKIPPED"), nullptr);
}

TEST_F(SyncTest, WhatIsTooLargeIsNamedInTheJournal) {
  for (int i = 0; i < 120; ++i) source_.Write(fmt::format("big{:03}", i), "x");
  for (int i = 0; i < 120; ++i) fs::resize_file(source_.path() / fmt::format("big{:03}", i), 11 << 20);
  core_.order.spec.delivery.mode = api::DeliveryMode::kNone;
  ASSERT_EQ(RunOnce(), ExitCode::kDone);
  std::set<std::string> named;
  for (const auto& [key, event] : core_.events) {
    if (event.type != "WORKTREE_FILES_LEFT_OUT") continue;
    for (const json& path : (*event.fields)["paths"]) named.insert(path["path"].get<std::string>());
  }
  EXPECT_EQ(named.size(), 120U);
}

/// Killed at every call to the core, before and after it took effect, on the old volume and on a new one:
/// once the base is pinned it stays, though the checkout has moved on meanwhile.
TEST_F(SyncTest, AKilledRunComesBackToTheSameBase) {
  core_.order.spec.delivery.mode = api::DeliveryMode::kNone;
  for (int call = 0;; ++call) {
    SCOPED_TRACE(call);
    Forget();
    source_.Git({"reset", "-q", "--hard", head_});
    source_.Write("app.py", "def greet():\n    return 'hello'\n");
    core_.KillAt(call, call % 2 == 0);
    ExitCode code;
    const bool survived = RunUntilKilled(true, code);
    core_.KillAt(-1, false);
    if (survived) {
      EXPECT_GT(call, 10);
      break;
    }
    const bool pinned = core_.artifacts.contains("base.json");
    const std::string base = pinned ? Base() : "";
    source_.Write("app.py", "later\n");
    source_.Commit("later");
    ASSERT_EQ(RunOnce(call % 3 == 0), ExitCode::kDone);
    if (pinned) {
      EXPECT_EQ(Base(), base);
    }
    EXPECT_EQ(core_.checkpoint->base_commit, Base());
  }
}

/// Killed before the base or its pack is in the record; the next attempt, on the same volume, gets further
/// and the one after it begins on another machine.
TEST_F(SyncTest, WhatTheVolumeHasOfTheBaseTheRecordHasToo) {
  core_.order.spec.delivery.mode = api::DeliveryMode::kNone;
  core_.KillAt(-1, false);
  ASSERT_EQ(RunOnce(), ExitCode::kDone);
  const std::vector<std::string> calls = core_.call_names;
  for (const char* name : {"artifact sync.pack", "artifact base.json"}) {
    SCOPED_TRACE(name);
    const auto at = std::find(calls.begin(), calls.end(), name);
    ASSERT_NE(at, calls.end());
    Forget();
    core_.KillAt(static_cast<int>(at - calls.begin()), false);
    ExitCode code;
    ASSERT_FALSE(RunUntilKilled(true, code));
    core_.on_reported = [](const std::string&) { throw Killed(); };
    core_.KillAt(-1, false);
    ASSERT_FALSE(RunUntilKilled(false, code));
    core_.on_reported = nullptr;
    ASSERT_EQ(RunOnce(true), ExitCode::kDone) << core_.finish->failure->message;
    EXPECT_EQ(core_.checkpoint->base_commit, Base());
  }
}

TEST_F(SyncTest, AMissingFileThatThePlanNamesIsBroughtFromTheCheckout) {
  source_.Write("settings.local", "port = 1\n");
  plan_files_ = {{{"path", "settings.local"}, {"action", "modify"}}};
  edits_ = {{{"edits",
              {{{"op", "search_replace"}, {"path", "settings.local"}, {"search", "1"}, {"replace", "2"}},
               {{"op", "write"}, {"path", "hello.py"}, {"content", "print('hello')\n"}}}}}};
  reasked_ = {WriteEdit("hello.py", "print('hello')\n")};
  core_.order.spec.delivery.mode = api::DeliveryMode::kNone;
  ASSERT_EQ(RunOnce(), ExitCode::kDone) << core_.finish->failure->message;
  const api::EventReport* event = Event("FILE_SYNCED_FROM_PROJECT_ROOT");
  ASSERT_NE(event, nullptr);
  EXPECT_EQ((*event->fields)["path"], "settings.local");
  EXPECT_EQ(core_.finish->outcome, "Completed");
  EXPECT_NE(core_.model_requests.back().messages.back().content.find("settings.local: git ignores this file"),
            std::string::npos)
      << "it is there to be read: the change would not hold an edit of it";
  EXPECT_EQ(ReadFile(source_.path() / "settings.local").value(), "port = 1\n");
}

TEST_F(SyncTest, CredentialsLinksAndLeftFoldersAreNotBrought) {
  core_.order.spec.delivery.mode = api::DeliveryMode::kNone;
  const testing::TempDir outside;
  outside.Write("file.local", "outside\n");
  fs::create_symlink(outside.path() / "file.local", source_.path() / "link.local");
  fs::create_directory_symlink(outside.path(), source_.path() / "dir.local");
  source_.Write(".env", "A=1\n");
  source_.Write("token.local",
                "token = 'gh"
                "p_0123456789abcdefghijABCDEFGHIJ0123456789'\n");
  source_.Write("node_modules/m.local", "x\n");
  for (const char* path : {".env", "link.local", "dir.local/file.local", "token.local",
                           "node_modules/m.local", ".git/config", "../home/x", "/etc/hostname"}) {
    SCOPED_TRACE(path);
    Forget();
    plan_files_ = {{{"path", path}, {"action", "modify"}}};
    EXPECT_EQ(RunOnce(true), ExitCode::kTaskFailed);
    EXPECT_EQ(Event("FILE_SYNCED_FROM_PROJECT_ROOT"), nullptr);
  }
}

TEST_F(SyncTest, WhatTheRunDeletedDoesNotComeBack) {
  plan_files_ = {{{"path", "app.py"}, {"action", "modify"}}};
  edits_ = {{{"edits", {{{"op", "delete"}, {"path", "app.py"}}}}},
            {{"edits", {{{"op", "write"}, {"path", "hello.py"}, {"content", "print('hello')\n"}}}}}};
  commands_.run = PassesWhen("hello.py", "hello");
  core_.order.spec.delivery.mode = api::DeliveryMode::kNone;
  ASSERT_EQ(RunOnce(), ExitCode::kDone);
  EXPECT_EQ(Event("FILE_SYNCED_FROM_PROJECT_ROOT"), nullptr);
  EXPECT_NE(core_.checkpoint->patch.find("deleted file"), std::string::npos);
}

TEST(IsCredentialName, KnowsTheUsualNames) {
  for (const char* path : {".env", "a/.env.local", "id_rsa", "x/server.KEY", "cert.pem", "secrets.yaml",
                           "credentials.json", ".npmrc"})
    EXPECT_TRUE(IsCredentialName(path)) << path;
  for (const char* path : {".env.example", "keys.py", "environment", "secretary/x.txt", "a.key/b"})
    EXPECT_FALSE(IsCredentialName(path)) << path;
}

}  // namespace
}  // namespace ybis::runner
