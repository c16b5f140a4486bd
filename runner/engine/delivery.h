#pragma once
// Delivery: the approved change as one commit on a branch of the server.
#include <stop_token>
#include <string>

#include "api/run_api.h"
#include "runner/engine/fault.h"
#include "runner/engine/journal.h"
#include "runner/git/worktree.h"

namespace ybis::runner {

/// spec.delivery.branch or ybis/<task name>-<run id>.
std::string DeliveryBranch(const api::RunOrder& order);

/// The commit's message: title, what the plan says, and trailers that name task and run.
std::string CommitMessage(const api::RunOrder& order, const api::Checkpoint& checkpoint);

struct Delivered {
  std::string branch;
  std::string commit;
};

/// Commits the checkpoint's patch and pushes it. Content, people and times come from the checkpoint, so that
/// another attempt makes the same commit and finds it pushed already. The lease is proven just before the
/// push, since a push cannot be fenced.
Outcome<Delivered> Deliver(const api::RunOrder& order, const api::Checkpoint& checkpoint, git::Worktree& tree,
                           RunApi& api, Journal& journal, Clock& clock, int64_t epoch, std::stop_token stop);

}  // namespace ybis::runner
