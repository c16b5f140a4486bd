#pragma once
// What every YBIS object shares: group, metadata, conditions.
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace ybis::api {

inline constexpr std::string_view kGroup = "ybis.dev";
inline constexpr std::string_view kVersion = "v1alpha1";
inline constexpr std::string_view kApiVersion = "ybis.dev/v1alpha1";

/// Labels that YBIS sets on what it makes. Jobs and pods are watched by kManagedByLabel=kManagedBy.
inline constexpr std::string_view kManagedByLabel = "app.kubernetes.io/managed-by";
inline constexpr std::string_view kManagedBy = "ybis-operator";
inline constexpr std::string_view kTaskNameLabel = "ybis.dev/task";
inline constexpr std::string_view kTaskUidLabel = "ybis.dev/task-uid";
inline constexpr std::string_view kRunIdLabel = "ybis.dev/run-id";

/// The part of metav1.ObjectMeta that YBIS reads.
struct ObjectMeta {
  std::string name;
  std::string namespace_name;
  std::string uid;
  std::string resource_version;  ///< opaque
  int64_t generation = 0;
  std::map<std::string, std::string> labels;
  std::map<std::string, std::string> annotations;
  std::vector<std::string> finalizers;
  TimePoint creation_time;
  std::optional<TimePoint> deletion_time;

  /// "namespace/name"
  std::string Key() const { return namespace_name + "/" + name; }
};

Result<ObjectMeta> ParseObjectMeta(const nlohmann::json& object);

/// One metav1.Condition.
struct Condition {
  std::string type;
  std::string status;  ///< True, False or Unknown
  std::string reason;  ///< CamelCase
  std::string message;
  int64_t observed_generation = 0;
  TimePoint last_transition;
};

void to_json(nlohmann::json& out, const Condition& condition);
Result<Condition> ParseCondition(const nlohmann::json& object, const std::string& path);

/// Puts a condition into a list: replaces the one of its type; last_transition moves only when the status
/// changes.
void SetCondition(std::vector<Condition>& conditions, Condition condition, TimePoint now);
const Condition* FindCondition(const std::vector<Condition>& conditions, std::string_view type);

}  // namespace ybis::api
