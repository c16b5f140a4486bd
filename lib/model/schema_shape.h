#pragma once
// What is wrong with a schema before the library sees it: references and sizes that it would follow without
// end.
#include <nlohmann/json_fwd.hpp>

#include "base/result.h"

namespace ybis::model {

/// A copy that can be judged in bounded time and stack: references lead to schemas within it, what they
/// expand to is bounded, and nothing runs a regular expression. A schema may hold itself through plain
/// `properties`, `additionalProperties` and `items`, where each round uses up a level of the value; then no
/// reference may stand below a keyword that judges the same value again (`allOf`, `not`, …).
Result<nlohmann::json> BoundedSchema(const nlohmann::json& schema);

}  // namespace ybis::model
