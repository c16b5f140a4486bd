#pragma once
// Which run a pod works for: what the Run API asks before it believes a token.
#include "control/token_auth.h"
#include "operator/task/observe.h"

namespace ybis::op {

/// Answers from the caches, and from the API server for a pod that they have not seen yet. Thread-safe; the
/// references must outlive it.
class CachedPodOwnership final : public control::PodOwnership {
 public:
  CachedPodOwnership(Caches caches, kube::Reader& reader) : caches_(caches), reader_(reader) {}

  Result<bool> PodRunsRun(const std::string& pod_namespace, const std::string& pod_name,
                          const std::string& pod_uid, const std::string& run_id,
                          std::stop_token stop) override;

 private:
  Result<kube::Object> Find(kube::Cache& cache, const kube::Resource& resource, const kube::Key& key,
                            const std::string& uid, std::stop_token stop);

  Caches caches_;
  kube::Reader& reader_;
};

}  // namespace ybis::op
