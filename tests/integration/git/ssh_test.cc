// The same over ssh, against a real sshd.
#include "base/file.h"
#include "tests/integration/git/fixture.h"

namespace ybis::git {
namespace {

class OpenOverSsh : public GitTest {
 protected:
  static void SetUpTestSuite() {
    server_ = std::make_unique<testing::GitServer>();
    const Status started = server_->StartSsh();
    ASSERT_TRUE(started) << started.error().message;
  }
  OpenRequest SshRequest() const {
    OpenRequest request = Request();
    request.url = server_->SshUrl(Name());
    return request;
  }
  static GitCredentials Key() { return GitCredentials::Load(server_->SshSecret()).value(); }
};

TEST_F(OpenOverSsh, FetchesAndPushesWithKeyAndKnownHosts) {
  const std::string commit = server_->CreateRepository(Name(), {{"a", "1"}}).value();
  const auto bare = BareRepository::Open(program_, SshRequest(), Key(), {});
  ASSERT_TRUE(bare) << bare.error().message;
  EXPECT_EQ(bare->base_commit(), commit);
  const auto pushed = bare->Push(commit, "ybis/one", std::nullopt, {});
  ASSERT_TRUE(pushed) << pushed.error().message;
  EXPECT_EQ(server_->Git(Name(), {"rev-parse", "refs/heads/ybis/one"}).value(), commit);
  EXPECT_TRUE(std::filesystem::is_empty(volume_.path() / "private"));
}

TEST_F(OpenOverSsh, WorksFromAFolderOfAnyName) {
  const std::string commit = server_->CreateRepository(Name(), {{"a", "1"}}).value();
  const std::filesystem::path odd = volume_.path() / "Zoë's 100%h @home; `x`";
  std::filesystem::create_directories(odd);
  const GitProgram program = Program(odd);
  OpenRequest request = SshRequest();
  request.directory = odd / "repo.git";
  const auto bare = BareRepository::Open(program, request, Key(), {});
  ASSERT_TRUE(bare) << bare.error().message;
  EXPECT_EQ(bare->base_commit(), commit);
}

TEST_F(OpenOverSsh, RefusesAnUnknownOrChangedHostKey) {
  server_->CreateRepository(Name(), {{"a", "1"}}).value();
  GitCredentials wrong = Key();
  const size_t port = wrong.known_hosts.find("]:") + 2;
  const std::string host = wrong.known_hosts.substr(0, wrong.known_hosts.find(' ', port));
  const std::string other = ReadFile(server_->SshSecret().parent_path() / "other_key.pub").value();
  for (const std::string& known :
       {std::string("example.com ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ\n"), host + " " + other}) {
    wrong.known_hosts = known;
    const auto bare = BareRepository::Open(program_, SshRequest(), wrong, {});
    ASSERT_FALSE(bare);
    EXPECT_EQ(bare.error().code, ErrorCode::kDenied);
    EXPECT_NE(bare.error().message.find("known_hosts"), std::string::npos) << bare.error().message;
  }
}

TEST_F(OpenOverSsh, SaysDeniedForAnUnknownKey) {
  server_->CreateRepository(Name(), {{"a", "1"}}).value();
  GitCredentials wrong = Key();
  wrong.ssh_key = ReadFile(server_->SshSecret().parent_path() / "other_key").value();
  const auto bare = BareRepository::Open(program_, SshRequest(), wrong, {});
  ASSERT_FALSE(bare);
  EXPECT_EQ(bare.error().code, ErrorCode::kDenied);
  EXPECT_NE(bare.error().message.find("credentialsSecretRef"), std::string::npos) << bare.error().message;
}

TEST_F(OpenOverSsh, SaysNotFoundForAnUnknownRepository) {
  const auto bare = BareRepository::Open(program_, SshRequest(), Key(), {});
  ASSERT_FALSE(bare);
  EXPECT_EQ(bare.error().code, ErrorCode::kNotFound) << bare.error().message;
}

TEST_F(OpenOverSsh, SaysUnavailableWhenNothingListens) {
  OpenRequest request = SshRequest();
  request.url = "ssh://git@127.0.0.1:1/a.git";
  const auto bare = BareRepository::Open(program_, request, Key(), {});
  ASSERT_FALSE(bare);
  EXPECT_EQ(bare.error().code, ErrorCode::kUnavailable) << bare.error().message;
}

}  // namespace
}  // namespace ybis::git
