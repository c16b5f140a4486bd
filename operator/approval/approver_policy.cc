#include "operator/approval/approver_policy.h"

#include <nlohmann/json.hpp>

namespace ybis::op {
namespace {

using control::HealthFinding;
using control::HealthGrade;
using nlohmann::json;

const kube::Key kPolicy{"", "ybisapprovals.ybis.dev"};

HealthFinding Finding(HealthGrade grade, std::string message, std::string remedy) {
  return {"approver-policy", "", grade, std::move(message), std::move(remedy)};
}

HealthFinding Unpinned(std::string message) {
  return Finding(HealthGrade::kBroken,
                 std::move(message) + ": whoever may make an approval may name anybody as its approver",
                 "kubectl apply -f configs/admission/, or set the chart's approvals.admissionPolicy");
}

/// What could not be read is not missing.
HealthFinding Unread(const Error& error) {
  if (error.code == ErrorCode::kNotFound) return Unpinned("not installed");
  return Finding(HealthGrade::kWarning, "cannot be looked at: " + error.message,
                 "let the operator get validatingadmissionpolicies and their bindings, as the chart does");
}

bool Denies(const json& binding) {
  const json spec = binding.value("spec", json::object());
  const json actions = spec.value("validationActions", json::array());
  return spec.value("policyName", "") == kPolicy.name &&
         std::find(actions.begin(), actions.end(), "Deny") != actions.end();
}

}  // namespace

control::HealthCheck ApproverPolicyCheck(kube::Reader& reader) {
  return [&reader](std::stop_token stop) {
    const auto policy = reader.Get(kAdmissionPolicies, kPolicy, stop);
    if (!policy) return Unread(policy.error());
    const auto binding = reader.Get(kAdmissionPolicyBindings, kPolicy, stop);
    if (!binding) return Unread(binding.error());
    if (!Denies(*binding)) return Unpinned("its binding denies nothing");
    return Finding(HealthGrade::kOk, "an approval is its maker's own", "");
  };
}

}  // namespace ybis::op
