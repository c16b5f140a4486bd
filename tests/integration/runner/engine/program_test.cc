// The program as it is started: flags, exit codes, signals.
#include <gtest/gtest.h>

#include <chrono>

#include "base/process.h"
#include "tests/support/temp_dir.h"

namespace ybis::runner {
namespace {

Result<ProcessResult> Runner(std::vector<std::string> arguments,
                             std::map<std::string, std::string> env = {}) {
  ProcessSpec spec;
  spec.argv = {YBIS_RUNNER_PROGRAM};
  spec.argv.insert(spec.argv.end(), arguments.begin(), arguments.end());
  spec.env = std::move(env);
  spec.timeout = std::chrono::seconds(30);
  return RunProcess(spec, {});
}

TEST(RunnerProgram, TellsItsVersionAndHelp) {
  const auto version = Runner({"--version"});
  ASSERT_TRUE(version) << version.error().message;
  EXPECT_EQ(version->exit_code, 0);
  EXPECT_NE(version->output.find("ybis-runner "), std::string::npos);
  const auto help = Runner({"--help"});
  ASSERT_TRUE(help);
  EXPECT_EQ(help->exit_code, 0);
  EXPECT_NE(help->output.find("Exit codes:"), std::string::npos);
  EXPECT_NE(help->output.find("Example:"), std::string::npos);
}

TEST(RunnerProgram, RefusesMissingAndSenselessFlags) {
  EXPECT_EQ(Runner({})->exit_code, 64);
  EXPECT_EQ(Runner({"--nonsense"})->exit_code, 64);
  const auto path = Runner({"--run-id", "../x", "--api-url", "https://localhost:1", "--token-file", "/t",
                            "--workspace", "/tmp/x"});
  EXPECT_EQ(path->exit_code, 64);
  EXPECT_NE(path->error_output.find("--run-id"), std::string::npos);
  const auto plain = Runner({}, {{"YBIS_RUN_ID", "a-1"},
                                 {"YBIS_API_URL", "http://core.example:80"},
                                 {"YBIS_TOKEN_FILE", "/t"},
                                 {"YBIS_WORKSPACE", "/tmp/x"}});
  EXPECT_EQ(plain->exit_code, 64);
  EXPECT_NE(plain->error_output.find("https"), std::string::npos);
}

TEST(RunnerProgram, AnswersSigtermWhileTheCoreIsAway) {
  const testing::TempDir folder;
  const auto token = folder.Write("token", "some-token");
  ProcessSpec spec;
  spec.argv = {"/usr/bin/timeout",
               "--preserve-status",
               "-s",
               "TERM",
               "1",
               YBIS_RUNNER_PROGRAM,
               "--run-id",
               "a-1",
               "--api-url",
               "https://127.0.0.1:1",
               "--token-file",
               token.string(),
               "--workspace",
               (folder.path() / "ws").string()};
  const auto result = RunProcess(spec, {});
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(result->exit_code, 143) << result->error_output;
  EXPECT_LT(result->elapsed, std::chrono::seconds(5));
}

}  // namespace
}  // namespace ybis::runner
