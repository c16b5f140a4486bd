#include "operator/task/pod_ownership.h"

#include <nlohmann/json.hpp>

namespace ybis::op {

/// The object of that key and UID, or nullptr when there is none.
Result<kube::Object> CachedPodOwnership::Find(kube::Cache& cache, const kube::Resource& resource,
                                              const kube::Key& key, const std::string& uid,
                                              std::stop_token stop) {
  kube::Object object = cache.Get(key);
  if (object && kube::MetaString(*object, "uid") == uid) return object;
  auto live = reader_.Get(resource, key, stop);
  if (!live && live.error().code == ErrorCode::kNotFound) return kube::Object();
  if (!live) return FailIn("looking for " + key.ToString(), live.error());
  if (kube::MetaString(*live, "uid") != uid) return kube::Object();
  return std::make_shared<const nlohmann::json>(std::move(*live));
}

Result<bool> CachedPodOwnership::PodRunsRun(const std::string& pod_namespace, const std::string& pod_name,
                                            const std::string& pod_uid, const std::string& run_id,
                                            std::stop_token stop) {
  YBIS_ASSIGN(const auto pod, Find(caches_.pods, kube::kPods, {pod_namespace, pod_name}, pod_uid, stop));
  if (!pod || !HasLabel(*pod, api::kRunIdLabel, run_id)) return false;
  const std::string job_uid = kube::ControllerUid(*pod);
  if (job_uid.empty()) return false;
  const kube::Key job_key{pod_namespace, JobName(run_id)};
  YBIS_ASSIGN(const auto job, Find(caches_.jobs, kube::kJobs, job_key, job_uid, stop));
  if (!job || !HasLabel(*job, api::kRunIdLabel, run_id)) return false;
  // A Job that names itself after somebody's run is easily made; its owner's UID in its own namespace is not.
  const auto run = owners_.GetRun(run_id, stop);
  if (!run && run.error().code == ErrorCode::kNotFound) return false;
  if (!run) return FailIn("whose run " + run_id + " is", run.error());
  return run->task_namespace == pod_namespace && run->task_uid == kube::ControllerUid(*job);
}

}  // namespace ybis::op
