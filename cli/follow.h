#pragma once
// Watching a task until nothing more happens by itself, on either backend.
#include <stop_token>

#include "cli/backend.h"
#include "cli/verb.h"

namespace ybis::cli {

/// Prints each node as it ends (where the record cannot be read: each phase as it comes), then what came out.
/// The exit code is the run's; kExitStopped when `stop` is requested first.
int FollowTask(Context& context, Backend& backend, TaskView task, std::stop_token stop);

}  // namespace ybis::cli
