#pragma once
// CommandRunner over the sandbox.
#include <filesystem>
#include <vector>

#include "runner/nodes/command_runner.h"

namespace ybis::runner {

/// Runs every command sandboxed: it may write its worktree and scratch folder, and read the installed tools
/// and the request's repository. Thread-safe.
class SandboxCommands final : public CommandRunner {
 public:
  /// `hidden` are folders with secrets, kept from every command; `sysv_ipc` as in SandboxPolicy.
  explicit SandboxCommands(std::vector<std::filesystem::path> hidden, bool sysv_ipc = false)
      : hidden_(std::move(hidden)), sysv_ipc_(sysv_ipc) {}

  Result<CommandResult> Run(const CommandRequest& request, std::stop_token stop) override;
  bool IsInstalled(const std::string& program) const override;

 private:
  std::vector<std::filesystem::path> hidden_;
  bool sysv_ipc_;
};

}  // namespace ybis::runner
