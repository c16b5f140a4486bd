#pragma once
// What the git tests share: one server a suite, a volume a test.
#include <gtest/gtest.h>

#include "runner/git/bare_repository.h"
#include "runner/git/worktree.h"
#include "tests/support/git_server.h"
#include "tests/support/temp_dir.h"

namespace ybis::git {

class GitTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    server_ = std::make_unique<testing::GitServer>();
    const Status started = server_->Start();
    ASSERT_TRUE(started) << started.error().message;
  }
  static void TearDownTestSuite() { server_.reset(); }

  /// A repository name of this test alone.
  static std::string Name() { return ::testing::UnitTest::GetInstance()->current_test_info()->name(); }

  static GitProgram Program(const std::filesystem::path& volume, bool allow_file = false) {
    Settings settings;
    settings.private_dir = volume / "private";
    settings.allow_file = allow_file;
    return GitProgram::Create(settings).value();
  }
  static GitCredentials Right() {
    return GitCredentials::Load(server_->HttpsSecret(), server_->ca_file()).value();
  }
  OpenRequest Request(const std::string& ref = {}) const {
    return {.directory = volume_.path() / "repo.git", .url = server_->Url(Name()), .ref = ref, .commit = {}};
  }
  Result<BareRepository> Open(const std::string& ref = {}) const {
    return BareRepository::Open(program_, Request(ref), Right(), {});
  }
  /// Fails the test when it does not come about.
  Worktree Tree(const BareRepository& bare, const std::string& branch = "task-1-run-1") const {
    auto tree = Worktree::Create(bare, branch, volume_.path() / "tree", {});
    if (!tree) ADD_FAILURE() << tree.error().message;
    return std::move(tree).value();
  }
  std::filesystem::path Write(const std::string& name, const std::string& bytes) const {
    return volume_.Write("tree/" + name, bytes);
  }

  static inline std::unique_ptr<testing::GitServer> server_;
  testing::TempDir volume_;
  GitProgram program_ = Program(volume_.path());
};

inline CommitRequest SomeCommit(const std::string& message = "Change it") {
  const Signature person{
      .name = "YBIS", .email = "ybis@example.com", .time = TimePoint(std::chrono::seconds(1'800'000'000))};
  return {.message = message, .author = person, .committer = person};
}

}  // namespace ybis::git
