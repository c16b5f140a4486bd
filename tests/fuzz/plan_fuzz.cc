// A planner's answer: what is taken names only files that are there, or are not where it makes them.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/json.h"
#include "runner/nodes/plan.h"
#include "tests/fuzz/input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto value = ybis::ParseJson(ybis::fuzz::Text(data, size), "input");
  if (!value) return 0;
  nlohmann::json plan;
  const std::vector<std::string> files = {"README.md", "src/main.py"};
  const auto exists = [&](const std::string& path) {
    return std::find(files.begin(), files.end(), path) != files.end();
  };
  if (ybis::runner::CheckPlan(*value, files, exists, plan).empty())
    ybis::fuzz::Expect(plan.is_object(), "a plan that was taken is an object");
  return 0;
}
