#include "control/task_queue_admission.h"

#include "base/digest.h"

namespace ybis::control {
namespace {

std::vector<std::string> AtLimit(const std::map<std::string, int64_t>& counts, int64_t limit) {
  std::vector<std::string> full;
  for (const auto& [name, count] : counts) {
    if (limit > 0 && count >= limit) full.push_back(name);
  }
  return full;
}

}  // namespace

AdmissionPlan::AdmissionPlan(const AdmissionLimits& limits, const std::vector<store::ActiveRow>& active,
                             int64_t max)
    : limits_(limits), max_(max) {
  for (const store::ActiveRow& row : active) {
    ++total_;
    ++by_namespace_[row.namespace_name];
    ++by_lane_[row.lane];
  }
}

bool AdmissionPlan::Full() const {
  return (limits_.total > 0 && total_ >= limits_.total) || static_cast<int64_t>(taken_.size()) >= max_;
}

bool AdmissionPlan::Take(const store::WaitingRow& row) {
  if (Full()) return false;
  int64_t& in_namespace = by_namespace_[row.namespace_name];
  int64_t& in_lane = by_lane_[row.lane];
  if (limits_.per_namespace > 0 && in_namespace >= limits_.per_namespace) return false;
  if (limits_.per_repository_branch > 0 && in_lane >= limits_.per_repository_branch) return false;
  ++in_namespace;
  ++in_lane;
  ++total_;
  taken_.push_back(row);
  return true;
}

std::vector<std::string> AdmissionPlan::FullLanes() const {
  return AtLimit(by_lane_, limits_.per_repository_branch);
}

std::vector<std::string> AdmissionPlan::FullNamespaces() const {
  return AtLimit(by_namespace_, limits_.per_namespace);
}

std::string LaneOf(const api::TaskSpec& spec) {
  std::string url = spec.repository.url;
  while (url.ends_with('/')) url.pop_back();
  if (url.ends_with(".git")) url.resize(url.size() - 4);
  const bool delivers = spec.delivery.mode != api::DeliveryMode::kNone && !spec.delivery.branch.empty();
  return Sha256Hex(url + "\n" + (delivers ? spec.delivery.branch : spec.repository.ref));
}

}  // namespace ybis::control
