#include "runner/edit/engine.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <filesystem>

#include "base/file.h"
#include "base/unique_fd.h"
#include "tests/support/temp_dir.h"

namespace ybis::runner {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
namespace fs = std::filesystem;

class EditEngineTest : public ::testing::Test {
 protected:
  EditEngineTest() : worktree_(dir_.path() / "worktree") {
    fs::create_directories(worktree_);
    fd_.Reset(::open(worktree_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  }

  void Put(const std::string& name, const std::string& text) { dir_.Write("worktree/" + name, text); }
  std::string Get(const std::string& name) { return ReadFile(worktree_ / name).value_or("(none)"); }
  EditEngine Engine() { return EditEngine(fd_.get(), limits_); }

  /// "" when everything was applied, else the misses or the error.
  std::string Try(std::vector<Edit> edits) {
    const auto plan = Engine().Plan(edits);
    if (!plan) return "error: " + plan.error().message;
    if (!plan->misses.empty()) return Describe(plan->misses);
    const auto applied = Engine().Apply(*plan);
    return applied ? "" : "error: " + applied.error().message;
  }
  std::vector<std::string> Files() {
    std::vector<std::string> files;
    for (const auto& entry : fs::recursive_directory_iterator(dir_.path())) {
      if (!entry.is_directory()) files.push_back(fs::relative(entry.path(), dir_.path()).string());
    }
    std::sort(files.begin(), files.end());
    return files;
  }

  testing::TempDir dir_;
  fs::path worktree_;
  UniqueFd fd_;
  EditLimits limits_;
};

/// A few hundred kilobytes of edits must not become gigabytes before the limit is looked at.
TEST_F(EditEngineTest, AReplacementThatGrowsPastTheLimitIsRefusedBeforeItIsMade) {
  Put("bomb", std::string(10'000, 'a'));
  EXPECT_THAT(Try({SearchReplace{"bomb", "a", std::string(1 << 20, 'b'), 10'000}}),
              HasSubstr("would have 10485760000 bytes, more than the 10485760 allowed"));
  limits_.max_file_bytes = 20'000;
  EXPECT_EQ(Try({SearchReplace{"bomb", "a", "bb", 10'000}}), "");
  EXPECT_EQ(Get("bomb"), std::string(20'000, 'b'));
}

/// Text that repeats itself makes a plain search take the product of both lengths.
TEST_F(EditEngineTest, SearchesTextThatRepeatsItselfInLinearTime) {
  Put("same", std::string(4 << 20, 'a'));
  Put("lines", [] {
    std::string text;
    for (int i = 0; i < 400'000; ++i) text += "a\n";
    return text;
  }());
  std::string half;
  for (int i = 0; i < 200'000; ++i) half += " a\n";
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_THAT(Try({SearchReplace{"same", std::string(2 << 20, 'a') + "b", "c"}}),
              HasSubstr("not in the file"));
  EXPECT_THAT(Try({SearchReplace{"lines", half + "b\n", "c"}}), HasSubstr("not in the file"));
  const std::string hunk = "@@ -7,200001 +7,200000 @@\n" + half + "-b\n";
  EXPECT_THAT(Try({UnifiedDiff{"--- a/lines\n+++ b/lines\n" + hunk}}),
              HasSubstr("give the right line number"));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20));
}

TEST_F(EditEngineTest, PartsOfDiffsCountAsFiles) {
  limits_.max_files = 3;
  Put("a.c", "1\n");
  std::string diff;
  for (int i = 1; i <= 3; ++i) diff += fmt::format("--- a/a.c\n+++ b/a.c\n@@ -1 +1 @@\n-{}\n+{}\n", i, i + 1);
  EXPECT_EQ(Try({UnifiedDiff{diff}}), "");
  EXPECT_EQ(Get("a.c"), "4\n");
  diff += "--- a/a.c\n+++ b/a.c\n@@ -1 +1 @@\n-4\n+5\n";
  EXPECT_THAT(Try({UnifiedDiff{diff}}), HasSubstr("with 4 files, more than the 3 allowed"));
}

TEST_F(EditEngineTest, DescribesOnlyAsManyMissesAsAModelCanUse) {
  std::vector<EditMiss> misses(
      500, EditMiss{0, "a.c", "the search text is not in the file", std::string(5000, 'h')});
  const std::string text = Describe(misses);
  EXPECT_LT(text.size(), size_t{17} * 1024);
  EXPECT_THAT(text, HasSubstr("… and 497 more edits do not fit"));
}

TEST_F(EditEngineTest, AStopEndsThePlan) {
  std::stop_source stop;
  stop.request_stop();
  const std::vector<Edit> edits = {WholeFile{"a", "b"}};
  const auto plan = Engine().Plan(edits, stop.get_token());
  ASSERT_FALSE(plan);
  EXPECT_EQ(plan.error().code, ErrorCode::kCancelled);
}

TEST_F(EditEngineTest, AppliesEveryKindAndTellsWhatChanged) {
  Put("src/a.c", "one\ntwo\n");
  Put("old/deep/gone.c", "x");
  Put("from.c", "f");
  const std::vector<Edit> edits = {SearchReplace{"src/a.c", "two", "2"}, WholeFile{"new/dir/b.c", "b"},
                                   DeleteFile{"old/deep/gone.c"}, RenameFile{"from.c", "to.c"},
                                   UnifiedDiff{"--- a/src/a.c\n+++ b/src/a.c\n@@ -1 +1 @@\n-one\n+1\n"}};
  const auto plan = Engine().Plan(edits);
  ASSERT_TRUE(plan);
  ASSERT_TRUE(plan->misses.empty()) << Describe(plan->misses);
  EXPECT_EQ(plan->patch_id, PatchId(edits));
  EXPECT_EQ(Get("src/a.c"), "one\ntwo\n") << "planning writes nothing";
  const auto changes = Engine().Apply(*plan);
  ASSERT_TRUE(changes) << changes.error().message;
  EXPECT_EQ(changes->size(), 5u);
  EXPECT_EQ(Get("src/a.c"), "1\n2\n");
  EXPECT_THAT(Files(), ElementsAre("worktree/new/dir/b.c", "worktree/src/a.c", "worktree/to.c"));
  EXPECT_FALSE(fs::exists(worktree_ / "old")) << "folders left empty go";
}

TEST_F(EditEngineTest, WritesNothingWhenOneEditMisses) {
  Put("a", "one");
  const auto text = Try({WholeFile{"b", "x"}, SearchReplace{"a", "none", "x"}, DeleteFile{"a"}});
  EXPECT_THAT(text, HasSubstr("edits[1] a: the search text is not in the file"));
  EXPECT_THAT(Files(), ElementsAre("worktree/a"));
}

TEST_F(EditEngineTest, RefusesHostilePathsInEveryKindOfEdit) {
  dir_.Write("outside/f", "x\n");
  for (const std::string path : {"../outside/f", "/etc/passwd", ".git/hooks/x", ".GIT/config",
                                 "a/../../outside/f", "", "a\\b", "sub/.git/config", "git~1/x"}) {
    EXPECT_NE(Try({WholeFile{path, "x"}}), "") << path;
    EXPECT_NE(Try({SearchReplace{path, "x", "y"}}), "") << path;
    EXPECT_NE(Try({DeleteFile{path}}), "") << path;
    EXPECT_NE(Try({RenameFile{path, "mine"}}), "") << path;
    EXPECT_NE(Try({WholeFile{"ok", "x"}, RenameFile{"ok", path}}), "") << path;
    EXPECT_NE(Try({UnifiedDiff{"--- a/" + path + "\n+++ b/" + path + "\n@@ -1 +1 @@\n-x\n+y\n"}}), "")
        << path;
    EXPECT_NE(Try({UnifiedDiff{"--- /dev/null\n+++ b/" + path + "\n@@ -0,0 +1 @@\n+y\n"}}), "") << path;
  }
  EXPECT_THAT(Files(), ElementsAre("outside/f"));
}

TEST_F(EditEngineTest, NeverFollowsALink) {
  dir_.Write("outside/f", "x\n");
  fs::create_directory_symlink(dir_.path() / "outside", worktree_ / "folder");
  fs::create_symlink(dir_.path() / "outside/f", worktree_ / "file");
  fs::create_symlink("inside", worktree_ / "harmless");
  Put("inside", "i");
  for (const std::string path : {"folder/f", "folder/new", "file", "harmless"}) {
    EXPECT_THAT(Try({WholeFile{path, "hacked"}}), HasSubstr("symbolic link")) << path;
    EXPECT_NE(Try({SearchReplace{path, "x", "y"}}), "") << path;
    EXPECT_NE(Try({DeleteFile{path}}), "") << path;
    EXPECT_NE(Try({WholeFile{"ok", "x"}, RenameFile{"ok", path}}), "") << path;
  }
  EXPECT_EQ(ReadFile(dir_.path() / "outside/f").value(), "x\n");
  EXPECT_FALSE(fs::exists(dir_.path() / "outside/new"));
}

TEST_F(EditEngineTest, WritesNothingThroughALinkMadeBetweenPlanAndApply) {
  dir_.Write("outside/a", "x");
  Put("d/a", "x");
  const std::vector<Edit> edits = {WholeFile{"d/a", "hacked"}, WholeFile{"d/new", "hacked"}};
  const auto plan = Engine().Plan(edits);
  ASSERT_TRUE(plan);
  fs::remove_all(worktree_ / "d");
  fs::create_directory_symlink(dir_.path() / "outside", worktree_ / "d");
  EXPECT_FALSE(Engine().Apply(*plan));
  EXPECT_EQ(ReadFile(dir_.path() / "outside/a").value(), "x");
  EXPECT_FALSE(fs::exists(dir_.path() / "outside/new"));
}

TEST_F(EditEngineTest, RefusesToOverwriteWhatChangedMeanwhile) {
  Put("a", "one");
  const std::vector<Edit> edits = {SearchReplace{"a", "one", "two"}};
  const auto plan = Engine().Plan(edits);
  Put("a", "other");
  EXPECT_EQ(Engine().Apply(*plan).error().code, ErrorCode::kConflict);
  EXPECT_EQ(Get("a"), "other");
}

TEST_F(EditEngineTest, RefusesWhatIsNoFile) {
  ASSERT_EQ(::mkfifo((worktree_ / "fifo").c_str(), 0600), 0);
  fs::create_directory(worktree_ / "folder");
  Put("file", "x");
  EXPECT_THAT(Try({WholeFile{"fifo", "x"}}), HasSubstr("pipe, socket or device"));
  EXPECT_THAT(Try({WholeFile{"folder", "x"}}), HasSubstr("is a folder"));
  EXPECT_THAT(Try({RenameFile{"file", "folder"}}), HasSubstr("is a folder"));
  EXPECT_THAT(Try({WholeFile{"file/below", "x"}}), HasSubstr("leads through a file"));
  EXPECT_THAT(Try({WholeFile{"new", "x"}, WholeFile{"new/below", "x"}}), HasSubstr("which is a file"));
  EXPECT_THAT(Try({RenameFile{"file", "file"}}), HasSubstr("exists already"));
  EXPECT_THAT(Try({DeleteFile{"absent"}}), HasSubstr("does not exist"));
}

TEST_F(EditEngineTest, TurnsAFileIntoAFolder) {
  Put("a", "x");
  EXPECT_EQ(Try({DeleteFile{"a"}, WholeFile{"a/b", "y"}}), "");
  EXPECT_EQ(Get("a/b"), "y");
}

TEST_F(EditEngineTest, RefusesBinaryContent) {
  Put("bin", std::string("a\0b", 3));
  EXPECT_THAT(Try({SearchReplace{"bin", "a", "b"}}), HasSubstr("binary"));
  EXPECT_THAT(Try({WholeFile{"new", std::string("a\0b", 3)}}), HasSubstr("binary"));
}

TEST_F(EditEngineTest, RefusesAHugeEditByNameWithoutTakingItsMemory) {
  std::vector<Edit> edits;
  edits.push_back(WholeFile{"huge/file.txt", std::string(100'000'000, 'x')});
  edits.push_back(
      UnifiedDiff{"--- a/other.txt\n+++ b/other.txt\n@@ -1 +1 @@\n" + std::string(100'000'000, '\n')});
  rusage before{};
  rusage after{};
  ::getrusage(RUSAGE_SELF, &before);
  const auto first = Engine().Plan(edits);
  const auto second = Engine().Plan(std::span(edits).subspan(1));
  ::getrusage(RUSAGE_SELF, &after);
  ASSERT_FALSE(first);
  EXPECT_EQ(first.error().code, ErrorCode::kTooLarge);
  EXPECT_THAT(first.error().message, HasSubstr("huge/file.txt"));
  EXPECT_EQ(second.error().code, ErrorCode::kTooLarge);
  EXPECT_THAT(second.error().message, HasSubstr("b/other.txt"));
  EXPECT_LT(after.ru_maxrss - before.ru_maxrss, 20'000) << "kilobytes";
}

TEST_F(EditEngineTest, HoldsItsLimits) {
  limits_ = {.max_edits = 3, .max_files = 2, .max_file_bytes = 10, .max_total_bytes = 30};
  EXPECT_THAT(Try({WholeFile{"a", "12345678901"}}), HasSubstr("more than the 10 allowed"));
  EXPECT_THAT(Try({WholeFile{"a", ""}, WholeFile{"b", ""}, WholeFile{"c", ""}}),
              HasSubstr("more than 2 files"));
  EXPECT_THAT(Try({4, WholeFile{"a", ""}}), HasSubstr("more than the 3 allowed"));
  Put("big", "12345678901");
  EXPECT_THAT(Try({SearchReplace{"big", "1", "2"}}), HasSubstr("more than the 10 allowed"));
}

TEST_F(EditEngineTest, AppliesSeveralEditsOfOneFileInOrder) {
  Put("a", "one two\n");
  EXPECT_EQ(Try({SearchReplace{"a", "one", "two"}, SearchReplace{"a", "two two", "three"}}), "");
  EXPECT_EQ(Get("a"), "three\n");
  EXPECT_THAT(Try({SearchReplace{"a", "three", "x"}, SearchReplace{"a", "three", "y"}}),
              HasSubstr("edits[1]"))
      << "overlapping edits: the second finds its text gone";
  EXPECT_EQ(Try({DeleteFile{"a"}, WholeFile{"a", "again"}}), "");
  EXPECT_EQ(Get("a"), "again");
}

TEST_F(EditEngineTest, TellsWhereAnAmbiguousTextStands) {
  Put("a", "x\ny\nx\n");
  EXPECT_THAT(Try({SearchReplace{"a", "x", "z"}}),
              HasSubstr("stands 2 times, expected 1\nit starts at lines 1, 3"));
  EXPECT_EQ(Try({SearchReplace{"a", "x", "z", 2}}), "");
  EXPECT_EQ(Get("a"), "z\ny\nz\n");
}

TEST_F(EditEngineTest, OffersTheTextThatDiffersInWhiteSpaceOnly) {
  Put("a", "if (x) {\n\treturn  1;\n}\n");
  const auto text = Try({SearchReplace{"a", "if (x) {\n    return 1;\n}", "y"}});
  EXPECT_THAT(text, HasSubstr("other white space"));
  EXPECT_THAT(text, HasSubstr("2 | \treturn  1;"));
}

TEST_F(EditEngineTest, KeepsLineEndsModesAndMissingLastLineEnds) {
  Put("crlf", "one\r\ntwo\r\n");
  Put("run.sh", "#!/bin/sh\necho 1");
  ASSERT_EQ(::chmod((worktree_ / "run.sh").c_str(), 0755), 0);
  Put("empty", "");
  EXPECT_EQ(Try({SearchReplace{"crlf", "one\ntwo", "1\n2"}, SearchReplace{"run.sh", "echo 1", "echo 2"},
                 WholeFile{"empty", "x"}}),
            "");
  EXPECT_EQ(Get("crlf"), "1\r\n2\r\n");
  EXPECT_EQ(Get("run.sh"), "#!/bin/sh\necho 2");
  EXPECT_EQ(fs::status(worktree_ / "run.sh").permissions(), fs::perms(0755));
  EXPECT_EQ(fs::status(worktree_ / "empty").permissions(), fs::perms(0644));
}

TEST_F(EditEngineTest, PutsBackWhatWasWrittenWhenWritingFails) {
  Put("a", "one");
  const std::vector<Edit> edits = {WholeFile{"a", "two"}, WholeFile{"b", "new"},
                                   WholeFile{"z/" + std::string(250, 'n'), "x"}};
  auto plan = Engine().Plan(edits);
  ASSERT_TRUE(plan);
  // What no check can foresee: the plan is right but the disk refuses the last file.
  plan->files.back().path =
      "z/" + std::string(250, 'n') + "/" + std::string(250, 'm') + "/" + std::string(300, 'k');
  const auto applied = Engine().Apply(*plan);
  ASSERT_FALSE(applied);
  EXPECT_EQ(Get("a"), "one");
  EXPECT_FALSE(fs::exists(worktree_ / "b"));
}

TEST_F(EditEngineTest, LeavesNothingWhenAppliedToNoChange) {
  Put("a", "x");
  const std::vector<Edit> edits = {WholeFile{"a", "x"}};
  EXPECT_TRUE(Engine().Plan(edits)->files.empty());
}

TEST_F(EditEngineTest, RebuildsAWorktreeFromAPatch) {
  Put("keep", "1\n2\n3\n");
  Put("gone", "x\n");
  Put("old", "same\n");
  Put("script", "s\n");
  EXPECT_EQ(Try({UnifiedDiff{
                "diff --git a/gone b/gone\ndeleted file mode 100644\nindex 1..0\n--- a/gone\n+++ "
                "/dev/null\n@@ -1 +0,0 @@\n-x\n"
                "diff --git a/keep b/keep\nindex 1..2 100644\n--- a/keep\n+++ b/keep\n@@ -1,3 +1,3 @@\n "
                "1\n-2\n+two\n 3\n"
                "diff --git a/new/f b/new/f\nnew file mode 100755\nindex 0..1\n--- /dev/null\n+++ "
                "b/new/f\n@@ -0,0 +1 @@\n+n\n"
                "\\ No newline at end of file\n"
                "diff --git a/old b/moved\nsimilarity index 100%\nrename from old\nrename to moved\n"
                "diff --git a/script b/script\nold mode 100644\nnew mode 100755\n"}}),
            "");
  EXPECT_THAT(Files(), ElementsAre("worktree/keep", "worktree/moved", "worktree/new/f", "worktree/script"));
  EXPECT_EQ(Get("keep"), "1\ntwo\n3\n");
  EXPECT_EQ(Get("new/f"), "n");
  EXPECT_EQ(fs::status(worktree_ / "new/f").permissions(), fs::perms(0755));
  EXPECT_EQ(fs::status(worktree_ / "script").permissions(), fs::perms(0755));
}

TEST_F(EditEngineTest, SwapsNamesInOneDiff) {
  Put("a", "A\n");
  Put("b", "B\n");
  EXPECT_EQ(Try({UnifiedDiff{"diff --git a/a b/b\nrename from a\nrename to b\n"
                             "diff --git a/b b/a\nrename from b\nrename to a\n"}}),
            "");
  EXPECT_EQ(Get("a"), "B\n");
  EXPECT_EQ(Get("b"), "A\n");
}

TEST_F(EditEngineTest, RefusesAPatchThatMakesALinkAndWritesThroughIt) {
  EXPECT_THAT(
      Try({UnifiedDiff{"diff --git a/l b/l\nnew file mode 120000\n--- /dev/null\n+++ b/l\n@@ -0,0 +1 @@\n"
                       "+../outside\n\\ No newline at end of file\n"
                       "diff --git a/l/f b/l/f\nnew file mode 100644\n--- /dev/null\n+++ b/l/f\n"
                       "@@ -0,0 +1 @@\n+x\n"}}),
      HasSubstr("symbolic links"));
  EXPECT_THAT(Files(), ElementsAre());
}

}  // namespace
}  // namespace ybis::runner
