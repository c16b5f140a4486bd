// A repository and a child that plant programs: none may ever run, and a kill at any moment may leave nothing
// that the next attempt stumbles over.
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <thread>

#include "base/file.h"
#include "tests/integration/git/fixture.h"

namespace ybis::git {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

class Hostile : public GitTest {
 protected:
  fs::path Marker() const { return volume_.path() / "marker"; }
  /// A program that leaves a trace, in places where git looks for one.
  fs::path Plant(const std::string& name) const {
    const fs::path path = volume_.Write(name, "#!/bin/sh\ntouch " + Marker().string() + "\ncat\n");
    ::chmod(path.c_str(), 0755);
    return path;
  }
  std::string EvilConfig(const fs::path& program) const {
    const std::string run = program.string();
    return "[core]\n\tfsmonitor = " + run + "\n\thooksPath = " + program.parent_path().string() +
           "\n\tsshCommand = " + run + "\n\tpager = " + run + "\n\teditor = " + run +
           "\n[filter \"evil\"]\n\tclean = " + run + "\n\tsmudge = " + run +
           "\n\trequired = true\n[diff \"evil\"]\n\ttextconv = " + run + "\n\tcommand = " + run +
           "\n[diff]\n\texternal = " + run + "\n[merge \"evil\"]\n\tdriver = " + run +
           "\n[credential]\n\thelper = " + run + "\n";
  }
};

TEST_F(Hostile, NothingPlantedEverRuns) {
  server_
      ->CreateRepository(Name(),
                         {{".gitattributes", "* filter=evil diff=evil merge=evil text eol=crlf ident\n"},
                          {"a.txt", "one $Id$\n"},
                          {"big.bin", "version https://git-lfs.github.com/spec/v1\n"}})
      .value();
  const auto bare = Open().value();
  Worktree tree = Tree(bare);
  EXPECT_EQ(ReadFile(tree.root() / "a.txt").value(), "one $Id$\n");
  const fs::path program = Plant("planted/run");
  for (const char* hook : {"pre-commit", "post-checkout", "pre-push", "reference-transaction",
                           "post-index-change", "fsmonitor-watchman"}) {
    Plant(std::string("planted/") + hook);
    Plant(std::string("tree/.git-later/hooks/") + hook);
  }
  // The .git file becomes a whole repository with everything armed.
  fs::remove(tree.root() / ".git");
  fs::rename(tree.root() / ".git-later", tree.root() / ".git");
  Write(".git/config", EvilConfig(program));
  Write(".git/HEAD", "ref: refs/heads/main\n");
  fs::create_directories(tree.root() / ".git/objects");
  fs::create_directories(tree.root() / ".git/refs");
  Write(".gitattributes", "* filter=evil diff=evil merge=evil working-tree-encoding=UTF-16\n");
  Write("sub/.gitattributes", "* filter=evil diff=evil\n");
  Write("a.txt", "two\r\n");
  Write("sub/b.txt", "new\n");
  const auto diff = tree.Diff(1 << 20, {});
  ASSERT_TRUE(diff) << diff.error().message;
  for (const FileChange& change : diff->files)
    EXPECT_EQ(change.path.find(".git/"), std::string::npos) << change.path;
  EXPECT_EQ(diff->files.size(), 4U);
  const std::string patch = tree.Snapshot({}).value();
  ASSERT_TRUE(tree.ListFiles(100, {}));
  const std::string commit = tree.Commit(SomeCommit(), {}).value();
  ASSERT_TRUE(tree.Push(commit, "out", std::nullopt, {}));
  EXPECT_EQ(server_->Git(Name(), {"show", "out:a.txt"}).value(), "two\r");
  const Status restored = tree.Restore(patch, {});
  ASSERT_TRUE(restored) << restored.error().message;
  EXPECT_EQ(ReadFile(tree.root() / "a.txt").value(), "two\r\n");
  EXPECT_EQ(tree.Snapshot({}).value(), patch);
  EXPECT_FALSE(fs::exists(Marker()));
}

TEST_F(Hostile, TheMarkerWouldShowARun) {
  // The other half of the test above: the same planted filter does run under a git without the door.
  server_->CreateRepository(Name(), {{"a", "1\n"}}).value();
  const fs::path program = Plant("planted/run");
  volume_.Write("open/.gitattributes", "* filter=evil\n");
  volume_.Write("open/a", "x\n");
  const std::string run = "cd " + (volume_.path() / "open").string() +
                          " && git init -q . && git -c filter.evil.clean=" + program.string() +
                          " add a 2>/dev/null";
  ASSERT_EQ(::system(run.c_str()), 0);
  EXPECT_TRUE(fs::exists(Marker()));
}

TEST_F(Hostile, AnIgnoreFileThatIsAPipeIsNamedInsteadOfWaitedFor) {
  server_->CreateRepository(Name(), {{"a", "1\n"}}).value();
  const auto bare = Open().value();
  const Worktree tree = Tree(bare);
  Write("deep/x", "1");
  ASSERT_EQ(::mkfifo((tree.root() / "deep/.gitignore").c_str(), 0600), 0);
  const auto diff = tree.Diff(1 << 20, {});
  ASSERT_FALSE(diff);
  EXPECT_EQ(diff.error().code, ErrorCode::kInvalid);
  EXPECT_NE(diff.error().message.find("deep/.gitignore"), std::string::npos) << diff.error().message;
}

TEST_F(Hostile, ARepositoryWithinWhoseFilesArePipesIsNamedInsteadOfWaitedFor) {
  server_->CreateRepository(Name(), {{"a", "1\n"}}).value();
  const auto bare = Open().value();
  const Worktree tree = Tree(bare);
  Write("x/.git/config", "");
  ASSERT_EQ(::mkfifo((tree.root() / "x/.git/HEAD").c_str(), 0600), 0);
  const auto diff = tree.Diff(1 << 20, {});
  ASSERT_FALSE(diff);
  EXPECT_EQ(diff.error().code, ErrorCode::kInvalid);
  EXPECT_NE(diff.error().message.find("x/.git/HEAD"), std::string::npos) << diff.error().message;
}

TEST_F(Hostile, FoldersTooDeepToBeCheckedAreNotTakenForChecked) {
  server_->CreateRepository(Name(), {{"a", "1\n"}}).value();
  const auto bare = Open().value();
  const Worktree tree = Tree(bare);
  std::string deep;
  for (int i = 0; i < 100; ++i) deep += "d/";
  Write(deep + "file", "1");
  ASSERT_EQ(::mkfifo((tree.root() / deep / ".gitignore").c_str(), 0600), 0);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit few = before;
  few.rlim_cur = 64;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
  const auto diff = tree.Diff(1 << 20, {});
  ::setrlimit(RLIMIT_NOFILE, &before);
  ASSERT_FALSE(diff);
  EXPECT_EQ(diff.error().code, ErrorCode::kInvalid);
  EXPECT_NE(diff.error().message.find("nested too deep"), std::string::npos) << diff.error().message;
}

TEST_F(Hostile, SpecialFilesAreNotCommitted) {
  server_->CreateRepository(Name(), {{"a", "1\n"}}).value();
  const auto bare = Open().value();
  const Worktree tree = Tree(bare);
  ASSERT_EQ(::mkfifo((tree.root() / "pipe").c_str(), 0600), 0);
  fs::remove(tree.root() / "a");
  ASSERT_EQ(::mkfifo((tree.root() / "a").c_str(), 0600), 0);
  const auto diff = tree.Diff(1 << 20, {}).value();
  ASSERT_EQ(diff.files.size(), 1U);
  EXPECT_EQ(diff.files[0].kind, ChangeKind::kDeleted);
}

TEST_F(Hostile, AFolderThatBecameALinkOutwardsIsOnlyALink) {
  server_->CreateRepository(Name(), {{"dir/secret", "base\n"}}).value();
  const auto bare = Open().value();
  const Worktree tree = Tree(bare);
  volume_.Write("outside/secret", "stolen\n");
  fs::remove_all(tree.root() / "dir");
  fs::create_directory_symlink("../outside", tree.root() / "dir");
  const auto diff = tree.Diff(1 << 20, {}).value();
  EXPECT_EQ(diff.text.find("stolen"), std::string::npos);
  ASSERT_EQ(diff.files.size(), 2U);
  EXPECT_EQ(diff.files[0].path, "dir");
  EXPECT_EQ(diff.files[0].new_mode, 0120000U);
}

/// Opens and checks out in a process of its own and kills it after `delay`.
void RunAndKill(const std::function<void()>& work, std::chrono::milliseconds delay) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    work();
    ::_exit(0);
  }
  std::this_thread::sleep_for(delay);
  ::kill(pid, SIGKILL);
  ::waitpid(pid, nullptr, 0);
}

