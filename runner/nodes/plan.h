#pragma once
// The check of a plan against the repository.
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace ybis::runner {

/// What is wrong with a planner's answer, for the model to mend, or "" with the known members in `plan`.
/// `files` are the repository's paths, sorted: a file to modify or delete must be among them, one to create
/// must not.
std::string CheckPlan(const nlohmann::json& answer, const std::vector<std::string>& files,
                      nlohmann::json& plan);

}  // namespace ybis::runner
