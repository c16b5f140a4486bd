#pragma once
// Ends runs whose task was deleted. Done from the record, so that tasks need no finalizer and nothing hangs
// when the operator is away while they are deleted.
#include <stop_token>

#include "base/clock.h"
#include "kube/client.h"
#include "operator/task/observe.h"
#include "operator/task/open_runs.h"

namespace ybis::op {

/// Called by one thread at a time; the references must outlive it.
class OrphanSweeper {
 public:
  /// `ns` limits it to one namespace; "" = all.
  OrphanSweeper(OpenRuns& open_runs, control::TaskRecords& records, Caches caches, kube::Api& api,
                Clock& clock, std::string ns);

  /// Cancels every open run whose task is gone, kills its pods, and stays with it until it has ended (a
  /// minute at most).
  Status Sweep(std::stop_token stop);

 private:
  Result<std::vector<OpenRun>> Orphans(std::stop_token stop);
  Result<bool> TaskIsGone(const OpenRun& run, std::stop_token stop);
  Status End(const OpenRun& run, std::stop_token stop);
  Result<bool> StopWork(const OpenRun& run, std::stop_token stop);

  OpenRuns& open_runs_;
  control::TaskRecords& records_;
  Caches caches_;
  kube::Api& api_;
  Clock& clock_;
  std::string namespace_;
};

}  // namespace ybis::op
