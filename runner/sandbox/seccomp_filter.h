#pragma once
// The system calls a sandboxed command may not make.
#include <linux/filter.h>

#include <vector>

#include "base/result.h"
#include "runner/sandbox/policy.h"

namespace ybis::runner {

/// Whether the kernel takes system call filters from an unprivileged process.
bool SeccompAvailable();

/// The filter for a policy, compiled. `landlock_abi` tells what the filter must make up for; `runner` is the
/// process that must not be signalled.
Result<std::vector<sock_filter>> CompileSeccompFilter(const SandboxPolicy& policy, int landlock_abi,
                                                      int runner);

/// Binds the calling thread and its children to come; needs no_new_privs. Its parent, the supervisor, must
/// not be signalled either, and is filled in. `listener` becomes the descriptor for AttributeGuard; within
/// another sandbox -1, and the calls that it would answer fail with ENOSYS. Gives 0 or errno.
/// Async-signal-safe.
int InstallSeccompFilter(std::vector<sock_filter>& program, int* listener);

}  // namespace ybis::runner
