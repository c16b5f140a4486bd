#pragma once
// Which run a pod works for: what the Run API asks before it believes a token.
#include "control/run_ledger.h"
#include "control/token_auth.h"
#include "operator/task/observe.h"

namespace ybis::op {

/// Whose a run is, by the record.
class RunOwners {
 public:
  virtual ~RunOwners() = default;
  /// kNotFound when there is no such run.
  virtual Result<control::RunRecord> GetRun(const std::string& run_id, std::stop_token stop) = 0;
};

/// Over Postgres. Thread-safe; the ledger must outlive it.
class StoredRunOwners final : public RunOwners {
 public:
  explicit StoredRunOwners(control::RunLedger& ledger) : ledger_(ledger) {}
  Result<control::RunRecord> GetRun(const std::string& run_id, std::stop_token stop) override {
    return ledger_.GetRun(run_id, stop);
  }

 private:
  control::RunLedger& ledger_;
};

/// Answers from the caches, and from the API server for a pod that they have not seen yet. What pods and Jobs
/// say of themselves is believed only where the record says the same: whoever may make Jobs in a namespace
/// writes their labels. Thread-safe; the references must outlive it.
class CachedPodOwnership final : public control::PodOwnership {
 public:
  CachedPodOwnership(Caches caches, kube::Reader& reader, RunOwners& owners)
      : caches_(caches), reader_(reader), owners_(owners) {}

  Result<bool> PodRunsRun(const std::string& pod_namespace, const std::string& pod_name,
                          const std::string& pod_uid, const std::string& run_id,
                          std::stop_token stop) override;

 private:
  Result<kube::Object> Find(kube::Cache& cache, const kube::Resource& resource, const kube::Key& key,
                            const std::string& uid, std::stop_token stop);

  Caches caches_;
  kube::Reader& reader_;
  RunOwners& owners_;
};

}  // namespace ybis::op
