#pragma once
// From what the user gave, flags or a manifest, to a task that can be submitted.
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "api/task.h"
#include "api/workflow.h"
#include "cli/manifest.h"
#include "control/config.h"
#include "control/run_record.h"

namespace ybis::cli {

/// A task that does not exist yet.
struct TaskInput {
  std::string name;
  api::TaskSpec spec;
  api::WorkflowSpec workflow;
  bool sync = true;  ///< the uncommitted files of a local checkout come along
};

/// A YbisTask manifest with the flags laid over it. `--repo` takes the place of the whole repository, its
/// Secrets too. Errors name file and field.
Result<TaskInput> ReadTaskFile(const std::string& file, const TaskFlags& flags);
/// From flags alone; --objective and --repo are needed. A name is made from the title when none is given.
Result<TaskInput> TaskFromFlags(const TaskFlags& flags);

/// Whether the configuration can run it: limits, and a model where the workflow asks one.
Status CheckAgainst(const control::Config& config, const api::TaskSpec& spec,
                    const api::WorkflowSpec& workflow, bool needs_model);
/// The checkout on this machine that a repository's address names; "" for a bare repository and for others.
std::string CheckoutOf(const std::string& url);
/// What the queue takes. A new task's `uid` is made here; local repositories are allowed.
control::TaskSubmission SubmissionOf(const control::Config& config, const TaskInput& input, std::string uid);

}  // namespace ybis::cli
