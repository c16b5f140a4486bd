#include "runner/git/program.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>

#include "tests/support/temp_dir.h"

namespace ybis::git {
namespace {

using testing::TempDir;

GitProgram Make(const TempDir& folder, bool allow_file = false) {
  Settings settings;
  settings.private_dir = folder.path() / "private";
  settings.allow_file = allow_file;
  return GitProgram::Create(settings).value();
}

TEST(GitProgram, InheritsNothingFromTheEnvironment) {
  ::setenv("GIT_DIR", "/tmp/evil", 1);
  ::setenv("GIT_SSH_COMMAND", "touch /tmp/evil", 1);
  const TempDir folder;
  const auto environment = Make(folder).Environment({});
  ::unsetenv("GIT_DIR");
  ::unsetenv("GIT_SSH_COMMAND");
  EXPECT_FALSE(environment.contains("GIT_DIR"));
  EXPECT_FALSE(environment.contains("GIT_SSH_COMMAND"));
  EXPECT_EQ(environment.at("GIT_CONFIG_NOSYSTEM"), "1");
  EXPECT_EQ(environment.at("GIT_CONFIG_GLOBAL"), "/dev/null");
  EXPECT_EQ(environment.at("GIT_TERMINAL_PROMPT"), "0");
  EXPECT_EQ(environment.at("HOME"), "/nonexistent");
  EXPECT_EQ(environment.at("GIT_ALLOW_PROTOCOL"), "https:ssh");
  EXPECT_EQ(Make(folder, true).Environment({}).at("GIT_ALLOW_PROTOCOL"), "https:ssh:file");
}

TEST(GitProgram, NamesBothFoldersBeforeTheSubcommand) {
  const TempDir folder;
  GitCall call;
  call.git_dir = "/v/repo.git";
  call.work_tree = "/v/tree";
  const auto argv = Make(folder).Preamble(call);
  for (const char* part : {"--git-dir=/v/repo.git", "--work-tree=/v/tree", "core.hooksPath=/dev/null",
                           "core.fsmonitor=false", "credential.helper=", "http.followRedirects=false"}) {
    EXPECT_NE(std::find(argv.begin(), argv.end(), part), argv.end()) << part;
  }
}

TEST(GitProgram, KeepsItsFolderFromOthers) {
  const TempDir folder;
  std::filesystem::create_directory(folder.path() / "private");
  ::chmod((folder.path() / "private").c_str(), 0755);
  Make(folder);
  struct stat info {};
  ASSERT_EQ(::stat((folder.path() / "private").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700U);
}

TEST(GitProgram, RemovesSecretsThatAKilledAttemptLeft) {
  const TempDir folder;
  const auto secret = folder.Write("private/secret-0123", "password");
  Make(folder);
  EXPECT_FALSE(std::filesystem::exists(secret));
}

TEST(GitProgram, RefusesAFolderThatSshWouldMisread) {
  Settings settings;
  for (const char* path : {"/tmp/a\nb", "/tmp/a\"b", "/tmp/a\\b", "/tmp/$(x)", "relative", ""}) {
    settings.private_dir = path;
    const auto program = GitProgram::Create(settings);
    ASSERT_FALSE(program) << path;
    EXPECT_EQ(program.error().code, ErrorCode::kInvalid);
  }
}

TEST(GitProgram, SaysWhenGitIsMissing) {
  const TempDir folder;
  Settings settings;
  settings.private_dir = folder.path() / "private";
  settings.git = "/nonexistent/git";
  EXPECT_EQ(GitProgram::Create(settings).error().code, ErrorCode::kUnsupported);
}

TEST(GitProgram, AKilledGitHasAnsweredNothing) {
  const TempDir folder;
  const auto killed = folder.Write("git", "#!/bin/sh\nkill -9 $$\n");
  ::chmod(killed.c_str(), 0755);
  Settings settings;
  settings.private_dir = folder.path() / "private";
  settings.git = killed;
  const GitProgram program = GitProgram::Create(settings).value();
  GitCall call;
  call.arguments = {"apply", "-"};
  const auto result = program.RunLocal(call, {});
  ASSERT_FALSE(result) << "an exit code would read as a patch that does not apply";
  EXPECT_EQ(result.error().code, ErrorCode::kInternal);
  EXPECT_TRUE(result.error().retryable);
  EXPECT_NE(result.error().message.find("git apply was killed by signal 9"), std::string::npos);
}

TEST(GitProgram, GivesGitsOwnWordsForAFailedCall) {
  const TempDir folder;
  GitCall call;
  call.git_dir = folder.path() / "absent";
  call.arguments = {"rev-parse", "HEAD"};
  const auto output = Make(folder).OutputOf(call, {});
  ASSERT_FALSE(output);
  EXPECT_NE(output.error().message.find("not a git repository"), std::string::npos) << output.error().message;
}

}  // namespace
}  // namespace ybis::git
