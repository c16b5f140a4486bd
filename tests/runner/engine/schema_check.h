#pragma once
// Checks JSON against configs/schemas.
#include <nlohmann/json_fwd.hpp>
#include <string>

namespace ybis::runner {

/// "" when the value fits configs/schemas/<name>.schema.json, else what does not.
std::string SchemaProblem(const std::string& name, const nlohmann::json& value);

}  // namespace ybis::runner
