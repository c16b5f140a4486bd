#pragma once
// One runner at a time in a workspace.
#include <filesystem>
#include <stop_token>

#include "base/clock.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace ybis::runner {

/// Takes the folder's lock, which the kernel lets go of when this process ends however it ends. An earlier
/// runner of the same run may still be dying: that is waited for, at most `limit`, then kConflict. Empty
/// where the volume knows no locks: a pod has its own. kCancelled on a stop request.
Result<UniqueFd> LockWorkspace(const std::filesystem::path& workspace, Duration limit, Clock& clock,
                               std::stop_token stop);

}  // namespace ybis::runner
