#include "runner/git/failure.h"

#include <gtest/gtest.h>

#include "base/log.h"

namespace ybis::git {
namespace {

constexpr const char* kUrl = "https://host/app.git";

Error Classify(std::string error_output, std::string output = {}) {
  ProcessResult result;
  result.exit_code = 128;
  result.error_output = std::move(error_output);
  result.output = std::move(output);
  return ClassifyGitFailure(result, {.verb = "fetch", .url = kUrl, .ref = "main", .anonymous = false});
}

struct Case {
  const char* says;
  ErrorCode code;
  bool retryable;
};

TEST(ClassifyGitFailure, KnowsWhatGitCurlAndSshSay) {
  const Case cases[] = {
      {"fatal: unable to access 'x': Could not resolve host: nowhere", ErrorCode::kUnavailable, true},
      {"ssh: Could not resolve hostname nowhere: Name or service not known\nfatal: Could not read from "
       "remote repository.",
       ErrorCode::kUnavailable, true},
      {"fatal: unable to access 'x': Failed to connect to 127.0.0.1 port 1: Connection refused",
       ErrorCode::kUnavailable, true},
      {"fatal: unable to access 'x': The requested URL returned error: 503", ErrorCode::kUnavailable, true},
      {"error: RPC failed; curl 56 Recv failure\nfatal: early EOF", ErrorCode::kUnavailable, true},
      {"fatal: Authentication failed for 'https://host/app.git/'", ErrorCode::kDenied, false},
      {"fatal: could not read Username for 'https://host': terminal prompts disabled", ErrorCode::kDenied,
       false},
      {"fatal: unable to access 'x': server certificate verification failed. CAfile: none CRLfile: none",
       ErrorCode::kDenied, false},
      {"Host key verification failed.\nfatal: Could not read from remote repository.", ErrorCode::kDenied,
       false},
      {"git@host: Permission denied (publickey).\nfatal: Could not read from remote repository.",
       ErrorCode::kDenied, false},
      {"fatal: repository 'https://host/app.git/' not found", ErrorCode::kNotFound, false},
      {"fatal: '/srv/x.git' does not appear to be a git repository\nfatal: Could not read from remote "
       "repository.",
       ErrorCode::kNotFound, false},
      {"fatal: couldn't find remote ref refs/heads/x", ErrorCode::kNotFound, false},
      {"fatal: remote error: upload-pack: not our ref 0123", ErrorCode::kNotFound, false},
      {"fatal: unable to access 'x': The requested URL returned error: 301", ErrorCode::kInvalid, false},
      {"fatal: write error: No space left on device", ErrorCode::kExhausted, false},
      {"fatal: mismatched algorithms: client sha1; server sha256", ErrorCode::kUnsupported, false},
      {"No user exists for uid 10001\nfatal: Could not read from remote repository.", ErrorCode::kUnsupported,
       false},
      {"fatal: something never seen", ErrorCode::kInternal, false},
  };
  for (const Case& c : cases) {
    const Error error = Classify(c.says);
    EXPECT_EQ(error.code, c.code) << c.says << " -> " << error.message;
    EXPECT_EQ(error.retryable, c.retryable) << c.says;
    EXPECT_NE(error.message.find(kUrl), std::string::npos);
    EXPECT_NE(error.message.find("ref main"), std::string::npos);
  }
}

TEST(ClassifyGitFailure, ReadsWhatAPushReportsOnStandardOutput) {
  EXPECT_EQ(Classify("error: failed to push some refs", "!\ta:b\t[rejected] (stale info)\n").code,
            ErrorCode::kConflict);
  EXPECT_EQ(
      Classify("error: failed to push some refs", "!\ta:b\t[remote rejected] (pre-receive hook declined)\n")
          .code,
      ErrorCode::kDenied);
}

TEST(ClassifyGitFailure, CallsADeadlineATimeout) {
  ProcessResult result;
  result.timed_out = true;
  result.elapsed = std::chrono::seconds(61);
  const Error error =
      ClassifyGitFailure(result, {.verb = "fetch", .url = kUrl, .ref = {}, .anonymous = true});
  EXPECT_EQ(error.code, ErrorCode::kTimeout);
  EXPECT_TRUE(error.retryable);
  EXPECT_NE(error.message.find("61 s"), std::string::npos);
}

TEST(TellingLine, PrefersTheCauseOverRemarks) {
  EXPECT_EQ(
      TellingLine("git@h: Permission denied (publickey).\nfatal: Could not read from remote repository.\n\n"
                  "Please make sure you have the correct access rights\nand the repository exists.\n"),
      "git@h: Permission denied (publickey).");
  EXPECT_EQ(TellingLine("warning: x\nfatal: this\nhint: that\n"), "fatal: this");
  EXPECT_EQ(TellingLine(""), "");
}

TEST(TellingLine, MasksSecretsAndControlCharacters) {
  log::RegisterSecret("s3cr3t-telling");
  EXPECT_EQ(TellingLine("fatal: \x1b[31ms3cr3t-telling\a"), "fatal:  [31m*** ");
  EXPECT_LE(TellingLine("fatal: " + std::string(5000, 'x')).size(), 300U);
}

}  // namespace
}  // namespace ybis::git
