#pragma once
// How nodes run a program for the task: always in the sandbox.
#include <chrono>
#include <filesystem>
#include <stop_token>
#include <string>
#include <vector>

#include "base/result.h"

namespace ybis::runner {

struct CommandRequest {
  std::vector<std::string> argv;
  std::filesystem::path worktree;  ///< working directory; with `scratch` all that it may write
  std::filesystem::path scratch;   ///< its HOME and TMPDIR; empty when a node begins
  /// What the worktree's `.git` file leads to: readable, so that git works, and never writable. Empty = none.
  std::filesystem::path repository;
  std::string input;
  std::chrono::milliseconds timeout{600'000};
  bool network = false;
  bool best_effort = false;  ///< run it also where the machine lacks a part of the sandbox
};

struct CommandResult {
  int exit_code = -1;
  bool timed_out = false;
  std::string stopped_for;  ///< the limit that it was killed for passing; empty = none
  std::string output;       ///< standard output, then standard error; capped
  std::chrono::milliseconds elapsed{0};

  /// It came to its own end, and that was a good one: one that was killed may still have ended with 0.
  bool Succeeded() const { return exit_code == 0 && !timed_out && stopped_for.empty(); }
};

/// Thread-safe. An exit code other than 0 is a result. Errors: kNotFound (no such program), kUnsupported (the
/// sandbox cannot be enforced here), kCancelled.
class CommandRunner {
 public:
  virtual ~CommandRunner() = default;
  virtual Result<CommandResult> Run(const CommandRequest& request, std::stop_token stop) = 0;
  /// Whether a program of that name is installed.
  virtual bool IsInstalled(const std::string& program) const = 0;
};

}  // namespace ybis::runner
