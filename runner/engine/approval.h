#pragma once
// What a person's decision does to the checkpoint that waited. Pure: another attempt that reads the same
// checkpoint and the same decision goes on from the same place.
#include <string>

#include "api/run_api.h"

namespace ybis::runner {

/// The checkpoint to go on from. Approve: behind the node that waited, with the approval in the state
/// ("@run", and in "gate" beside the gate's own verdict, which stays). Revise: at the repair node, with
/// the feedback in "@run" and one visit more for it. A decision that is not about this checkpoint's wait
/// changes nothing: the run then waits again.
api::Checkpoint ApplyDecision(const api::RunOrder& order, const api::Checkpoint& checkpoint,
                              const api::ApprovalDecision& decision);

/// How many revisions people have asked for: so many visits more every node of the loop may have.
int64_t Revisions(const api::Checkpoint& checkpoint);

}  // namespace ybis::runner
