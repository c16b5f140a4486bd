#pragma once
// Running a command that is not trusted: Landlock, seccomp, limits, a scrubbed environment, everything killed
// at the end.
#include <functional>
#include <map>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/process.h"
#include "base/result.h"
#include "runner/sandbox/policy.h"

namespace ybis::runner {

struct SandboxCommand {
  std::vector<std::string> argv;    ///< never a shell string
  std::filesystem::path directory;  ///< working directory; must be absolute
  std::map<std::string, std::string>
      env;            ///< on top of PATH, HOME, TMPDIR, LANG; no registered secret may be in it
  std::string input;  ///< standard input
  std::function<void(std::string_view)> on_output;  ///< progress, as in ProcessSpec
};

struct SandboxResult {
  ProcessResult process;
  std::string stopped_for;  ///< "processes" or "memory" when the tree was killed for passing that limit
  std::vector<std::string> unenforced;  ///< what this machine could not enforce (best effort only)
};

/// Root is no exception: the command loses every capability, and Landlock keeps it from tracing what is
/// outside, so the environment and memory of the runner stay closed to it even as the same user. As root it
/// thus cannot write files of other users, and the kernel's own limit of processes does not hold; the count
/// of the tree does. Modes and times change only below what it may write (AttributeGuard), owners, extended
/// attributes and flags of files nowhere; a machine that lets nobody look into its own processes
/// (kernel.yama.ptrace_scope of 2 or 3, not as root) refuses it modes and times, too. What it cannot do: tell
/// one Unix socket from another (see connect_unix), bound memory that is in no process (memfd; the pod's
/// limit does), keep locks off files that may be read, or hide the names and command lines of other processes
/// in /proc. Runs it to the end. As RunProcess, and: kUnsupported names what cannot be
/// enforced here (unless best effort); kInvalid names what is wrong in the policy. Thread-safe.
Result<SandboxResult> RunSandboxed(const SandboxPolicy& policy, const SandboxCommand& command,
                                   std::stop_token stop);

/// What this machine can enforce.
struct SandboxSupport {
  int landlock_abi = 0;            ///< 0 = none
  bool seccomp = false;            ///< system call filters
  bool track_descendants = false;  ///< a process that leaves its group is still found and killed
  /// Signals cannot leave the sandbox (Landlock 6, Linux 6.12). Without it only the runner itself, the
  /// command's supervisor and all-at-once are out of reach, by the filter; not a reason to refuse.
  bool scopes_signals = false;
  /// Features of a full sandbox that are missing here, each as a sentence for a person; empty = nothing is.
  std::vector<std::string> missing;
};

/// Tries it (in a child process where trying changes the process). Cheap enough for the start of the runner.
Result<SandboxSupport> ProbeSandbox();

/// Makes this process unreadable to others of the same user: no ptrace, no /proc/<pid>/environ or mem, no
/// core dump. Call it first thing in main.
Status MakeUndumpable();

}  // namespace ybis::runner
