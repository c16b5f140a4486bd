// Worktrees: what Diff, Snapshot, Restore and Commit make of every kind of change.
#include "runner/git/worktree.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "base/file.h"
#include "tests/integration/git/fixture.h"

namespace ybis::git {
namespace {

namespace fs = std::filesystem;

constexpr size_t kBig = 64 * 1024 * 1024;

class WorktreeTest : public GitTest {
 protected:
  /// Serves `files` and checks them out.
  void Prepare(const std::map<std::string, std::string>& files) {
    auto commit = server_->CreateRepository(Name(), files);
    ASSERT_TRUE(commit) << commit.error().message;
    auto bare = Open();
    ASSERT_TRUE(bare) << bare.error().message;
    bare_.emplace(std::move(*bare));
    tree_.emplace(Tree(*bare_));
  }
  fs::path At(const std::string& name) const { return volume_.path() / "tree" / name; }
  WorktreeDiff DiffNow() const {
    auto diff = tree_->Diff(kBig, {});
    if (!diff) ADD_FAILURE() << diff.error().message;
    return diff.value_or(WorktreeDiff{});
  }
  std::string SnapshotNow() const {
    auto patch = tree_->Snapshot({});
    if (!patch) ADD_FAILURE() << patch.error().message;
    return patch.value_or("");
  }
  std::vector<std::string> Changed() const {
    std::vector<std::string> paths;
    for (const FileChange& change : DiffNow().files) paths.push_back(change.path);
    return paths;
  }

