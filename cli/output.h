#pragma once
// -o: what a verb tells, in the form that was asked for; the same for every verb.
#include <nlohmann/json_fwd.hpp>
#include <ostream>
#include <string>
#include <vector>

#include "cli/command.h"

namespace ybis::cli {

/// Of what shows something.
inline const std::vector<std::string> kOutputs = {"table", "wide", "json", "yaml", "name"};
/// Of what does something and tells what came of it: a sentence, for which there is no wider form.
inline const std::vector<std::string> kActionOutputs = {"table", "json", "yaml", "name"};

/// Adds -o,--output with these choices.
void AddOutput(Command verb, std::string& target, const std::vector<std::string>& forms = kOutputs);

/// Prints the value as json or yaml, or the names a line each. False for table and wide, which the verb draws
/// itself.
bool PrintAs(std::ostream& out, const std::string& form, const nlohmann::json& value,
             const std::vector<std::string>& names);

}  // namespace ybis::cli
