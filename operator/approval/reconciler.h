#pragma once
// Brings each YbisApproval before the record once, and writes down what came of it.
#include "control/approvals.h"
#include "kube/cache.h"
#include "kube/client.h"
#include "kube/events.h"
#include "operator/approval/outcome.h"
#include "operator/runtime/controller.h"

namespace ybis::op {

/// Who decides; control::Approvals, a fake in tests. The same key twice is one decision.
class Decisions {
 public:
  virtual ~Decisions() = default;
  /// Whether a decision has that key.
  virtual Result<bool> Known(const std::string& key, std::stop_token stop) = 0;
  virtual Result<control::ApprovalResult> Decide(const control::ApprovalRequest& request,
                                                 std::stop_token stop) = 0;
};

/// What it works with; all must outlive it and be thread-safe.
struct ApprovalPorts {
  kube::Cache& approvals;
  kube::Cache& tasks;  ///< those that this operator takes
  kube::Api& api;
  control::TaskRecords& records;
  Decisions& decisions;
  kube::EventSink& events;
  Clock& clock;
  bool require_admission_policy = true;  ///< refuse what no admission policy pinned to its maker
};

/// Thread-safe. An approval with a phase is never looked at again; one without may have been decided before a
/// crash, and its UID as the key brings back what came of it then.
class ApprovalReconciler final : public Reconciler {
 public:
  explicit ApprovalReconciler(ApprovalPorts ports) : ports_(ports) {}

  Result<ReconcileResult> Reconcile(const kube::Key& key, std::stop_token stop) override;

 private:
  struct Subject;
  Result<Subject> FindSubject(const kube::Key& task, std::stop_token stop);
  Result<std::optional<std::string>> FindDoubt(const api::Approval& approval, std::stop_token stop);
  Result<ApprovalOutcome> Judge(const api::Approval& approval, const Subject& subject, std::stop_token stop);
  Status Write(const nlohmann::json& object, const api::ApprovalStatus& status, std::stop_token stop);

  ApprovalPorts ports_;
};

}  // namespace ybis::op
