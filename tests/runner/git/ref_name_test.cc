#include "runner/git/ref_name.h"

#include <gtest/gtest.h>

namespace ybis::git {
namespace {

TEST(CheckRef, TakesBranchesTagsAndCommits) {
  for (const char* ref : {"", "HEAD", "main", "feature/a-b", "v1.2.3", "refs/heads/main", "a@b", "ünïcode",
                          "0123456789012345678901234567890123456789"}) {
    EXPECT_TRUE(CheckRef(ref)) << ref;
  }
}

TEST(CheckRef, RefusesWhatGitRefuses) {
  for (const char* ref : {"-x",     "--upload-pack=x",
                          "a..b",   "a b",
                          "a\tb",   "a\nb",
                          "a~1",    "a^",
                          "a:b",    "a?",
                          "a*",     "a[b",
                          "a\\b",   "a@{1}",
                          "@",      "/a",
                          "a/",     "a//b",
                          ".a",     "a/.b",
                          "a.lock", "a.lock/b",
                          "a.",     "a\x7f"}) {
    const auto status = CheckRef(ref);
    ASSERT_FALSE(status) << ref;
    EXPECT_EQ(status.error().code, ErrorCode::kInvalid);
  }
  EXPECT_FALSE(CheckRef(std::string(300, 'a')));
}

TEST(CheckBranchName, RefusesNamesThatMeanSomethingElse) {
  EXPECT_TRUE(CheckBranchName("task-7-run-1"));
  EXPECT_TRUE(CheckBranchName("ybis/fix-1"));
  EXPECT_FALSE(CheckBranchName(""));
  EXPECT_FALSE(CheckBranchName("HEAD"));
  EXPECT_FALSE(CheckBranchName("refs/heads/a"));
  EXPECT_FALSE(CheckBranchName("0123456789012345678901234567890123456789"));
}

TEST(IsFullSha, WantsFortyLowerCaseDigits) {
  EXPECT_TRUE(IsFullSha("0123456789abcdef0123456789abcdef01234567"));
  EXPECT_FALSE(IsFullSha("0123456789ABCDEF0123456789abcdef01234567"));
  EXPECT_FALSE(IsFullSha("0123456"));
}

}  // namespace
}  // namespace ybis::git
