#pragma once
// A run on a real repository with a fake core, a scripted model and scripted commands.
#include <gtest/gtest.h>

#include <deque>

#include "base/file.h"
#include "runner/engine/engine.h"
#include "tests/runner/engine/disk_server.h"
#include "tests/runner/engine/fake_core.h"
#include "tests/support/temp_dir.h"

namespace ybis::runner {

/// Commands that a function stands for.
class FakeCommands final : public CommandRunner {
 public:
  std::function<Result<CommandResult>(const CommandRequest&, std::stop_token)> run = [](const CommandRequest&,
                                                                                        std::stop_token) {
    return CommandResult{.exit_code = 0, .output = "fine\n"};
  };
  int runs = 0;

  Result<CommandResult> Run(const CommandRequest& request, std::stop_token stop) override {
    ++runs;
    return run(request, stop);
  }
  bool IsInstalled(const std::string& program) const override { return !program.starts_with("missing-"); }
};

/// Passes when the file holds the text.
inline auto PassesWhen(const std::string& file, const std::string& text) {
  return [=](const CommandRequest& request, std::stop_token) -> Result<CommandResult> {
    const auto bytes = ReadFile(request.worktree / file);
    const bool good = bytes && bytes->find(text) != std::string::npos;
    return CommandResult{.exit_code = good ? 0 : 1,
                         .output = good ? "1 passed\n" : "1 failed: no " + text + "\n"};
  };
}

class EngineTest : public ::testing::Test {
 protected:
  EngineTest();
  /// Whatever a test does: what the nodes left fits configs/schemas.
  void TearDown() override;

  /// One attempt on a volume of its own (`fresh`) or the one before it.
  ExitCode RunOnce(bool fresh = false);
  /// The same, where the core kills it: false when it was killed.
  bool RunUntilKilled(bool fresh, ExitCode& code);

  /// The answers of a model that does the task right: spec, plan, edits; then repairs in turn.
  FakeCore::Model GoodModel();

  DiskServer server_;
  FakeCore core_;
  FakeCommands commands_;
  std::deque<nlohmann::json> edits_;    ///< of the executor and then of each repair
  std::deque<nlohmann::json> reasked_;  ///< of the executor when its edits are sent back; else the same again
  nlohmann::json plan_files_;
  Duration wait_when_blocked_{0};
  bool local_ = false;  ///< the order's project root counts
  std::stop_source terminate_;
  std::unique_ptr<testing::TempDir> volume_ = std::make_unique<testing::TempDir>();
};

nlohmann::json WriteEdit(const std::string& path, const std::string& content);
/// The graph of ybis-native.
api::WorkflowSpec NativeWorkflow();

}  // namespace ybis::runner
