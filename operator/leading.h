#pragma once
// What only the leader does: controllers, admission, watchdog, sweep of orphans, the certificate's renewal.
#include <atomic>
#include <chrono>
#include <memory>
#include <optional>

#include "control/metrics.h"
#include "control/watchdog.h"
#include "operator/pki/serving_cert.h"
#include "operator/runtime/controller.h"
#include "operator/runtime/periodic.h"
#include "operator/task/orphans.h"

namespace ybis::op {

/// References that must outlive Leading.
struct LeadingParts {
  Caches caches;
  store::Pool& pool;
  control::TaskRecords& records;
  Controller& tasks;
  Controller& workflows;
  OrphanSweeper& orphans;
  ServingCert& certificate;
  control::Metrics& metrics;
  std::chrono::seconds sweep;
};

/// Start and Stop are called by one thread, in this order, once each: who has lost the lead leaves the
/// process. The rest may be called by any thread at any time, and does nothing on a replica that does not
/// lead.
class Leading {
 public:
  explicit Leading(LeadingParts parts);
  ~Leading();

  void Start();
  void Stop(std::chrono::milliseconds drain);
  bool IsLeading() const { return leading_.load(); }

  void TaskChanged(const kube::Key& key);
  void WorkflowChanged(const kube::Key& key);
  void TaskDeleted();
  /// The record of a task changed: a place may have become free, too.
  void RecordChanged(const kube::Key& key);
  /// Everything is to be looked at.
  void Resync();

 private:
  struct Work;
  Status Admit();
  void Swept(const std::vector<control::RunRecord>& runs);

  LeadingParts parts_;
  std::atomic<bool> leading_{false};
  Sync<std::shared_ptr<Work>> work_;
};

}  // namespace ybis::op
