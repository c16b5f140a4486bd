#pragma once
// Carries out a plan; decides nothing.
#include <optional>
#include <stop_token>

#include "control/metrics.h"
#include "kube/cache.h"
#include "kube/client.h"
#include "operator/task/plan.h"
#include "operator/task/snapshot.h"

namespace ybis::op {

inline constexpr std::string_view kFieldManager = "ybis-operator";

/// Hears of runners that are known to be gone; Watchdog::HolderLost, a fake in tests.
class LostHolders {
 public:
  virtual ~LostHolders() = default;
  virtual Status HolderLost(const std::string& run_id, const std::string& holder, std::stop_token stop) = 0;
};

/// Where actions go; all must outlive the Actor and be thread-safe.
struct ActorPorts {
  kube::Api& api;
  kube::Cache& tasks;  ///< told of our own writes
  kube::Cache& jobs;
  control::TaskRecords& records;
  LostHolders& lost;
  kube::EventSink& events;
  control::Metrics& metrics;
};

/// Thread-safe.
class Actor {
 public:
  explicit Actor(ActorPorts ports) : ports_(ports) {}

  /// Does the actions in order, up to the first failure. A Job that the API server refuses is an outcome to
  /// be decided upon, not an error.
  Result<std::optional<CreateProblem>> Act(const Snapshot& snapshot, const Plan& plan, std::stop_token stop);

 private:
  struct Visitor;
  ActorPorts ports_;
};

}  // namespace ybis::op