TEST_F(Hostile, AKillAtAnyMomentIsMendedByTheNextAttempt) {
  std::map<std::string, std::string> files;
  for (int i = 0; i < 3000; ++i) {
    files["d" + std::to_string(i % 50) + "/f" + std::to_string(i)] =
        std::string(2000, static_cast<char>('a' + i % 26));
  }
  const std::string commit = server_->CreateRepository(Name(), files).value();
  for (const int delay : {5, 20, 40, 60, 90, 130, 180, 240, 320, 420, 550}) {
    RunAndKill(
        [&] {
          auto bare = Open();
          if (bare) (void)Worktree::Create(*bare, "task-1-run-1", volume_.path() / "tree", {});
        },
        std::chrono::milliseconds(delay));
    const auto bare = Open();
    ASSERT_TRUE(bare) << delay << " ms: " << bare.error().message;
    EXPECT_EQ(bare->base_commit(), commit);
    auto tree = Worktree::Create(*bare, "task-1-run-1", volume_.path() / "tree", {});
    ASSERT_TRUE(tree) << delay << " ms: " << tree.error().message;
    EXPECT_TRUE(tree->Diff(1 << 20, {}).value().empty()) << delay;
    EXPECT_EQ(tree->ListFiles(10'000, {}).value().paths.size(), 3000U) << delay;
    fs::remove_all(volume_.path() / "repo.git");
  }
}

TEST_F(Hostile, WorksAsAUserWithoutHomeOrEntryInPasswd) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to become somebody else";
  server_->CreateRepository(Name(), {{"a", "1\n"}}).value();
  fs::remove_all(volume_.path() / "private");
  ASSERT_EQ(::chown(volume_.path().c_str(), 10001, 10001), 0);
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::clearenv();
    if (::syscall(SYS_setgid, 10001) != 0 || ::syscall(SYS_setuid, 10001) != 0) ::_exit(2);
    auto bare = BareRepository::Open(Program(volume_.path()), Request(), Right(), {});
    if (!bare) ::_exit(3);
    auto tree = Worktree::Create(*bare, "task-1-run-1", volume_.path() / "tree", {});
    if (!tree) ::_exit(4);
    Write("a", "2\n");
    const auto commit = tree->Commit(SomeCommit(), {});
    ::_exit(commit && tree->Push(*commit, "out", std::nullopt, {}) ? 0 : 5);
  }
  int status = -1;
  ::waitpid(pid, &status, 0);
  EXPECT_EQ(status, 0) << WEXITSTATUS(status);
  EXPECT_EQ(server_->Git(Name(), {"show", "out:a"}).value_or("none"), "2");
}

