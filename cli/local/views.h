#pragma once
// The record of a run in the form that a YbisTask has in a cluster.
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "cli/views.h"
#include "control/run_record.h"
#include "control/task_catalog.h"

namespace ybis::cli {

/// The phase that a YbisTask shows in a cluster: a run that waits for a worker is Queued.
std::string PhaseOf(std::string_view run_state);
api::TaskStatus StatusOf(const control::RunRecord& run);
/// The task as a YbisTask object: what `kubectl get -o json` gives in a cluster, as far as it is known here.
nlohmann::json TaskObject(const control::TaskSummary& task, const api::TaskSpec& spec,
                          const api::TaskStatus& status);

}  // namespace ybis::cli
