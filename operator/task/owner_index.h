#pragma once
// Which task a Job or pod belongs to, also after it is gone: a deletion comes without the object.
#include <optional>
#include <string>
#include <unordered_map>

#include "base/sync.h"
#include "kube/client.h"

namespace ybis::op {

/// Thread-safe; fed by the reflectors of Jobs and pods.
class OwnerIndex {
 public:
  /// A Job changed (`job` null: it is gone); the task it belongs to.
  std::optional<kube::Key> OnJob(const kube::Key& key, const kube::Object& job);
  /// A pod changed (null: it is gone). None also when its Job has not been seen yet: the Job's own coming
  /// tells then.
  std::optional<kube::Key> OnPod(const kube::Key& key, const kube::Object& pod);

 private:
  struct State {
    std::unordered_map<kube::Key, kube::Key> task_of_job;
    std::unordered_map<kube::Key, kube::Key> job_of_pod;
  };
  Sync<State> state_;
};

/// Name of the controlling owner of that kind, or "".
std::string ControllerName(const nlohmann::json& object, std::string_view kind);

}  // namespace ybis::op
