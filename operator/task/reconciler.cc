#include "operator/task/reconciler.h"

#include "operator/task/decide.h"

namespace ybis::op {
namespace {

// The longest way has five: an edit recorded, a hold released, its Job refused, the run held again and shown.
// Twice that would be a circle.
constexpr int kMaxPasses = 10;

template <class T>
bool Holds(const Plan& plan) {
  return std::any_of(plan.actions.begin(), plan.actions.end(),
                     [](const Action& action) { return std::holds_alternative<T>(action); });
}

}  // namespace

Result<ReconcileResult> TaskReconciler::Reconcile(const kube::Key& key, std::stop_token stop) {
  bool submitted = false;
  bool admitted = false;
  std::optional<CreateProblem> problem;
  for (int pass = 0; pass < kMaxPasses; ++pass) {
    YBIS_ASSIGN(Snapshot snapshot, observer_.Observe(key, stop));
    snapshot.submitted = submitted;
    snapshot.admitted = admitted;
    snapshot.create_problem = problem;
    const Plan plan = Decide(snapshot, settings_, clock_.Now());
    YBIS_ASSIGN(problem, actor_.Act(snapshot, plan, stop));
    submitted = submitted || Holds<SubmitRun>(plan);
    admitted = admitted || Holds<AdmitRuns>(plan) || Holds<ReleaseRun>(plan) || Holds<HoldRun>(plan) ||
               Holds<SubmitRun>(plan);
    if (!plan.look_again && !problem) return ReconcileResult{plan.requeue_after};
  }
  return Fail(ErrorCode::kInternal,
              fmt::format("task {}: no rest after {} passes", key.ToString(), kMaxPasses));
}

}  // namespace ybis::op
