#pragma once
// Which waiting runs may start: pure. Internal to lib/control.
#include <map>
#include <string>
#include <vector>

#include "control/run_record.h"
#include "store/queue_store.h"

namespace ybis::control {

/// Counts places taken, and takes more while the limits allow. A limit of 0 means none.
class AdmissionPlan {
 public:
  AdmissionPlan(const AdmissionLimits& limits, const std::vector<store::ActiveRow>& active, int64_t max);

  /// No further run can start whatever it is.
  bool Full() const;
  /// Takes a place for the run when there is one.
  bool Take(const store::WaitingRow& row);
  const std::vector<store::WaitingRow>& taken() const { return taken_; }
  /// Lanes and namespaces in which no further run can start.
  std::vector<std::string> FullLanes() const;
  std::vector<std::string> FullNamespaces() const;

 private:
  AdmissionLimits limits_;
  int64_t max_;
  int64_t total_ = 0;
  std::map<std::string, int64_t> by_namespace_;
  std::map<std::string, int64_t> by_lane_;
  std::vector<store::WaitingRow> taken_;
};

/// The runs of which one must end before the plan takes this one, oldest first; empty when it does.
std::vector<std::string> InTheWay(const AdmissionLimits& limits, const std::vector<store::ActiveRow>& active,
                                  const store::WaitingRow& row);

/// What runs of one repository and branch have in common: a digest, since urls are long and may hold
/// anything. The branch is the one delivered to when it is named, else the ref.
std::string LaneOf(const api::TaskSpec& spec);

}  // namespace ybis::control
