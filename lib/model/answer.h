#pragma once
// From the text of a model to the JSON that was asked for.
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "base/result.h"

namespace ybis::model {

/// The JSON object of a text: the whole of it, the first fenced block, or what stands between the first '{'
/// and the last
/// '}'. The error says what was wrong, in words that a model can mend it by.
Result<nlohmann::json> ExtractJson(std::string_view text);

/// Checks a schema itself (draft 7): references only within it, no endless ones.
Status CheckSchema(const nlohmann::json& schema);
/// Checks a value; the error names every place that does not fit (at most ten). The keywords `pattern` and
/// `patternProperties` are not judged: the library's regular expressions can be made to run for ever.
Status ValidateAgainst(const nlohmann::json& schema, const nlohmann::json& value);

}  // namespace ybis::model
