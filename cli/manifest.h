#pragma once
// From what the user gave, flags or a manifest, to a YbisTask object. What a backend makes of it is its own
// matter.
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "api/workflow.h"
#include "base/result.h"
#include "cli/command.h"

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
  bool no_sync = false;  ///< local: the committed state of a checkout alone
};
void AddTaskFlags(Command verb, TaskFlags& flags);
/// The first of the flags that was given, --workflow not counted; "" when none was.
std::string GivenBesideWorkflow(const TaskFlags& flags);

/// How names in flags are understood.
struct ManifestRules {
  bool folders = true;         ///< --repo may be a folder of this machine
  bool workflow_files = true;  ///< --workflow is a built-in name or a file; else any name
};

/// A manifest of kind YbisTask with the flags laid over it, or one made from the flags alone (--objective and
/// --repo are needed then, and a name is made from the title when none is given). `--repo` takes the place of
/// the whole repository, its Secrets too. Nothing but its name has been checked. Errors name file and field.
Result<nlohmann::json> ReadManifest(const std::string& file, const TaskFlags& flags,
                                    const ManifestRules& rules);

/// Whether it may be a task's name.
Status CheckTaskName(const std::string& name);
/// A folder becomes its absolute path and must hold a git repository; anything else stays as it is.
Result<std::string> ResolveRepository(const std::string& text);
/// Words of a command line: blanks divide, quotes hold together, a backslash takes the next character as it
/// is. Nothing else has a meaning: no shell reads it.
Result<std::vector<std::string>> SplitWords(const std::string& text);
/// A built-in workflow or a workflow file.
Result<api::WorkflowSpec> FindWorkflow(const std::string& name_or_file);

}  // namespace ybis::cli
