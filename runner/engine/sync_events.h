#pragma once
// What the journal says of a checkout's uncommitted files.
#include <nlohmann/json_fwd.hpp>
#include <stop_token>
#include <string>

#include "runner/engine/fault.h"
#include "runner/engine/journal.h"

namespace ybis::runner {

/// WORKTREE_FILES_SYNCED with counts and the first paths, WORKTREE_FILES_LEFT_OUT with every path that stayed
/// behind (in as many entries as it takes), WORKTREE_SYNC_SKIPPED with the reason; nothing for a null report.
/// `sync` is what Workspace::sync() gives. Told again they are the same entries.
Outcome<void> TellSync(const nlohmann::json& sync, const std::string& commit, Journal& journal,
                       std::stop_token stop);

}  // namespace ybis::runner
