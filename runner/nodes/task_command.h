#pragma once
// Running one command of a task under its policy.
#include <string>
#include <vector>

#include "runner/nodes/node.h"

namespace ybis::runner {

/// Runs argv in the worktree, sandboxed, with the task's parameters filled into its words. A program that the
/// policy does not allow, one that is not installed and a sandbox that cannot be enforced are Faults that say
/// so.
Outcome<CommandResult> RunTaskCommand(const NodeContext& context, const std::vector<std::string>& argv,
                                      std::chrono::milliseconds timeout, std::stop_token stop);

/// The last 8 KiB, from a line's start, as valid text without control characters.
std::string OutputTail(const std::string& output);

}  // namespace ybis::runner
