#pragma once
// Tells of each YbisWorkflow whether tasks can use it, with every problem named.
#include "kube/cache.h"
#include "kube/client.h"
#include "kube/events.h"
#include "operator/runtime/controller.h"

namespace ybis::op {

/// The status of a YbisWorkflow object as it should be; pure.
nlohmann::json BuildWorkflowStatus(const nlohmann::json& workflow, TimePoint now);

/// Thread-safe; the references must outlive it.
class WorkflowReconciler final : public Reconciler {
 public:
  WorkflowReconciler(kube::Cache& workflows, kube::Api& api, kube::EventSink& events, Clock& clock)
      : workflows_(workflows), api_(api), events_(events), clock_(clock) {}

  Result<ReconcileResult> Reconcile(const kube::Key& key, std::stop_token stop) override;

 private:
  kube::Cache& workflows_;
  kube::Api& api_;
  kube::EventSink& events_;
  Clock& clock_;
};

}  // namespace ybis::op
