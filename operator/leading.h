#pragma once
// What only the leader does: controllers, admission, watchdog, sweep of orphans, the certificate's renewal.
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>

#include "control/metrics.h"
#include "control/watchdog.h"
#include "kube/events.h"
#include "operator/pki/serving_cert.h"
#include "operator/runtime/controller.h"
#include "operator/runtime/periodic.h"
#include "operator/task/orphans.h"

namespace ybis::op {

/// References that must outlive Leading.
struct LeadingParts {
  Caches caches;
  kube::Cache& approval_objects;
  store::Pool& pool;
  control::TaskRecords& records;
  Controller& tasks;
  Controller& workflows;
  Controller& approvals;
  OrphanSweeper& orphans;
  ServingCert& certificate;
  kube::EventSink& events;
  control::Metrics& metrics;
  Clock& clock;
  std::chrono::seconds sweep;
  std::function<Status(std::stop_token)> keep_api_service;  ///< now and then
  /// Ends calls of `records` that are under way, which take no stop token of the workers.
  std::function<void()> interrupt_records;
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
  void ApprovalChanged(const kube::Key& key);
  void TaskDeleted();
  /// The record of a task changed: a place may have become free, too.
  void RecordChanged(const kube::Key& key);
  /// Everything is to be looked at.
  void Resync();

 private:
  struct Work;
  Status Admit();
  void Swept(const std::vector<control::RunRecord>& runs);
  void Expired(const std::vector<control::RunRecord>& runs);
  void Remind(const std::vector<control::Wait>& waits);

  LeadingParts parts_;
  std::atomic<bool> leading_{false};
  /// Woken under its lock, so that Stop alone destroys it: the watchdog, which wakes too, cannot join itself.
  Sync<std::unique_ptr<Work>> work_;
};

}  // namespace ybis::op
