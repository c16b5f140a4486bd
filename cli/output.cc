#include "cli/output.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>

#include "base/json.h"
#include "cli/table.h"

namespace ybis::cli {

void AddOutput(Command verb, std::string& target, const std::vector<std::string>& forms) {
  const std::vector<std::string> all_but_last(forms.begin(), forms.end() - 1);
  verb.Option("-o,--output", target, fmt::format("{} or {}", fmt::join(all_but_last, ", "), forms.back()))
      .OneOf(forms);
}

bool PrintAs(std::ostream& out, const std::string& form, const nlohmann::json& value,
             const std::vector<std::string>& names) {
  if (form == "json") {
    out << DumpJsonPretty(value);
  } else if (form == "yaml") {
    out << ToYaml(value);
  } else if (form == "name") {
    for (const std::string& name : names) out << name << "\n";
  } else {
    return false;
  }
  return true;
}

}  // namespace ybis::cli
