#pragma once
// Landlock: which file hierarchies a process and its children may touch, and whom they may signal.
#include <filesystem>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "runner/sandbox/policy.h"

namespace ybis::runner {

/// The kernel's Landlock version; 0 where there is none or it is turned off.
int LandlockAbi();

/// A ruleset of the policy's hierarchies, ready to be taken on by RestrictSelf. `abi` must be at least 1.
Result<UniqueFd> MakeLandlockRuleset(const SandboxPolicy& policy, int abi);

/// Binds the calling thread and its children to come; needs no_new_privs. Gives 0 or errno.
/// Async-signal-safe.
int RestrictSelf(int ruleset_fd);

/// The readable hierarchies with every hidden one left out: a hierarchy that holds a hidden place is replaced
/// by its other entries. Missing places are left out. For MakeLandlockRuleset and its tests.
Result<std::vector<std::filesystem::path>> ReadableAround(const std::vector<std::filesystem::path>& readable,
                                                          const std::vector<std::filesystem::path>& hidden);

}  // namespace ybis::runner
