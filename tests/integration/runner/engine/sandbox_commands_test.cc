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
                         .repository = repository_,
                         .timeout = std::chrono::seconds(20)},
                        {});
  }
  testing::TempDir folder_;
  std::filesystem::path repository_;
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

TEST_F(SandboxCommandsTest, LetsGitReadARepositoryWhoseFilesShowAnotherOwner) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to give files away";
  const std::string folder = folder_.path().string();
  ASSERT_EQ(
      std::system(fmt::format("cd {0} && git init -q --bare repo.git && "
                              "echo 'gitdir: {0}/repo.git' > tree/.git && chown -R 12345 tree/.git repo.git",
                              folder)
                      .c_str()),
      0);
  const auto unseen = Run({"git", "rev-parse", "--git-dir"});
  ASSERT_TRUE(unseen) << unseen.error().message;
  EXPECT_NE(unseen->exit_code, 0) << "a request that names no repository opens none";
  repository_ = folder_.path() / "repo.git";
  const auto seen = Run({"git", "rev-parse", "--git-dir"});
  ASSERT_TRUE(seen) << seen.error().message;
  EXPECT_EQ(seen->output, folder + "/repo.git\n");
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

/// What every file below a folder holds, by path; folders and links by their kind.
std::map<std::string, std::string> Contents(const std::filesystem::path& folder) {
  std::map<std::string, std::string> out;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    out[entry.path()] = entry.is_regular_file() ? ReadFile(entry.path()).value_or("unreadable") : "no file";
  }
  return out;
}

TEST_F(SandboxedRun, ShowsGitTheRepositoryAndKeepsItAsItIs) {
  const auto support = ProbeSandbox();
  if (!support || !support->missing.empty()) GTEST_SKIP() << "no full sandbox on this machine";
  const std::string base = server_.Branch("main");
  core_.order.spec.verification.commands = {
      {"sh", "-c", "test \"$(git log -1 --format=%H)\" = " + base},
      {"sh", "-c", "test \"$(git status --porcelain)\" = 'A  hello.py'"},
      {"git", "diff", "--check", "HEAD"},
      {"git", "describe", "--always", "--dirty"}};
  for (const char* write :
       {"git update-ref refs/heads/mine HEAD", "git config core.hooksPath /tmp", "git commit -q -m x",
        "git stash", "echo x > new && git add new", "git branch mine", "git hash-object -w hello.py.2",
        "touch \"$(git rev-parse --git-common-dir)/hooks\"",
        "ln \"$(git rev-parse --git-common-dir)/config\" x", "rm -f \"$(git rev-parse --git-dir)/HEAD\""}) {
    core_.order.spec.verification.commands.push_back(
        {"sh", "-c", fmt::format("echo y > hello.py.2; ! ({})", write)});
  }
  edits_ = {WriteEdit("hello.py", "print('hello')\n")};
  /// Keeps what the repository held before the first command and after the last.
  struct Watched final : CommandRunner {
    SandboxCommands commands{{}};
    std::map<std::string, std::string> before, after;
    Result<CommandResult> Run(const CommandRequest& request, std::stop_token stop) override {
      if (before.empty()) before = Contents(request.repository);
      auto result = commands.Run(request, stop);
      after = Contents(request.repository);
      return result;
    }
    bool IsInstalled(const std::string& program) const override { return commands.IsInstalled(program); }
  } commands;
  Engine engine({.run_id = core_.order.run_id, .workspace = {.directory = volume_->path()}}, core_, commands,
                SystemClock());
  EXPECT_EQ(engine.Run({}), ExitCode::kDone);
  ASSERT_TRUE(core_.finish);
  EXPECT_EQ(core_.finish->outcome, "Completed")
      << (core_.finish->failure ? core_.finish->failure->message : "");
  EXPECT_EQ(core_.finish->verification->failed, 0) << core_.artifacts["verifier.json"];
  EXPECT_EQ(commands.before, commands.after);
  EXPECT_FALSE(commands.before.empty());
  for (const auto& [path, content] : commands.before) {
    EXPECT_EQ(content.find(server_.url().substr(7)), std::string::npos) << path << " names the server";
  }
}

}  // namespace
}  // namespace ybis::runner
