#pragma once
// How runs and tasks look to people and programs.
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <ostream>
#include <string>

#include "cli/table.h"
#include "control/run_record.h"
#include "control/task_catalog.h"

namespace ybis::cli {

/// The phase that a YbisTask shows in a cluster: a run that waits for a worker is Queued.
std::string PhaseOf(std::string_view run_state);
/// The task as a YbisTask object: what `kubectl get -o json` gives in a cluster, as far as it is known here.
nlohmann::json TaskObject(const control::TaskSummary& task, const api::TaskSpec& spec,
                          const control::RunRecord& run);
/// One line of a finished node: "20:31:02  verify    ok      1.2s  passed 3, failed 0".
std::string NodeLine(const control::NodeSummary& node, size_t name_width, const Paint& paint);
/// Result, branch, change, verification, usage, time and what to do next.
void PrintResult(std::ostream& out, const control::RunRecord& run, const api::TaskSpec& spec,
                 const Paint& paint);
/// The exit code that tells how a run stands: 0, 1 or 4.
int ExitCodeOf(control::RunState state);

/// The choices of -o.
inline const std::vector<std::string> kOutputs = {"table", "wide", "json", "yaml", "name"};

}  // namespace ybis::cli