  std::optional<BareRepository> bare_;
  std::optional<Worktree> tree_;
};

using Paths = std::vector<std::string>;

TEST_F(WorktreeTest, ChecksOutFilesLinksAndModes) {
  Prepare({{"a.txt", "one\n"}, {"bin/run", "exec:#!/bin/sh\n"}, {"link", "symlink:a.txt"}});
  EXPECT_EQ(ReadFile(At("a.txt")).value(), "one\n");
  EXPECT_EQ(fs::read_symlink(At("link")), "a.txt");
  EXPECT_EQ(::access(At("bin/run").c_str(), X_OK), 0);
  EXPECT_TRUE(DiffNow().empty());
  EXPECT_EQ(SnapshotNow(), "");
  EXPECT_EQ(tree_->branch(), "task-1-run-1");
}

TEST_F(WorktreeTest, ShowsEveryKindOfChange) {
  Prepare({{"keep", "k\n"},
           {"edit", "a\nb\nc\n"},
           {"drop", "d\n"},
           {"mode", "m\n"},
           {"turn", "t\n"},
           {"dir/in", "i\n"}});
  Write("edit", "a\nB\nc\nd\n");
  fs::remove(At("drop"));
  ::chmod(At("mode").c_str(), 0755);
  fs::remove(At("turn"));
  fs::create_symlink("/etc/passwd", At("turn"));
  Write("new/file", "n\n");
  fs::remove_all(At("dir"));
  Write("dir", "now a file\n");
  const WorktreeDiff diff = DiffNow();
  std::map<std::string, FileChange> by_path;
  for (const FileChange& change : diff.files) by_path[change.path] = change;
  ASSERT_EQ(by_path.size(), 7U);
  EXPECT_EQ(by_path["edit"].kind, ChangeKind::kModified);
  EXPECT_EQ(by_path["edit"].insertions, 2);
  EXPECT_EQ(by_path["edit"].deletions, 1);
  EXPECT_EQ(by_path["drop"].kind, ChangeKind::kDeleted);
  EXPECT_EQ(by_path["mode"].new_mode, 0100755U);
  EXPECT_EQ(by_path["turn"].kind, ChangeKind::kModified);
  EXPECT_EQ(by_path["turn"].new_mode, 0120000U);
  EXPECT_EQ(by_path["new/file"].kind, ChangeKind::kAdded);
  EXPECT_EQ(by_path["new/file"].new_size, 2);
  EXPECT_EQ(by_path["dir"].kind, ChangeKind::kAdded);
  EXPECT_EQ(by_path["dir/in"].kind, ChangeKind::kDeleted);
  EXPECT_NE(diff.text.find("-b\n+B\n"), std::string::npos);
  EXPECT_EQ(diff.insertions, 5);
}

TEST_F(WorktreeTest, LeavesIgnoredFilesOut) {
  Prepare({{".gitignore", "*.o\nbuild/\n"}, {"a.c", "x\n"}, {"kept.o", "tracked all the same"}});
  Write("a.o", "junk");
  Write("build/deep/x", "junk");
  Write("b.c", "new\n");
  Write("kept.o", "changed");
  EXPECT_EQ(Changed(), (Paths{"b.c", "kept.o"}));
  const FileList list = tree_->ListFiles(100, {}).value();
  EXPECT_EQ(list.paths, (Paths{".gitignore", "a.c", "b.c", "kept.o"}));
  EXPECT_TRUE(tree_->ListFiles(2, {}).value().truncated);
  for (const char* path : {"a.o", "build/deep/x", "kept.o"}) EXPECT_TRUE(tree_->Has(path)) << path;
  for (const char* path : {"build", "none", "../x", ".git", "a.o/x"}) EXPECT_FALSE(tree_->Has(path)) << path;
}

TEST_F(WorktreeTest, CommitsAGivenPatchWhateverLiesInTheWorktree) {
  Prepare({{"a.c", "x\n"}});
  Write("a.c", "y\n");
  const std::string patch = tree_->Snapshot({}).value();
  CommitRequest request = SomeCommit();
  const std::string expected = tree_->Commit(request, {}).value();
  Write("a.c", "z\n");
  Write("late.c", "z\n");
  request.patch = patch;
  EXPECT_EQ(tree_->Commit(request, {}).value(), expected);
}

TEST_F(WorktreeTest, SeesAChangeThatKeepsSizeAndTime) {
  Prepare({{"a.txt", "one\n"}});
  struct stat info {};
  ASSERT_EQ(::stat(At("a.txt").c_str(), &info), 0);
  {
    std::fstream file(At("a.txt"), std::ios::in | std::ios::out);
    file << "two\n";
  }
  const timespec times[] = {info.st_atim, info.st_mtim};
  ASSERT_EQ(::utimensat(AT_FDCWD, At("a.txt").c_str(), times, 0), 0);
  EXPECT_EQ(Changed(), Paths{"a.txt"});
}

TEST_F(WorktreeTest, RefusesWhatIsTooLargeAndNamesIt) {
  Prepare({{"a.txt", "one\n"}});
  Write("huge.txt", std::string(300'000, 'x') + "\n");
  const auto diff = tree_->Diff(100'000, {});
  ASSERT_FALSE(diff);
  EXPECT_EQ(diff.error().code, ErrorCode::kTooLarge);
  EXPECT_NE(diff.error().message.find("huge.txt"), std::string::npos);
  tree_.reset();
  WorktreeLimits limits;
  limits.max_file_bytes = 1000;
  tree_.emplace(Worktree::Create(*bare_, "task-1-run-1", volume_.path() / "tree", {}, limits).value());
  Write("huge.bin", std::string(2000, '\0'));
  const auto snapshot = tree_->Snapshot({});
  ASSERT_FALSE(snapshot);
  EXPECT_EQ(snapshot.error().code, ErrorCode::kTooLarge);
  EXPECT_NE(snapshot.error().message.find("huge.bin"), std::string::npos);
}

TEST_F(WorktreeTest, ASnapshotHasRoomInAReportAsJson) {
  Prepare({{"a.txt", "one\n"}});
  tree_.reset();
  WorktreeLimits limits;
  limits.max_patch_bytes = 100'000;
  tree_.emplace(Worktree::Create(*bare_, "task-1-run-1", volume_.path() / "tree", {}, limits).value());
  const std::string head(9'000, 'x');  // what begins so is text
  Write("quotes.txt", head + std::string(80'000, '"') + "\n");
  EXPECT_TRUE(tree_->Snapshot({}));
  Write("quotes.txt", head + std::string(80'000, '\1') + "\n");  // each six bytes of JSON
  const auto snapshot = tree_->Snapshot({});
  ASSERT_FALSE(snapshot);
  EXPECT_EQ(snapshot.error().code, ErrorCode::kTooLarge);
  EXPECT_NE(snapshot.error().message.find("quotes.txt (89001 bytes)"), std::string::npos);
}

/// Everything a patch can hold at once: binary, Latin-1, no last newline, CRLF, modes, links, odd names.
std::map<std::string, std::string> Odd() {
  std::string binary;
  for (int i = 0; i < 5000; ++i) binary += static_cast<char>(i * 7);
  return {{"bin.dat", binary},
          {"latin1.txt", "caf\xe9\n"},
          {"late-nul.txt", std::string(9000, 'x') + '\0' + "\n"},
          {"no-newline", "end"},
          {"crlf.txt", "a\r\nb\r\n"},
          {"empty", ""},
          {"sp ace/\xc3\xbc.txt", "u\n"},
          {"quote\"d", "q\n"},
          {"lone\rcr", "x\ry\n"}};
}

TEST_F(WorktreeTest, SnapshotRebuildsEveryByteElsewhere) {
  Prepare({{"old.bin", std::string("\0\1\2", 3)},
           {"gone.bin", std::string("\0x", 2)},
           {"edit", "1\n2\n3\n"},
           {"turn", "file\n"},
           {"dir/x", "x\n"},
           {"latin", "\xe4\xf6\n"}});
  for (const auto& [name, bytes] : Odd()) Write(name, bytes);
  Write("old.bin", std::string("\0\1\2\3", 4));
  fs::remove(At("gone.bin"));
  Write("edit", "1\ntwo\n3");
  Write("latin", "\xe4\xf6\xfc\n");
  fs::remove(At("turn"));
  fs::create_symlink("../outside", At("turn"));
  fs::remove_all(At("dir"));
  Write("dir", "file now\n");
  Write("run.sh", "#!/bin/sh\n");
  ::chmod(At("run.sh").c_str(), 0755);
  const std::string patch = SnapshotNow();
  EXPECT_NO_THROW((void)nlohmann::json(patch).dump());
  const std::string digest = tree_->PatchDigest({}).value();
  EXPECT_TRUE(digest.starts_with("sha256:"));

  Write("later", "must go");
  const Status restored = tree_->Restore(patch, {});
  ASSERT_TRUE(restored) << restored.error().message;
  for (const auto& [name, bytes] : Odd()) EXPECT_EQ(ReadFile(At(name)).value_or("absent"), bytes) << name;
  EXPECT_EQ(ReadFile(At("old.bin")).value(), std::string("\0\1\2\3", 4));
  EXPECT_EQ(ReadFile(At("edit")).value(), "1\ntwo\n3");
  EXPECT_EQ(ReadFile(At("latin")).value(), "\xe4\xf6\xfc\n");
  EXPECT_EQ(fs::read_symlink(At("turn")), "../outside");
  EXPECT_EQ(ReadFile(At("dir")).value(), "file now\n");
  EXPECT_EQ(::access(At("run.sh").c_str(), X_OK), 0);
  EXPECT_FALSE(fs::exists(At("gone.bin")));
  EXPECT_FALSE(fs::exists(At("later")));
  EXPECT_EQ(SnapshotNow(), patch);
  EXPECT_EQ(tree_->PatchDigest({}).value(), digest);
}

TEST_F(WorktreeTest, RestoresTheBaseFromAnEmptyPatch) {
  Prepare({{"a", "1\n"}, {".gitignore", "*.o\n"}});
  Write("a", "2\n");
  Write("b", "new");
  Write("c.o", "ignored");
  ASSERT_TRUE(tree_->Restore("", {}));
  EXPECT_EQ(ReadFile(At("a")).value(), "1\n");
  EXPECT_FALSE(fs::exists(At("b")));
  EXPECT_FALSE(fs::exists(At("c.o")));
  EXPECT_TRUE(DiffNow().empty());
}

TEST_F(WorktreeTest, ChangesAfterARestoreAreCumulative) {
  Prepare({{"a", "1\n"}, {"b", "1\n"}});
  Write("new", "n\n");
  fs::remove(At("b"));
  ASSERT_TRUE(tree_->Restore(SnapshotNow(), {}));
  EXPECT_EQ(Changed(), (Paths{"b", "new"}));
  Write("a", "2\n");
  fs::remove(At("new"));
  EXPECT_EQ(Changed(), (Paths{"a", "b"}));
}

TEST_F(WorktreeTest, RestoreRefusesPatchesThatEscape) {
  Prepare({{"a", "1\n"}});
  const fs::path outside = volume_.path() / "outside";
  fs::create_directories(outside);
  Write("edited", "stays");
  const auto add = [&](const std::string& path) {
    return "diff --git a/" + path + " b/" + path + "\nnew file mode 100644\n--- /dev/null\n+++ b/" + path +
           "\n@@ -0,0 +1 @@\n+evil\n";
  };
  const std::string link =
      "diff --git a/link b/link\nnew file mode 120000\n--- /dev/null\n+++ b/link\n@@ -0,0 +1 @@\n+" +
      outside.string() + "\n\\ No newline at end of file\n";
  for (const std::string& patch :
       {add("../outside/evil"), add(outside.string() + "/evil"), add(".git/hooks/evil"),
        add("sub/.git/config"), link + add("link/evil"), std::string("no patch at all\n"),
        std::string("diff --git a/a b/a\n--- a/a\n+++ b/a\n@@ -1 +1 @@\n-other\n+x\n")}) {
    const Status restored = tree_->Restore(patch, {});
    ASSERT_FALSE(restored) << patch;
    EXPECT_EQ(restored.error().code, ErrorCode::kInvalid) << restored.error().message;
    EXPECT_TRUE(fs::is_empty(outside)) << patch;
    EXPECT_EQ(ReadFile(At("edited")).value(), "stays");
  }
}

TEST_F(WorktreeTest, RestoreIsNotLedAstrayByLinksInTheWorktree) {
  Prepare({{"dir/a", "1\n"}, {"b", "1\n"}});
  volume_.Write("outside/a", "kept");
  Write("dir/a", "2\n");
  const std::string patch = SnapshotNow();
  fs::remove_all(At("dir"));
  fs::create_directory_symlink("../outside", At("dir"));
  ASSERT_TRUE(tree_->Restore(patch, {}));
  EXPECT_EQ(ReadFile(volume_.path() / "outside/a").value(), "kept");
  EXPECT_EQ(ReadFile(At("dir/a")).value(), "2\n");
}

TEST_F(WorktreeTest, ReadsFilesOfTheWorktreeAndOfTheBase) {
  Prepare({{"dir/a", "base\n"}, {"link", "symlink:/etc/passwd"}});
  Write("dir/a", "new\n");
  EXPECT_EQ(tree_->ReadFileAt("dir/a", 100).value(), "new\n");
  EXPECT_EQ(tree_->ReadBaseFileAt("dir/a", 100).value(), "base\n");
  EXPECT_EQ(tree_->ReadFileAt("dir/a", 2).error().code, ErrorCode::kTooLarge);
  EXPECT_EQ(tree_->ReadFileAt("link", 100).error().code, ErrorCode::kInvalid);
  EXPECT_EQ(tree_->ReadBaseFileAt("link", 100).error().code, ErrorCode::kInvalid);
  EXPECT_EQ(tree_->ReadFileAt("../repo.git/config", 100).error().code, ErrorCode::kInvalid);
  EXPECT_EQ(tree_->ReadFileAt(".git", 100).error().code, ErrorCode::kInvalid);
  EXPECT_EQ(tree_->ReadBaseFileAt("absent", 100).error().code, ErrorCode::kNotFound);
}

TEST_F(WorktreeTest, CommitsTheSameContentAsTheSameCommit) {
  Prepare({{"a", "1\n"}, {"b", "2\n"}});
  Write("a", "changed\n");
  Write("run", "#!/bin/sh\n");
  ::chmod(At("run").c_str(), 0755);
  fs::create_symlink("a", At("link"));
  fs::remove(At("b"));
  const std::string patch = SnapshotNow();
  const std::string commit = tree_->Commit(SomeCommit(), {}).value();
  EXPECT_EQ(tree_->Commit(SomeCommit(), {}).value(), commit);
  EXPECT_EQ(SnapshotNow(), patch);
  tree_.reset();
  tree_.emplace(Tree(*bare_));
  ASSERT_TRUE(tree_->Restore(patch, {}));
  EXPECT_EQ(tree_->Commit(SomeCommit(), {}).value(), commit);
  EXPECT_NE(tree_->Commit(SomeCommit("Other words"), {}).value(), commit);
  ASSERT_TRUE(tree_->Push(commit, "out", std::nullopt, {}));
  EXPECT_EQ(server_->Git(Name(), {"ls-tree", "-r", "--format=%(objectmode) %(path)", "out"}).value(),
            "100644 a\n120000 link\n100755 run");
  EXPECT_EQ(server_->Git(Name(), {"log", "-1", "--format=%an <%ae> %at %s", "out"}).value(),
            "YBIS <ybis@example.com> 1800000000 Change it");
  EXPECT_EQ(server_->Git(Name(), {"rev-parse", "out^"}).value(), bare_->base_commit());
  EXPECT_TRUE(server_->Git(Name(), {"fsck", "--strict"}));
}

TEST_F(WorktreeTest, CommitsNothingWhenNothingChanged) {
  Prepare({{"a", "1\n"}});
  Write("a", "1\n");
  const auto commit = tree_->Commit(SomeCommit(), {});
  ASSERT_FALSE(commit);
  EXPECT_EQ(commit.error().code, ErrorCode::kInvalid);
}

TEST_F(WorktreeTest, ReplacesWhatAnEarlierAttemptLeft) {
  Prepare({{"a", "1\n"}});
  Write("a", "2\n");
  ASSERT_TRUE(tree_->Commit(SomeCommit(), {}));
  tree_.reset();
  const Worktree again = Tree(*bare_);
  EXPECT_EQ(ReadFile(At("a")).value(), "1\n");
  EXPECT_TRUE(again.Diff(kBig, {}).value().empty());
  EXPECT_EQ(std::distance(fs::directory_iterator(bare_->directory() / "worktrees"), fs::directory_iterator{}),
            1);
}

TEST_F(WorktreeTest, KeepsSubmodulesAsTheyAre) {
  const std::string commit = server_->CreateRepository(Name(), {{"a", "1\n"}}).value();
  ASSERT_TRUE(server_->Git(Name(), {"update-index", "--add", "--cacheinfo", "160000," + commit + ",sub"}));
  ASSERT_TRUE(
      server_->Git(Name(), {"update-index", "--add", "--cacheinfo",
                            "100644," + server_->Git(Name(), {"rev-parse", "main:a"}).value() + ",a"}));
  const std::string tree = server_->Git(Name(), {"write-tree"}).value();
  const std::string with = server_
                               ->Git(Name(), {"-c", "user.name=T", "-c", "user.email=t@example.com",
                                              "commit-tree", "-m", "sub", tree})
                               .value();
  ASSERT_TRUE(server_->Git(Name(), {"update-ref", "refs/heads/main", with}));
  const auto bare = Open();
  ASSERT_TRUE(bare) << bare.error().message;
  Worktree worktree = Tree(*bare);
  EXPECT_TRUE(fs::is_directory(At("sub")));
  Write("sub/file", "x");
  Write("a", "2\n");
  const WorktreeDiff diff = worktree.Diff(kBig, {}).value();
  ASSERT_EQ(diff.files.size(), 1U);
  EXPECT_EQ(diff.files[0].path, "a");
}

TEST_F(WorktreeTest, TakesFilesOfARepositoryThatAToolMadeInside) {
  Prepare({{"a", "1\n"}});
  Write("made/.git/HEAD", "ref: refs/heads/main\n");
  fs::create_directories(At("made/.git/objects"));
  fs::create_directories(At("made/.git/refs"));
  Write("made/.git/config", "[core]\n\tfsmonitor = touch /tmp/evil\n");
  Write("made/src/main.py", "print(1)\n");
  Write("made/.gitignore", "*.pyc\n");
  Write("made/x.pyc", "junk");
  EXPECT_EQ(Changed(), (Paths{"made/.gitignore", "made/src/main.py"}));
}

}  // namespace
}  // namespace ybis::git
