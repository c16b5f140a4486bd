// Workflow files: a graph that is taken has no problem, and every question about it can be answered.
#include <nlohmann/json.hpp>

#include "tests/fuzz/input.h"
#include "workflow/graph.h"
#include "workflow/loader.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto spec = ybis::workflow::LoadWorkflow(ybis::fuzz::Text(data, size), "input");
  if (!spec) return 0;
  ybis::fuzz::Expect(ybis::workflow::Validate(*spec).empty(), "a workflow that was loaded is valid");
  for (const auto& node : spec->nodes) {
    (void)ybis::workflow::IsExit(*spec, node.name);
    ybis::fuzz::Expect(ybis::workflow::VisitCap(*spec, node, 3) > 0, "every node may be visited");
  }
  return 0;
}
