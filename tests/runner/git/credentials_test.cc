#include "runner/git/credentials.h"

#include <gtest/gtest.h>

#include "base/log.h"
#include "tests/support/temp_dir.h"

namespace ybis::git {
namespace {

using testing::TempDir;

constexpr const char* kKey = "-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n-----END OPENSSH PRIVATE KEY-----";

RepositoryUrl Url(const char* text) { return ParseRepositoryUrl(text).value(); }

TEST(GitCredentials, IsAnonymousWithoutAFolder) {
  EXPECT_TRUE(GitCredentials::Load("")->anonymous());
  EXPECT_TRUE(GitCredentials::Load("/nonexistent/secret")->anonymous());
}

TEST(GitCredentials, ReadsAPasswordAndMasksIt) {
  const TempDir folder;
  folder.Write("username", "bob");
  folder.Write("password", "tr0ub4dor-xyz\n");
  const auto credentials = GitCredentials::Load(folder.path());
  ASSERT_TRUE(credentials) << credentials.error().message;
  EXPECT_EQ(credentials->username, "bob");
  EXPECT_EQ(credentials->password, "tr0ub4dor-xyz");
  EXPECT_EQ(log::Redact("it is tr0ub4dor-xyz!"), "it is ***!");
}

TEST(GitCredentials, ReadsATokenWithOrWithoutAUser) {
  const TempDir folder;
  folder.Write("token", "token-12345");
  EXPECT_EQ(GitCredentials::Load(folder.path())->username, "x-access-token");
  folder.Write("username", "oauth2");
  EXPECT_EQ(GitCredentials::Load(folder.path())->username, "oauth2");
}

TEST(GitCredentials, ReadsKeysThroughTheLinksOfAMountedSecret) {
  const TempDir folder;
  folder.Write("..2026/token", "token-67890");
  std::filesystem::create_directory_symlink("..2026", folder.path() / "..data");
  std::filesystem::create_symlink("..data/token", folder.path() / "token");
  EXPECT_EQ(GitCredentials::Load(folder.path())->password, "token-67890");
}

TEST(GitCredentials, NamesTheKeyThatIsWrong) {
  const auto error = [](std::initializer_list<std::pair<const char*, std::string>> keys) {
    const TempDir folder;
    for (const auto& [key, value] : keys) folder.Write(key, value);
    const auto credentials = GitCredentials::Load(folder.path());
    return credentials ? std::string("fine") : credentials.error().message;
  };
  EXPECT_NE(error({{"password", "secret"}}).find("without username"), std::string::npos);
  EXPECT_NE(error({{"username", "bob"}}).find("without password"), std::string::npos);
  EXPECT_NE(error({{"other", "x"}}).find("none of the keys"), std::string::npos);
  EXPECT_NE(error({{"username", "a"}, {"password", "secret"}, {"token", "t"}}).find("keep one"),
            std::string::npos);
  EXPECT_NE(error({{"username", "a\nb"}, {"password", "secret"}}).find("key username"), std::string::npos);
  EXPECT_NE(error({{"ssh-privatekey", "not a key"}}).find("ssh-privatekey"), std::string::npos);
}

TEST(GitCredentials, ReadsACaBundleFromAFileOrAFolder) {
  const TempDir folder;
  const std::string pem = "-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----\n";
  const auto file = folder.Write("ca.crt", pem);
  EXPECT_EQ(GitCredentials::Load("", file)->ca_bundle, pem);
  EXPECT_EQ(GitCredentials::Load("", folder.path())->ca_bundle, pem);
  folder.Write("ca.crt", "nonsense");
  EXPECT_FALSE(GitCredentials::Load("", folder.path()));
  EXPECT_FALSE(GitCredentials::Load("", "/nonexistent"));
}

TEST(GitCredentials, SaysWhatAUrlNeeds) {
  GitCredentials none;
  EXPECT_TRUE(none.CheckFor(Url("https://host/a")));
  EXPECT_EQ(none.CheckFor(Url("ssh://git@host/a")).error().code, ErrorCode::kDenied);
  GitCredentials ssh{.ssh_key = kKey};
  EXPECT_NE(ssh.CheckFor(Url("git@host:a")).error().message.find("known_hosts"), std::string::npos);
  EXPECT_FALSE(ssh.CheckFor(Url("https://host/a")));
  ssh.known_hosts = "host ssh-ed25519 AAAA";
  EXPECT_TRUE(ssh.CheckFor(Url("git@host:a")));
}

}  // namespace
}  // namespace ybis::git
