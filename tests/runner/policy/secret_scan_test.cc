#include "runner/policy/secret_scan.h"

#include <gtest/gtest.h>

namespace ybis::runner {
namespace {

// Assembled at run time, so that no scanner of this repository takes them for real.
std::string Join(std::initializer_list<std::string_view> parts) {
  std::string out;
  for (const auto part : parts) out += part;
  return out;
}

TEST(SecretRuleOf, FindsKnownShapes) {
  EXPECT_EQ(SecretRuleOf(Join({"-----BEGIN RSA ", "PRIVATE KEY-----"})), "private-key");
  EXPECT_EQ(SecretRuleOf(Join({"-----BEGIN ", "PRIVATE KEY-----"})), "private-key");
  EXPECT_EQ(SecretRuleOf(Join({"id = AKIA", "Q3EGRZ7KLMN2PVWX"})), "aws-access-key");
  EXPECT_EQ(SecretRuleOf(Join({"token: ghp_", "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"})), "github-token");
  EXPECT_EQ(SecretRuleOf(Join({"glpat-", "a1B2c3D4e5F6g7H8i9J0"})), "gitlab-token");
  EXPECT_EQ(SecretRuleOf(Join({"postgres://app:", "s3cretpw", "@db.example.org/x"})), "url-password");
}

TEST(SecretRuleOf, FindsRandomAssignments) {
  EXPECT_EQ(SecretRuleOf(Join({"api_key = \"", "q8Zx3LmP0vTr7YwKd2Nb", "\""})), "random-assignment");
  EXPECT_EQ(SecretRuleOf(Join({"\"clientSecret\": '", "Hk29fjQp0Zmx81Lwv7", "'"})), "random-assignment");
}

TEST(SecretRuleOf, LeavesOrdinaryLinesAlone) {
  for (const char* line : {"password = os.environ['DATABASE_PASSWORD']", "token = \"your-token-goes-here\"",
                           "secret: \"${VAULT_SECRET_PATH_VALUE}\"", "api_key = \"aaaaaaaaaaaaaaaaaaaaaaaa\"",
                           "https://example.org/path", "def test_token_is_refused(): pass",
                           "sha = \"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"",
                           "-----BEGIN PUBLIC KEY-----", "-----BEGIN CERTIFICATE-----"}) {
    EXPECT_EQ(SecretRuleOf(line), "") << line;
  }
}

TEST(FindSecrets, TellsFileAndLineButNeverTheSecret) {
  const std::string secret = Join({"ghp_", "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"});
  const std::string patch =
      "diff --git a/x.py b/x.py\n--- a/x.py\n+++ b/x.py\n@@ -1,2 +1,3 @@\n one\n+t = '" + secret +
      "'\n two\n";
  const auto findings = FindSecrets(AddedLines(patch));
  ASSERT_EQ(findings.size(), 1U);
  EXPECT_EQ(findings[0].Text(), "github-token in x.py:2");
  EXPECT_EQ(findings[0].Text().find(secret), std::string::npos);
}

TEST(FindSecrets, IgnoresRemovedAndContextLines) {
  const std::string secret = Join({"ghp_", "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"});
  const std::string patch = "--- a/x\n+++ b/x\n@@ -1,2 +1,1 @@\n-" + secret + "\n " + secret + "\n";
  EXPECT_TRUE(FindSecrets(AddedLines(patch)).empty());
}

TEST(Entropy, IsZeroForOneLetterAndEightForAllBytes) {
  EXPECT_DOUBLE_EQ(Entropy("aaaa"), 0);
  EXPECT_DOUBLE_EQ(Entropy("ab"), 1);
  std::string all;
  for (int i = 0; i < 256; ++i) all += static_cast<char>(i);
  EXPECT_DOUBLE_EQ(Entropy(all), 8);
}

TEST(AddedLines, CountsHunksSoThatContentCannotPoseAsAHeader) {
  const std::string patch =
      "--- a/x\n+++ b/x\n@@ -1 +1,3 @@\n a\n+++ b/evil\n+@@ -1 +1 @@\n--- a/y\n+++ b/y\n@@ -0,0 +5 "
      "@@\n+last\n";
  const auto lines = AddedLines(patch);
  ASSERT_EQ(lines.size(), 3U);
  EXPECT_EQ(lines[0].path, "x");
  EXPECT_EQ(lines[0].text, "++ b/evil");
  EXPECT_EQ(lines[0].line, 2);
  EXPECT_EQ(lines[2].path, "y");
  EXPECT_EQ(lines[2].line, 5);
}

TEST(AddedLines, ReadsQuotedNames) {
  const auto lines = AddedLines("--- /dev/null\n+++ \"b/\\303\\244 \\\"q\\\".txt\"\n@@ -0,0 +1 @@\n+x\n");
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_EQ(lines[0].path, "\xc3\xa4 \"q\".txt");
}

}  // namespace
}  // namespace ybis::runner
