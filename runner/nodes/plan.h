#pragma once
// The check of a plan against the repository.
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace ybis::runner {

/// What is wrong with a planner's answer, for the model to mend, or "" with the known members in `plan`.
/// A file to modify or delete must exist, one to create must not. `files` are the repository's paths, as many
/// as are listed, for hints.
std::string CheckPlan(const nlohmann::json& answer, const std::vector<std::string>& files,
                      const std::function<bool(const std::string&)>& exists, nlohmann::json& plan);

}  // namespace ybis::runner
