#include "runner/edit/diff.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ybis::runner {
namespace {

using ::testing::HasSubstr;

std::string Applied(std::string_view content, std::string_view diff) {
  const auto files = ParseDiff(diff);
  if (!files) return "error: " + files.error().message;
  SearchBudget budget;
  const auto applied = ApplyHunks(content, files->front().hunks, budget);
  return applied ? *applied : "miss: " + applied.error().reason + " | " + applied.error().hint;
}

std::string ErrorOf(std::string_view diff) {
  const auto files = ParseDiff(diff);
  return files ? "" : files.error().message;
}

constexpr const char* kHead = "--- a/f\n+++ b/f\n";

TEST(ParseDiff, ReadsGitsForm) {
  const auto files = ParseDiff(
      "diff --git a/new b/new\nnew file mode 100755\nindex 0000000..1\n--- /dev/null\n+++ b/new\n@@ -0,0 +1 "
      "@@\n+x\n"
      "diff --git a/gone b/gone\ndeleted file mode 100644\n--- a/gone\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n"
      "diff --git a/old name b/new name\nsimilarity index 100%\nrename from old name\nrename to new name\n"
      "diff --git a/run b/run\nold mode 100644\nnew mode 100755\n"
      "diff --git \"a/\\303\\244\" \"b/\\303\\244\"\nindex 1..2 100644\n--- \"a/\\303\\244\"\n+++ "
      "\"b/\\303\\244\"\n"
      "@@ -1 +1 @@\n-a\n+b\n"
      "diff --git a/empty b/empty\nnew file mode 100644\nindex 0000000..e69de29\n");
  ASSERT_TRUE(files) << files.error().message;
  ASSERT_EQ(files->size(), 6u);
  using Action = FileDiff::Action;
  EXPECT_EQ((*files)[0].action, Action::kCreate);
  EXPECT_EQ((*files)[0].executable, true);
  EXPECT_EQ((*files)[1].action, Action::kDelete);
  EXPECT_EQ((*files)[1].old_path, "gone");
  EXPECT_EQ((*files)[2].action, Action::kRename);
  EXPECT_EQ((*files)[2].new_path, "new name");
  EXPECT_EQ((*files)[3].action, Action::kModify);
  EXPECT_EQ((*files)[3].old_path, "run");
  EXPECT_EQ((*files)[3].executable, true);
  EXPECT_EQ((*files)[4].new_path, "ä");
  EXPECT_EQ((*files)[5].action, Action::kCreate);
  EXPECT_EQ((*files)[5].new_path, "empty");
}

TEST(ParseDiff, RefusesWhatIsNoTextFile) {
  EXPECT_THAT(
      ErrorOf("diff --git a/l b/l\nnew file mode 120000\n--- /dev/null\n+++ b/l\n@@ -0,0 +1 @@\n+/etc\n"),
      HasSubstr("line 2 (l): symbolic links"));
  EXPECT_THAT(ErrorOf("diff --git a/l b/l\nindex 1..2 120000\n--- a/l\n+++ b/l\n@@ -1 +1 @@\n-a\n+b\n"),
              HasSubstr("symbolic links"));
  EXPECT_THAT(ErrorOf("diff --git a/s b/s\nnew file mode 160000\n"), HasSubstr("(s): submodules"));
  EXPECT_THAT(ErrorOf("diff --git a/fine b/fine\n--- a/fine\n+++ b/fine\n@@ -1 +1 @@\n-a\n+b\n"
                      "diff --git \"a/\\303\\244 b/x\" \"b/\\303\\244 b/x\"\nBinary files differ\n"),
              HasSubstr("(ä b/x): binary"));
  EXPECT_THAT(ErrorOf("diff --git a/b b/b\nindex 1..2 100644\nGIT binary patch\nliteral 1\n"),
              HasSubstr("binary"));
  EXPECT_THAT(ErrorOf("diff --git a/b b/b\nBinary files a/b and b/b differ\n"), HasSubstr("binary"));
  EXPECT_THAT(ErrorOf("diff --git a/b b/b\nold mode 104755\n"), HasSubstr("104755"));
  EXPECT_THAT(ErrorOf("diff --git a/b b/c\ncopy from b\ncopy to c\n"), HasSubstr("copies"));
}

TEST(ParseDiff, NamesTheLineOfWhatIsBroken) {
  EXPECT_THAT(ErrorOf(""), HasSubstr("names no file"));
  EXPECT_THAT(ErrorOf("--- /dev/null\n+++ b/\n@@ -0,0 +1 @@\n+y\n"), HasSubstr("has no name"));
  EXPECT_THAT(ErrorOf("hello\n"), HasSubstr("names no file"));
  EXPECT_THAT(ErrorOf("@@ -1 +1 @@\n-a\n+b\n"), HasSubstr("line 1"));
  EXPECT_THAT(ErrorOf("--- a/f\n@@ -1 +1 @@\n"), HasSubstr("line 2"));
  EXPECT_THAT(ErrorOf(std::string(kHead) + "@@ -1,3 +1,3 @@\n-a\n+b\n"), HasSubstr("ends in the middle"));
  EXPECT_THAT(ErrorOf(std::string(kHead) + "@@ -1 +1 @@\n-a\n+b\n+c\n"), HasSubstr("more lines than"));
  EXPECT_THAT(ErrorOf(std::string(kHead) + "@@ -1 +1 @@\n-a\n-b\n"), HasSubstr("do not add up"));
  EXPECT_THAT(ErrorOf(std::string(kHead) + "@@ -x +1 @@\n"), HasSubstr("hunk header"));
  EXPECT_THAT(ErrorOf(std::string(kHead) + "@@ -1 +1 @@\n*a\n"), HasSubstr("must start with"));
  EXPECT_THAT(ErrorOf("--- a/f\n+++ b/g\n@@ -1 +1 @@\n-a\n+b\n"), HasSubstr("differ"));
  EXPECT_THAT(ErrorOf("--- \"a/\\9\"\n+++ b/f\n"), HasSubstr("quoted name"));
  EXPECT_THAT(ErrorOf(std::string(kHead) + "@@ -1,99999999999999999999 +1 @@\n"), HasSubstr("hunk header"));
}

TEST(ApplyHunks, ReplacesAddsAndRemoves) {
  EXPECT_EQ(Applied("1\n2\n3\n4\n", std::string(kHead) + "@@ -1,4 +1,4 @@\n 1\n-2\n+two\n 3\n-4\n+four\n"),
            "1\ntwo\n3\nfour\n");
  EXPECT_EQ(Applied("1\n2\n", std::string(kHead) + "@@ -1,0 +2 @@\n+1.5\n"), "1\n1.5\n2\n");
  EXPECT_EQ(Applied("", std::string(kHead) + "@@ -0,0 +1,2 @@\n+a\n+b\n"), "a\nb\n");
  EXPECT_EQ(Applied("a\n\nb\n", std::string(kHead) + "@@ -1,3 +1,3 @@\n a\n\n-b\n+c\n"), "a\n\nc\n");
}

TEST(ApplyHunks, FindsAHunkThatHasDriftedToOnePlace) {
  EXPECT_EQ(Applied("x\nx\nx\n1\n2\n3\n", std::string(kHead) + "@@ -1,3 +1,3 @@\n 1\n-2\n+two\n 3\n"),
            "x\nx\nx\n1\ntwo\n3\n");
}

TEST(ApplyHunks, DoesNotGuessBetweenTwoPlaces) {
  EXPECT_THAT(Applied("x\na\ny\na\n", std::string(kHead) + "@@ -1 +1 @@\n-a\n+b\n"),
              HasSubstr("several places"));
  EXPECT_EQ(Applied("x\na\ny\na\n", std::string(kHead) + "@@ -4 +4 @@\n-a\n+b\n"), "x\na\ny\nb\n");
}

TEST(ApplyHunks, ShowsTheNearestLinesOfAMiss) {
  const auto text = Applied("int main() {\n  return compute(1);\n}\n",
                            std::string(kHead) + "@@ -2 +2 @@\n-  return compute(2);\n+  return 0;\n");
  EXPECT_THAT(text, HasSubstr("not in the file"));
  EXPECT_THAT(text, HasSubstr("2 |   return compute(1);"));
}

TEST(ApplyHunks, KeepsOrderOfHunks) {
  const std::string diff = std::string(kHead) + "@@ -3 +3 @@\n-c\n+C\n@@ -1 +1 @@\n-a\n+A\n";
  EXPECT_THAT(Applied("a\nb\nc\n", diff), HasSubstr("not in the file"))
      << "the second hunk stands before the first";
}

TEST(ApplyHunks, MindsTheEndOfTheFile) {
  const char* no_newline = "\\ No newline at end of file\n";
  EXPECT_EQ(
      Applied("a\nb", std::string(kHead) + "@@ -1,2 +1,2 @@\n a\n-b\n" + no_newline + "+c\n" + no_newline),
      "a\nc");
  EXPECT_EQ(Applied("a\nb", std::string(kHead) + "@@ -1,2 +1,2 @@\n a\n-b\n" + no_newline + "+b\n"),
            "a\nb\n");
  EXPECT_EQ(Applied("a\nb\n", std::string(kHead) + "@@ -1,2 +1,2 @@\n a\n-b\n+b\n" + no_newline), "a\nb");
  EXPECT_EQ(Applied("a\nb", std::string(kHead) + "@@ -1,2 +1,3 @@\n a\n b\n+c\n"), "a\nb\nc\n")
      << "mark left out";
  EXPECT_THAT(Applied("a\nb\n", std::string(kHead) + "@@ -2 +2 @@\n-b\n" + no_newline + "+c\n"),
              HasSubstr("not in the file"));
}

TEST(ApplyHunks, KeepsCrLf) {
  EXPECT_EQ(Applied("a\r\nb\r\n", std::string(kHead) + "@@ -1,2 +1,2 @@\n a\n-b\n+c\n"), "a\r\nc\r\n");
  EXPECT_EQ(Applied("a\r\nb\r\n", std::string(kHead) + "@@ -1,2 +1,2 @@\n a\r\n-b\r\n+c\r\n"), "a\r\nc\r\n");
  EXPECT_EQ(Applied("a\rx\r\nb\r\n", std::string(kHead) + "@@ -2 +2 @@\n-b\n+c\n"), "a\rx\r\nc\r\n");
}

}  // namespace
}  // namespace ybis::runner
