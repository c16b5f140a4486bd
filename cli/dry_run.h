#pragma once
// ybis run --dry-run: what a run would do, may take and may touch.
#include "api/task.h"
#include "api/workflow.h"
#include "cli/verb.h"
#include "control/config.h"

namespace ybis::cli {

/// A task as it would be ordered, and the graph that it would walk.
struct Rehearsal {
  std::string name;
  api::TaskSpec spec;
  api::WorkflowSpec workflow;
};

/// The graph with what each node may do and cost. Without a `config`, which is a cluster's operator's, models
/// and what the task leaves open are said to be the operator's.
void PrintDryRun(std::ostream& out, const Rehearsal& rehearsal, const control::Config* config);

}  // namespace ybis::cli
