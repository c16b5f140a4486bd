#pragma once
// How ybis-runner ends. The Job's podFailurePolicy and `ybis worker` read these.
namespace ybis::runner {

enum class ExitCode : int {
  kDone = 0,             ///< nothing is left to do: completed, blocked (a person is asked) or cancelled
  kTaskFailed = 10,      ///< the task failed for good: a new attempt cannot help (podFailurePolicy FailJob)
  kInfrastructure = 20,  ///< something around the task failed (server, volume, sandbox): worth a new attempt
  kLeaseLost = 30,       ///< another runner holds the run now; this one did nothing further
  kBlocked = 40,         ///< with --wait-when-blocked: the run is blocked; the lease is given up
  kUsage = 64,           ///< wrong flags or environment
  kTerminated = 143,     ///< SIGTERM or SIGINT: the lease was given back
};

}  // namespace ybis::runner
