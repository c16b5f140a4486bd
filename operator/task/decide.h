#pragma once
// What to do about a task, from all that is known of it; pure.
#include "base/clock.h"
#include "operator/task/plan.h"
#include "operator/task/snapshot.h"

namespace ybis::op {

/// Level-based: it looks at where things stand, never at what happened, so it may be asked any number of
/// times.
Plan Decide(const Snapshot& snapshot, const TaskSettings& settings, TimePoint now);

}  // namespace ybis::op
