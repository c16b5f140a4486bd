// Custom resources as the API server or a file gives them: a spec that is taken means the same after a round
// trip.
#include <nlohmann/json.hpp>

#include "api/approval.h"
#include "api/task.h"
#include "api/workflow.h"
#include "base/json.h"
#include "tests/fuzz/input.h"

using ybis::fuzz::Expect;

namespace {

void Task(const nlohmann::json& object) {
  const auto task = ybis::api::ParseTask(object);
  if (!task) return;
  (void)ybis::DumpJson(ybis::api::ToJson(task->status));
  const auto spec = ybis::api::ToJson(task->spec);
  const auto again = ybis::api::ParseTaskSpec(spec);
  Expect(again.has_value(), "a task's spec that was written can be read");
  Expect(ybis::DumpJson(ybis::api::ToJson(*again)) == ybis::DumpJson(spec),
         "a task's spec keeps its meaning");
}

void Workflow(const nlohmann::json& object) {
  const auto workflow = ybis::api::ParseWorkflow(object);
  if (!workflow) return;
  const auto spec = ybis::api::ToJson(workflow->spec);
  const auto again = ybis::api::ParseWorkflowSpec(spec, workflow->spec.name);
  Expect(again.has_value(), "a workflow that was written can be read");
  Expect(ybis::DumpJson(ybis::api::ToJson(*again)) == ybis::DumpJson(spec), "a workflow keeps its meaning");
}

void Approval(const nlohmann::json& object) {
  const auto approval = ybis::api::ParseApproval(object);
  if (!approval) return;
  const auto spec = ybis::api::ToJson(approval->spec);
  const auto again = ybis::api::ParseApprovalSpec(spec);
  Expect(again.has_value(), "an approval that was written can be read");
  Expect(ybis::DumpJson(ybis::api::ToJson(*again)) == ybis::DumpJson(spec), "an approval keeps its meaning");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto value = ybis::ParseJson(ybis::fuzz::Text(data, size), "input");
  if (!value) return 0;
  Task(*value);
  Workflow(*value);
  Approval(*value);
  return 0;
}
