#pragma once
// Reads all that is known of a task; decides nothing.
#include <functional>
#include <stop_token>
#include <string>

#include "base/clock.h"
#include "kube/cache.h"
#include "kube/client.h"
#include "operator/task/snapshot.h"

namespace ybis::op {

/// The watched objects, all namespaces in scope.
struct Caches {
  kube::Cache& tasks;
  kube::Cache& workflows;
  kube::Cache& jobs;
  kube::Cache& pods;
};

/// What runs wait for; control::Approvals, a fake in tests.
class Waits {
 public:
  virtual ~Waits() = default;
  virtual Result<std::optional<control::Wait>> WaitOf(const std::string& run_id, std::stop_token stop) = 0;
};

/// Thread-safe; the references must outlive it.
class TaskObserver {
 public:
  /// `run_api_ca` gives the PEM of the Run API's authority, or "".
  TaskObserver(Caches caches, control::TaskRecords& records, Waits& waits, kube::Reader& reader, Clock& clock,
               std::function<std::string()> run_api_ca);

  /// The state of the task now. The Job is read before the record, since a runner records its end before it
  /// leaves: an ended Job with an unended run is thus a fact and no race.
  Result<Snapshot> Observe(const kube::Key& key, std::stop_token stop) const;

  /// The workflow of that name as the namespace sees it: its own object, else a built-in one.
  WorkflowChoice FindWorkflow(const std::string& ns, const std::string& name) const;

 private:
  void ObserveRun(Snapshot& snapshot) const;
  Status ObserveWait(Snapshot& snapshot, std::stop_token stop) const;
  Status ObserveForSubmission(Snapshot& snapshot, std::stop_token stop) const;
  Status CheckSecret(Snapshot& snapshot, const std::string& name, const std::string& field,
                     std::stop_token stop) const;

  Caches caches_;
  control::TaskRecords& records_;
  Waits& waits_;
  kube::Reader& reader_;
  Clock& clock_;
  std::function<std::string()> run_api_ca_;
};

}  // namespace ybis::op
