#include "operator/workflow/reconciler.h"

#include <fmt/ranges.h>

#include <nlohmann/json.hpp>

#include "api/workflow.h"
#include "base/utf8.h"
#include "operator/task/act.h"
#include "workflow/graph.h"

namespace ybis::op {
namespace {

using nlohmann::json;

constexpr size_t kMaxMessage = 8192;

std::vector<std::string> FindProblems(const json& object) {
  const auto parsed = api::ParseWorkflow(object);
  if (!parsed) return {parsed.error().message};
  return workflow::Validate(parsed->spec);
}

int64_t Generation(const json& object) {
  const auto meta = api::ParseObjectMeta(object);
  return meta ? meta->generation : 0;
}

/// Conditions that are there already; what cannot be read is written anew.
std::vector<api::Condition> StoredConditions(const json& object) {
  std::vector<api::Condition> conditions;
  const json& stored = object.value(json::json_pointer("/status/conditions"), json::array());
  for (const json& entry : stored) {
    if (auto condition = api::ParseCondition(entry, "status.conditions"))
      conditions.push_back(std::move(*condition));
  }
  return conditions;
}

api::Condition MakeCondition(std::string type, bool holds, std::string reason, const std::string& message,
                             int64_t generation) {
  api::Condition condition;
  condition.type = std::move(type);
  condition.observed_generation = generation;
  condition.status = holds ? "True" : "False";
  condition.reason = std::move(reason);
  // What is no UTF-8 (names are quoted up to a byte) would be stored as another text than this one.
  condition.message = CutAtCharacter(ValidUtf8(message), kMaxMessage);
  return condition;
}

}  // namespace

json BuildWorkflowStatus(const json& object, TimePoint now) {
  const int64_t generation = Generation(object);
  auto conditions = StoredConditions(object);
  std::erase_if(conditions, [](const api::Condition& condition) {
    return condition.type != "Accepted" && condition.type != "Stalled";
  });
  const std::vector<std::string> problems = FindProblems(object);
  const bool valid = problems.empty();
  const std::string message = fmt::format("{}", fmt::join(problems, "; "));
  api::SetCondition(conditions,
                    MakeCondition("Accepted", valid, valid ? "Valid" : "Invalid",
                                  valid ? "tasks can use it" : message, generation),
                    now);
  api::SetCondition(conditions,
                    MakeCondition("Stalled", !valid, valid ? "NotStalled" : "Invalid", message, generation),
                    now);
  return {{"observedGeneration", generation}, {"conditions", conditions}};
}

Result<ReconcileResult> WorkflowReconciler::Reconcile(const kube::Key& key, std::stop_token stop) {
  const kube::Object object = workflows_.Get(key);
  if (!object) return ReconcileResult{};
  if (!workflows_.Current(key)) return ReconcileResult{std::chrono::seconds(1)};
  const json status = BuildWorkflowStatus(*object, clock_.Now());
  if (const auto stored = object->find("status"); stored != object->end() && *stored == status)
    return ReconcileResult{};
  const json body = {
      {"apiVersion", api::kApiVersion},
      {"kind", "YbisWorkflow"},
      {"metadata", {{"name", key.name}, {"namespace", key.ns}, {"uid", kube::MetaString(*object, "uid")}}},
      {"status", status}};
  kube::PatchOptions options{kube::PatchType::kApply, "status", std::string(kFieldManager), true};
  auto patched = api_.Patch(kube::kWorkflows, key, body, options, stop);
  if (!patched && patched.error().code == ErrorCode::kNotFound) return ReconcileResult{};
  if (!patched) return FailIn("writing the status of workflow " + key.ToString(), patched.error());
  workflows_.ExpectVersion(key, kube::MetaString(*patched, "resourceVersion"));
  const json& condition = status["conditions"][0];
  if (condition["status"] == "False") {
    events_.Record(*object, kube::EventType::kWarning, "Invalid", "Validate",
                   condition["message"].get<std::string>());
  }
  return ReconcileResult{};
}

}  // namespace ybis::op
