#pragma once
// Whether a task may run at all; pure.
#include <optional>
#include <string>

#include "operator/task/snapshot.h"

namespace ybis::op {

/// Why not, for the condition and the event.
struct Rejection {
  std::string reason;
  std::string message;
  bool may_pass = false;  ///< something outside the task may appear (a Secret): look again now and then
};

/// The first thing that keeps the task from running, or none.
std::optional<Rejection> FindRejection(const Snapshot& snapshot, const TaskSettings& settings);

/// What of it is judged again whenever a Job is made: spec.runner.image may change after the task was
/// accepted, and what runs there holds the run's identity.
std::optional<Rejection> FindImageRejection(const Snapshot& snapshot, const control::Config& config);

/// What keeps the task's git credentials from being mounted, or none. Asked again before each Job: the
/// operator's list may have changed since the run was taken.
std::optional<Rejection> FindCredentialsRejection(const Snapshot& snapshot, const control::Config& config);

/// Whether an image is one of the operator's own, equals an entry of the allowlist or begins with one that
/// ends in '/',
/// ':' or '*' (a bare prefix would let "registry/ybis" allow "registry/ybis-evil").
bool ImageAllowed(const control::RunnerConfig& runner, const std::string& image);

}  // namespace ybis::op
