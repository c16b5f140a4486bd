#include "api/meta.h"

#include <nlohmann/json.hpp>

#include "base/json.h"

namespace ybis::api {
namespace {

using nlohmann::json;

std::map<std::string, std::string> StringMap(const json& meta, const char* key) {
  std::map<std::string, std::string> out;
  const auto it = meta.find(key);
  if (it == meta.end() || !it->is_object()) return out;
  for (const auto& [name, value] : it->items()) {
    if (value.is_string()) out[name] = value.get<std::string>();
  }
  return out;
}

}  // namespace

Result<ObjectMeta> ParseObjectMeta(const json& object) {
  const auto it = object.is_object() ? object.find("metadata") : object.end();
  if (!object.is_object() || it == object.end()) return Fail(ErrorCode::kInvalid, "metadata: is required");
  ObjectReader reader(*it, "metadata");
  ObjectMeta meta;
  meta.name = reader.RequiredString("name");
  meta.namespace_name = reader.String("namespace");
  meta.uid = reader.String("uid");
  meta.resource_version = reader.String("resourceVersion");
  meta.generation = reader.Int("generation", 0, 0, INT64_MAX);
  const std::string created = reader.String("creationTimestamp");
  const std::string deleted = reader.String("deletionTimestamp");
  meta.finalizers = reader.Strings("finalizers");
  YBIS_TRY(reader.Finish(false));
  meta.labels = StringMap(*it, "labels");
  meta.annotations = StringMap(*it, "annotations");
  if (!created.empty()) {
    YBIS_ASSIGN(meta.creation_time, ParseRfc3339(created));
  }
  if (!deleted.empty()) {
    YBIS_ASSIGN(meta.deletion_time, ParseRfc3339(deleted));
  }
  return meta;
}

void to_json(json& out, const Condition& condition) {
  out = {{"type", condition.type},
         {"status", condition.status},
         {"reason", condition.reason},
         {"message", condition.message},
         {"observedGeneration", condition.observed_generation},
         {"lastTransitionTime", FormatRfc3339(condition.last_transition)}};
}

Result<Condition> ParseCondition(const json& object, const std::string& path) {
  ObjectReader reader(object, path);
  Condition condition;
  condition.type = reader.RequiredString("type");
  condition.status = reader.Choice("status", "Unknown", {"True", "False", "Unknown"});
  condition.reason = reader.String("reason");
  condition.message = reader.String("message");
  condition.observed_generation = reader.Int("observedGeneration", 0, 0, INT64_MAX);
  const std::string time = reader.RequiredString("lastTransitionTime");
  YBIS_TRY(reader.Finish(false));
  YBIS_ASSIGN(condition.last_transition, ParseRfc3339(time));
  return condition;
}

void SetCondition(std::vector<Condition>& conditions, Condition condition, TimePoint now) {
  condition.last_transition = now;
  for (Condition& existing : conditions) {
    if (existing.type != condition.type) continue;
    if (existing.status == condition.status) condition.last_transition = existing.last_transition;
    existing = std::move(condition);
    return;
  }
  conditions.push_back(std::move(condition));
}

const Condition* FindCondition(const std::vector<Condition>& conditions, std::string_view type) {
  for (const Condition& condition : conditions) {
    if (condition.type == type) return &condition;
  }
  return nullptr;
}

}  // namespace ybis::api
