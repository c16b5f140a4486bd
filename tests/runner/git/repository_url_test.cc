#include "runner/git/repository_url.h"

#include <gtest/gtest.h>

namespace ybis::git {
namespace {

TEST(ParseRepositoryUrl, TakesHttpsAndSsh) {
  const auto https = ParseRepositoryUrl("https://Git.Example.com:8443/team/app.git");
  ASSERT_TRUE(https) << https.error().message;
  EXPECT_EQ(https->transport, Transport::kHttps);
  EXPECT_EQ(https->host, "git.example.com");
  EXPECT_EQ(https->port, 8443);
  EXPECT_EQ(https->Origin(), "https://git.example.com:8443");
  const auto ssh = ParseRepositoryUrl("ssh://git@host:2222/app.git");
  ASSERT_TRUE(ssh);
  EXPECT_EQ(ssh->user, "git");
  EXPECT_EQ(ssh->Display(), "ssh://host:2222/app.git");
  EXPECT_EQ(ssh->Origin(), "");
  const auto scp = ParseRepositoryUrl("git@github.com:team/app.git");
  ASSERT_TRUE(scp);
  EXPECT_EQ(scp->transport, Transport::kSsh);
  EXPECT_EQ(scp->host, "github.com");
  EXPECT_EQ(scp->path, "team/app.git");
  EXPECT_EQ(scp->Display(), "github.com:team/app.git");
  const auto v6 = ParseRepositoryUrl("https://[::1]:99/a");
  ASSERT_TRUE(v6);
  EXPECT_EQ(v6->Origin(), "https://[::1]:99");
}

TEST(ParseRepositoryUrl, LeavesTheUserOutOfMessages) {
  const auto url = ParseRepositoryUrl("https://bob@example.com/a.git");
  ASSERT_TRUE(url);
  EXPECT_EQ(url->user, "bob");
  EXPECT_EQ(url->Display(), "https://example.com/a.git");
}

TEST(ParseRepositoryUrl, RefusesWhatGitWouldRunOrMisread) {
  for (const char* text : {"",
                           "-uevil",
                           "--upload-pack=touch /tmp/x",
                           "ext::sh -c id",
                           "ext::sh",
                           "git://host/a",
                           "ftp://host/a",
                           "http://example.com/a",
                           "file:///srv/a",
                           "/srv/a",
                           "./a",
                           "a/b",
                           "fd::17",
                           "https://host",
                           "https://host/",
                           "https:///a",
                           "https://-h/a",
                           "https://ho st/a",
                           "https://host/a\nb",
                           "https://host/a\x7f",
                           "https://host:0/a",
                           "https://host:99999/a",
                           "https://host:x/a",
                           "https://host/a%0ab",
                           "https://host/a%zz",
                           "https://host/a?b=c",
                           "https://host/a#b",
                           "https://host\\evil/a",
                           "ssh://-oProxyCommand=x/a",
                           "-oProxyCommand=x@host:a",
                           "git@-h:a",
                           "git@host:",
                           "git@host:-a",
                           "git@host::a",
                           "https://[zz]/a",
                           "https://[::1]x/a"}) {
    const auto url = ParseRepositoryUrl(text);
    ASSERT_FALSE(url) << text;
    EXPECT_EQ(url.error().code, ErrorCode::kInvalid) << text;
    EXPECT_FALSE(url.error().retryable);
  }
}

TEST(ParseRepositoryUrl, RefusesAPasswordAndDoesNotRepeatIt) {
  const auto url = ParseRepositoryUrl("https://bob:hunter2@example.com/a.git");
  ASSERT_FALSE(url);
  EXPECT_NE(url.error().message.find("credentialsSecretRef"), std::string::npos);
  EXPECT_EQ(url.error().message.find("hunter2"), std::string::npos);
}

TEST(ParseRepositoryUrl, TakesFilesInLocalModeOnly) {
  const auto path = ParseRepositoryUrl("/srv/my-app", {.allow_file = true});
  ASSERT_TRUE(path);
  EXPECT_EQ(path->transport, Transport::kFile);
  EXPECT_EQ(ParseRepositoryUrl("file:///srv/app", {.allow_file = true})->path, "/srv/app");
  EXPECT_FALSE(ParseRepositoryUrl("file://host/app", {.allow_file = true}));
}

TEST(ParseRepositoryUrl, TakesPlainHttpToLoopbackOnly) {
  EXPECT_TRUE(ParseRepositoryUrl("http://127.0.0.1:80/a", {.allow_insecure_http = true}));
  EXPECT_FALSE(ParseRepositoryUrl("http://example.com/a", {.allow_insecure_http = true}));
  EXPECT_FALSE(ParseRepositoryUrl("http://127.0.0.1.evil.example/a", {.allow_insecure_http = true}));
  EXPECT_FALSE(ParseRepositoryUrl("http://127.0.0.1/a"));
}

}  // namespace
}  // namespace ybis::git
