#pragma once
// Observe, decide, act: until nothing is left to do for the moment.
#include "operator/runtime/controller.h"
#include "operator/task/act.h"
#include "operator/task/observe.h"
#include "operator/task/snapshot.h"

namespace ybis::op {

/// Thread-safe; the references must outlive it.
class TaskReconciler final : public Reconciler {
 public:
  TaskReconciler(const TaskObserver& observer, Actor& actor, TaskSettings settings, Clock& clock)
      : observer_(observer), actor_(actor), settings_(std::move(settings)), clock_(clock) {}

  Result<ReconcileResult> Reconcile(const kube::Key& key, std::stop_token stop) override;

 private:
  const TaskObserver& observer_;
  Actor& actor_;
  TaskSettings settings_;
  Clock& clock_;
};

}  // namespace ybis::op
