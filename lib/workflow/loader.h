#pragma once
// Workflows from files, and the ones that are built in.
#include <string>
#include <string_view>
#include <vector>

#include "api/workflow.h"
#include "base/result.h"

namespace ybis::workflow {

/// Reads the file form (name, description, version, nodes, entry_point, exit_points; snake_case) or a
/// YbisWorkflow manifest from YAML, and validates it. Errors name file and line.
Result<api::WorkflowSpec> LoadWorkflow(std::string_view yaml, std::string_view source);

/// A built-in workflow by name (ybis-native with its alias ybis_native, self-improve), or kNotFound naming
/// those there are.
Result<api::WorkflowSpec> BuiltInWorkflow(std::string_view name);
std::vector<std::string> BuiltInWorkflowNames();

}  // namespace ybis::workflow
