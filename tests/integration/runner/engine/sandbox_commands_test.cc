// Commands of a task in the real sandbox of this machine.
#include "runner/nodes/sandbox_commands.h"

#include "base/file.h"
#include "runner/sandbox/sandbox.h"
#include "tests/runner/engine/engine_fixture.h"

namespace ybis::runner {
namespace {

class SandboxCommandsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto support = ProbeSandbox();
    ASSERT_TRUE(support) << support.error().message;
    if (!support->missing.empty()) GTEST_SKIP() << "this machine lacks: " << support->missing.front();
    std::filesystem::create_directories(folder_.path() / "tree");
    std::filesystem::create_directories(folder_.path() / "tmp");
    folder_.Write("secret/token", "top secret");
  }
  Result<CommandResult> Run(std::vector<std::string> argv) {
    SandboxCommands commands({folder_.path() / "secret"});
    return commands.Run({.argv = std::move(argv),
                         .worktree = folder_.path() / "tree",
                         .scratch = folder_.path() / "tmp",
                         .timeout = std::chrono::seconds(20)},
                        {});
  }
  testing::TempDir folder_;
};

TEST_F(SandboxCommandsTest, RunsInTheWorktreeAndJoinsOutput) {
  const auto result = Run({"sh", "-c", "echo out; echo err >&2; echo x > made; exit 3"});
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(result->exit_code, 3);
  EXPECT_EQ(result->output, "out\nerr\n");
  EXPECT_TRUE(std::filesystem::exists(folder_.path() / "tree" / "made"));
}

TEST_F(SandboxCommandsTest, KeepsSecretsAndTheOutsideAway) {
  const auto read = Run({"cat", (folder_.path() / "secret" / "token").string()});
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_NE(read->exit_code, 0);
  EXPECT_EQ(read->output.find("top secret"), std::string::npos);
  const auto write = Run({"sh", "-c", "echo x > " + (folder_.path() / "outside").string()});
  ASSERT_TRUE(write);
  EXPECT_NE(write->exit_code, 0);
  EXPECT_FALSE(std::filesystem::exists(folder_.path() / "outside"));
}

TEST_F(SandboxCommandsTest, SaysThatAProgramIsNotInstalled) {
  const auto result = Run({"no-such-program-here"});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kNotFound) << result.error().message;
}

/// The whole run with real checks: make runs in the sandbox, fails, and passes after the repair.
class SandboxedRun : public EngineTest {};

TEST_F(SandboxedRun, VerifiesWithRealCommands) {
  const auto support = ProbeSandbox();
  if (!support || !support->missing.empty()) GTEST_SKIP() << "no full sandbox on this machine";
  core_.order.spec.verification.commands = {{"python3", "-c", "exec(open('hello.py').read())"},
                                            {"grep", "-q", "hello", "hello.py"}};
  edits_ = {WriteEdit("hello.py", "print('wrong'\n"), WriteEdit("hello.py", "print('hello')\n")};
  SandboxCommands commands({});
  Engine engine({.run_id = core_.order.run_id, .workspace = {.directory = volume_->path()}}, core_, commands,
                SystemClock());
  EXPECT_EQ(engine.Run({}), ExitCode::kDone);
  ASSERT_TRUE(core_.finish);
  EXPECT_EQ(core_.finish->outcome, "Completed")
      << (core_.finish->failure ? core_.finish->failure->message : "");
  EXPECT_EQ(core_.finish->verification->passed, 2);
  EXPECT_NE(core_.model_requests.back().messages[1].content.find("SyntaxError"), std::string::npos);
}

}  // namespace
}  // namespace ybis::runner
