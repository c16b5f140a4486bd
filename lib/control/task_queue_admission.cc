#include "control/task_queue_admission.h"

#include "base/digest.h"

namespace ybis::control {
namespace {

bool Reached(int64_t limit, int64_t count) { return limit > 0 && count >= limit; }

std::vector<std::string> AtLimit(const std::map<std::string, int64_t>& counts, int64_t limit) {
  std::vector<std::string> full;
  for (const auto& [name, count] : counts) {
    if (Reached(limit, count)) full.push_back(name);
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
  return Reached(limits_.total, total_) || static_cast<int64_t>(taken_.size()) >= max_;
}

bool AdmissionPlan::Take(const store::WaitingRow& row) {
  if (Full()) return false;
  int64_t& in_namespace = by_namespace_[row.namespace_name];
  int64_t& in_lane = by_lane_[row.lane];
  if (Reached(limits_.per_namespace, in_namespace)) return false;
  if (Reached(limits_.per_repository_branch, in_lane)) return false;
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

std::vector<std::string> InTheWay(const AdmissionLimits& limits, const std::vector<store::ActiveRow>& active,
                                  const store::WaitingRow& row) {
  std::vector<std::string> all, in_namespace, in_lane;
  for (const store::ActiveRow& other : active) {
    all.push_back(other.run_id);
    if (other.namespace_name == row.namespace_name) in_namespace.push_back(other.run_id);
    if (other.lane == row.lane) in_lane.push_back(other.run_id);
  }
  if (Reached(limits.per_repository_branch, in_lane.size())) return in_lane;
  if (Reached(limits.per_namespace, in_namespace.size())) return in_namespace;
  if (Reached(limits.total, all.size())) return all;
  return {};
}

std::string LaneOf(const api::TaskSpec& spec) {
  std::string url = spec.repository.url;
  while (url.ends_with('/')) url.pop_back();
  if (url.ends_with(".git")) url.resize(url.size() - 4);
  const bool delivers = spec.delivery.mode != api::DeliveryMode::kNone && !spec.delivery.branch.empty();
  return Sha256Hex(url + "\n" + (delivers ? spec.delivery.branch : spec.repository.ref));
}

}  // namespace ybis::control