TEST_F(Hostile, TenThousandFilesAreQuick) {
  std::map<std::string, std::string> files;
  for (int i = 0; i < 10'000; ++i) {
    files["dir" + std::to_string(i / 100) + "/file" + std::to_string(i) + ".txt"] =
        "content " + std::to_string(i) + "\n";
  }
  server_->CreateRepository(Name(), files).value();
  const auto time = [](const char* what, const auto& work) {
    const auto start = std::chrono::steady_clock::now();
    work();
    const auto ms =
        std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - start)
            .count();
    std::printf("10,000 files: %-9s %5ld ms\n", what, static_cast<long>(ms));
    ::testing::Test::RecordProperty(what, static_cast<int>(ms));
  };
  std::optional<BareRepository> bare;
  std::optional<Worktree> tree;
  time("fetch", [&] { bare.emplace(Open().value()); });
  time("checkout", [&] { tree.emplace(Tree(*bare)); });
  Write("dir7/file700.txt", "changed\n");
  Write("new.txt", "new\n");
  std::string patch;
  time("diff", [&] { EXPECT_EQ(tree->Diff(1 << 20, {}).value().files.size(), 2U); });
  time("snapshot", [&] { patch = tree->Snapshot({}).value(); });
  time("restore", [&] { ASSERT_TRUE(tree->Restore(patch, {})); });
  std::string commit;
  time("commit", [&] { commit = tree->Commit(SomeCommit(), {}).value(); });
  time("push", [&] { ASSERT_TRUE(tree->Push(commit, "out", std::nullopt, {})); });
}

}  // namespace
}  // namespace ybis::git
