#pragma once
// From what the user gave, flags or a manifest, to a task that can be submitted.
#include <CLI/App.hpp>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "api/task.h"
#include "api/workflow.h"
#include "control/config.h"
#include "control/run_record.h"

namespace ybis::cli {

/// The flags that describe a task.
struct TaskFlags {
  std::string name;
  std::string objective;
  std::string title;
  std::string priority;
  std::string repo;
  std::string ref;
  std::string workflow;             ///< a built-in name or a file
  std::vector<std::string> verify;  ///< one command each
  std::vector<std::string> parameters;
  std::string branch;
  bool no_branch = false;
};
void AddTaskFlags(CLI::App& verb, TaskFlags& flags);

/// A task that does not exist yet.
struct TaskInput {
  std::string name;
  api::TaskSpec spec;
  api::WorkflowSpec workflow;
};

/// A YbisTask manifest with the flags laid over it. `--repo` takes the place of the whole repository, its
/// Secrets too. Errors name file and field.
Result<TaskInput> ReadTaskFile(const std::string& file, const TaskFlags& flags);
/// From flags alone; --objective and --repo are needed. A name is made from the title when none is given.
Result<TaskInput> TaskFromFlags(const TaskFlags& flags);

/// A folder becomes its absolute path and must hold a git repository; anything else stays as it is.
Result<std::string> ResolveRepository(const std::string& text);
/// Words of a command line: blanks divide, quotes hold together, a backslash takes the next character as it
/// is. Nothing else has a meaning: no shell reads it.
Result<std::vector<std::string>> SplitWords(const std::string& text);
/// A built-in workflow or a workflow file.
Result<api::WorkflowSpec> FindWorkflow(const std::string& name_or_file);

/// Whether the configuration can run it: limits, and a model where the workflow asks one.
Status CheckAgainst(const control::Config& config, const api::TaskSpec& spec,
                    const api::WorkflowSpec& workflow, bool needs_model);
/// What the queue takes. A new task's `uid` is made here; local repositories are allowed.
control::TaskSubmission SubmissionOf(const control::Config& config, const TaskInput& input, std::string uid);

}  // namespace ybis::cli
