#include "tests/support/figure.h"

#include <iostream>
#include <nlohmann/json.hpp>

namespace ybis::testing {

void PrintFigure(const std::string& name, double value, const std::string& unit, Wanted wanted,
                 double limit) {
  const char* key = wanted == Wanted::kAtLeast ? "atLeast" : "atMost";
  std::cout << nlohmann::json{{"name", name}, {"value", value}, {"unit", unit}, {key, limit}}.dump()
            << std::endl;
}

void PrintFigure(const std::string& name, double value, const std::string& unit) {
  std::cout << nlohmann::json{{"name", name}, {"value", value}, {"unit", unit}}.dump() << std::endl;
}

}  // namespace ybis::testing
