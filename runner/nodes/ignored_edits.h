#pragma once
// Edits of files that git ignores.
#include <stop_token>

#include "base/result.h"
#include "runner/edit/engine.h"
#include "runner/git/worktree.h"

namespace ybis::runner {

/// Adds a miss for every file that the plan writes and that git would leave out of the change: the edit would
/// be lost without a word. The plan's own ignore files count. Tracked files may match a rule.
Status MissIgnored(const git::Worktree& tree, EditPlan& plan, std::stop_token stop);

}  // namespace ybis::runner
