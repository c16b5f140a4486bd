// Pushing: once, again, against somebody else, and over an earlier run of our own.
#include "tests/integration/git/fixture.h"

namespace ybis::git {
namespace {

class Push : public GitTest {
 protected:
  void SetUp() override {
    server_->CreateRepository(Name(), {{"a", "1\n"}}).value();
    bare_.emplace(Open().value());
    tree_.emplace(Tree(*bare_));
    Write("a", "2\n");
    commit_ = tree_->Commit(SomeCommit(), {}).value();
  }
  std::string There(const std::string& branch) const {
    return server_->Git(Name(), {"rev-parse", "refs/heads/" + branch}).value_or("none");
  }

  std::optional<BareRepository> bare_;
  std::optional<Worktree> tree_;
  std::string commit_;
};

TEST_F(Push, MakesTheBranchAndRepeatingItIsNothing) {
  const auto first = tree_->Push(commit_, "ybis/app-1", std::nullopt, {});
  ASSERT_TRUE(first) << first.error().message;
  EXPECT_FALSE(first->already_there);
  EXPECT_EQ(There("ybis/app-1"), commit_);
  const auto second = tree_->Push(commit_, "ybis/app-1", std::nullopt, {});
  ASSERT_TRUE(second) << second.error().message;
  EXPECT_TRUE(second->already_there);
}

TEST_F(Push, LeavesSomebodyElsesBranchAlone) {
  const std::string theirs = server_->AddCommit(Name(), "taken", {{"b", "x"}}).value();
  for (const std::optional<std::string>& expected :
       {std::optional<std::string>(), std::optional(std::string(40, '2'))}) {
    const auto pushed = tree_->Push(commit_, "taken", expected, {});
    ASSERT_FALSE(pushed);
    EXPECT_EQ(pushed.error().code, ErrorCode::kConflict);
    EXPECT_FALSE(pushed.error().retryable);
    EXPECT_NE(pushed.error().message.find(theirs), std::string::npos) << pushed.error().message;
    EXPECT_EQ(There("taken"), theirs);
  }
}

TEST_F(Push, ReplacesTheCommitOfAnEarlierRunOfOurs) {
  ASSERT_TRUE(tree_->Push(commit_, "again", std::nullopt, {}));
  Write("a", "3\n");
  const std::string next = tree_->Commit(SomeCommit(), {}).value();
  const auto pushed = tree_->Push(next, "again", commit_, {});
  ASSERT_TRUE(pushed) << pushed.error().message;
  EXPECT_EQ(There("again"), next);
}

TEST_F(Push, SaysDeniedWhenAHookOfTheServerRefuses) {
  const auto hook = server_->RepositoryPath(Name()) / "hooks/pre-receive";
  std::filesystem::create_directories(hook.parent_path());
  {
    const testing::TempDir scratch;
    std::filesystem::copy_file(scratch.Write("hook", "#!/bin/sh\necho 'no branches today' >&2\nexit 1\n"),
                               hook);
  }
  std::filesystem::permissions(hook, std::filesystem::perms::owner_all | std::filesystem::perms::others_exec);
  const auto pushed = tree_->Push(commit_, "refused", std::nullopt, {});
  ASSERT_FALSE(pushed);
  EXPECT_EQ(pushed.error().code, ErrorCode::kDenied) << pushed.error().message;
  EXPECT_EQ(There("refused"), "none");
}

TEST_F(Push, RefusesBadNames) {
  for (const char* branch : {"", "-f", "a..b", "refs/heads/x", "HEAD"}) {
    EXPECT_EQ(tree_->Push(commit_, branch, std::nullopt, {}).error().code, ErrorCode::kInvalid) << branch;
  }
  EXPECT_EQ(tree_->Push("main", "x", std::nullopt, {}).error().code, ErrorCode::kInvalid);
}

TEST_F(Push, SaysUnavailableWhenTheServerIsGone) {
  testing::GitServer other;
  ASSERT_TRUE(other.Start());
  other.CreateRepository("app", {{"a", "1\n"}}).value();
  const testing::TempDir volume;
  OpenRequest request{
      .directory = volume.path() / "repo.git", .url = other.Url("app"), .ref = {}, .commit = {}};
  const auto credentials = GitCredentials::Load(other.HttpsSecret(), other.ca_file()).value();
  const auto bare = BareRepository::Open(Program(volume.path()), request, credentials, {});
  ASSERT_TRUE(bare) << bare.error().message;
  other.Stop();
  const auto pushed = bare->Push(bare->base_commit(), "x", std::nullopt, {});
  ASSERT_FALSE(pushed);
  EXPECT_EQ(pushed.error().code, ErrorCode::kUnavailable) << pushed.error().message;
  EXPECT_TRUE(pushed.error().retryable);
}

}  // namespace
}  // namespace ybis::git
