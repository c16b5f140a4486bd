#include "operator/task/owner_index.h"

#include <nlohmann/json.hpp>

namespace ybis::op {
namespace {

using nlohmann::json;
using Map = std::unordered_map<kube::Key, kube::Key>;

/// Remembers, forgets or looks up the owner of `key`.
std::optional<kube::Key> Follow(Map& owners, const kube::Key& key, const kube::Object& object,
                                std::string_view kind) {
  if (object) {
    const std::string owner = ControllerName(*object, kind);
    if (owner.empty()) return std::nullopt;
    owners[key] = {key.ns, owner};
    return owners[key];
  }
  const auto known = owners.extract(key);
  if (known.empty()) return std::nullopt;
  return known.mapped();
}

}  // namespace

std::optional<kube::Key> OwnerIndex::OnJob(const kube::Key& key, const kube::Object& job) {
  auto state = state_.Lock();
  return Follow(state->task_of_job, key, job, "YbisTask");
}

std::optional<kube::Key> OwnerIndex::OnPod(const kube::Key& key, const kube::Object& pod) {
  auto state = state_.Lock();
  const auto job = Follow(state->job_of_pod, key, pod, "Job");
  if (!job) return std::nullopt;
  const auto task = state->task_of_job.find(*job);
  if (task == state->task_of_job.end()) return std::nullopt;
  return task->second;
}

std::string ControllerName(const json& object, std::string_view kind) {
  const auto meta = object.is_object() ? object.find("metadata") : object.end();
  if (!object.is_object() || meta == object.end() || !meta->is_object()) return {};
  const auto owners = meta->find("ownerReferences");
  if (owners == meta->end() || !owners->is_array()) return {};
  for (const json& owner : *owners) {
    if (!owner.is_object() || owner.value("controller", json()) != true ||
        owner.value("kind", json()) != kind)
      continue;
    const auto name = owner.find("name");
    if (name != owner.end() && name->is_string()) return name->get<std::string>();
  }
  return {};
}

}  // namespace ybis::op
