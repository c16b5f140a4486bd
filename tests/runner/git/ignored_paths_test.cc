// Which files a change would not hold, as git itself judges.
#include "runner/git/ignored_paths.h"

#include "base/file.h"
#include "tests/runner/git/checkout_fixture.h"

namespace ybis::git {
namespace {

namespace fs = std::filesystem;

class IgnoredPathsTest : public ::testing::Test {
 protected:
  /// Checks out what the source has committed.
  void Prepare() {
    source_.Commit();
    bare_.emplace(volume_.Open());
    tree_.emplace(Worktree::Create(*bare_, "task-1-run-1", volume_.tree(), {}).value());
  }
  /// Path and reason of each ignored file, a line each.
  std::string Ignored(const std::vector<std::string>& paths, const IgnoreFiles& planned = {}) const {
    const auto ignored = tree_->Ignored(paths, planned, {});
    if (!ignored) return ignored.error().message;
    std::string out;
    for (const IgnoredPath& one : *ignored) out += one.path + ": " + one.why + "\n";
    return out;
  }

  SourceCheckout source_;
  Volume volume_{source_};
  std::optional<BareRepository> bare_;
  std::optional<Worktree> tree_;
};

TEST_F(IgnoredPathsTest, NamesTheRuleOfUntrackedFilesAlone) {
  source_.Write("kept.log", "tracked before there was a rule\n");
  source_.Commit();
  source_.Write(".gitignore", "*.log\n!wanted.log\n/build/\n[x].txt\n");
  source_.Write("sub/.gitignore", "secret*\n");
  Prepare();
  EXPECT_EQ(Ignored({"app.py", "kept.log", "wanted.log", "build", "sub/build/x", "sub.log/../no"}),
            "path 'sub.log/../no': has an empty, '.' or '..' part");
  EXPECT_EQ(Ignored({"app.py", "kept.log", "wanted.log", "build", "sub/build/x", "secret", "[x].txt"}), "");
  EXPECT_EQ(Ignored({"a.log", ":(top)b.log", "build/deep/x.py", "sub/secrets", "x.txt"}),
            "a.log: rule '*.log' in line 1 of .gitignore\n"
            ":(top)b.log: rule '*.log' in line 1 of .gitignore\n"
            "build/deep/x.py: rule '/build/' in line 3 of .gitignore\n"
            "sub/secrets: rule 'secret*' in line 1 of sub/.gitignore\n"
            "x.txt: rule '[x].txt' in line 4 of .gitignore\n");
}

TEST_F(IgnoredPathsTest, JudgesByTheIgnoreFilesThatAreToBe) {
  source_.Write(".gitignore", "*.log\n");
  Prepare();
  EXPECT_EQ(Ignored({"a.log"}, {{".gitignore", "*.log\n!a.log\n"}}), "");
  EXPECT_EQ(Ignored({"a.log"}, {{".gitignore", std::nullopt}}), "");
  EXPECT_EQ(Ignored({"new/a.gen"}, {{"new/.gitignore", "*.gen\n"}}),
            "new/a.gen: rule '*.gen' in line 1 of new/.gitignore\n");
  EXPECT_EQ(Ignored({"new/a.gen", "a.log"}), "a.log: rule '*.log' in line 1 of .gitignore\n")
      << "nothing is left of what was only planned";
  EXPECT_EQ(tree_->Snapshot({}).value(), "");
}

TEST_F(IgnoredPathsTest, AgreesWithWhatTheDiffHolds) {
  source_.Write(".gitignore", "*.log\n!keep.log\nout/\n!out/x\n/top\n**/deep/*\n!**/deep/in\n");
  source_.Write("sub/.gitignore", "!a.log\n");
  Prepare();
  const std::vector<std::string> paths = {"a.log",     "keep.log", "out/x",     "top",          "sub/top",
                                          "sub/a.log", "q/deep/f", "q/deep/in", "q/deep/in2/y", "plain"};
  std::map<std::string, bool> left_out;
  for (const std::string& path : paths) {
    fs::create_directories((volume_.tree() / path).parent_path());
    ASSERT_TRUE(WriteFileAtomic(volume_.tree() / path, "x\n"));
    left_out[path] = true;
  }
  const WorktreeDiff diff = tree_->Diff(1 << 20, {}).value();
  for (const FileChange& change : diff.files) left_out[change.path] = false;
  std::map<std::string, bool> ignored;
  for (const std::string& path : paths) ignored[path] = false;
  const std::vector<IgnoredPath> found = tree_->Ignored(paths, {}, {}).value();
  for (const IgnoredPath& one : found) ignored[one.path] = true;
  EXPECT_EQ(ignored, left_out);
}

TEST_F(IgnoredPathsTest, CountsWhatLiesInASubmodule) {
  source_.Write("app.py", "x\n");
  source_.Commit();
  const std::string head = source_.Git({"rev-parse", "HEAD"}).substr(0, 40);
  source_.Git({"update-index", "--add", "--cacheinfo", "160000," + head + ",lib/other"});
  source_.Git({"commit", "-q", "-m", "submodule"});
  bare_.emplace(volume_.Open());
  tree_.emplace(Worktree::Create(*bare_, "task-1-run-1", volume_.tree(), {}).value());
  fs::create_directories(volume_.tree() / "lib/other");
  ASSERT_TRUE(WriteFileAtomic(volume_.tree() / "lib/other/x", "x\n"));
  EXPECT_TRUE(tree_->Diff(1 << 20, {})->empty()) << "that is why";
  EXPECT_EQ(Ignored({"lib/other/x", "lib/mine"}), "lib/other/x: it lies in the submodule lib/other/\n");
}

TEST_F(IgnoredPathsTest, TakesNoLinkForAnIgnoreFile) {
  source_.Write("app.py", "x\n");
  Prepare();
  fs::create_symlink("/etc/passwd", volume_.tree() / ".gitignore");
  EXPECT_EQ(Ignored({"root"}), "");
}

}  // namespace
}  // namespace ybis::git
