#pragma once
// What the benchmark programs print: one JSON object a line, which hack/bench reads.
#include <string>

namespace ybis::testing {

enum class Wanted { kAtLeast, kAtMost };

/// `limit` is in the value's unit.
void PrintFigure(const std::string& name, double value, const std::string& unit, Wanted wanted, double limit);
/// One that is told beside another and has no limit of its own.
void PrintFigure(const std::string& name, double value, const std::string& unit);

}  // namespace ybis::testing
