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

constexpr Duration kInForce = std::chrono::seconds(10);  // until every API server heeds a new policy

bool Denies(const json& binding) {
  const json spec = binding.value("spec", json::object());
  const json actions = spec.value("validationActions", json::array());
  return spec.value("policyName", "") == kPolicy.name &&
         std::find(actions.begin(), actions.end(), "Deny") != actions.end();
}

/// What is there of the policy.
struct Look {
  std::string missing;  ///< empty: it is in force
  TimePoint since;      ///< of its younger half
};

Result<Look> LookAt(kube::Reader& reader, std::stop_token stop) {
  Look out;
  for (const kube::Resource* resource : {&kAdmissionPolicies, &kAdmissionPolicyBindings}) {
    const auto object = reader.Get(*resource, kPolicy, stop);
    if (!object && object.error().code == ErrorCode::kNotFound) return Look{"not installed", {}};
    if (!object) return Fail(object.error());
    if (resource == &kAdmissionPolicyBindings && !Denies(*object))
      return Look{"its binding denies nothing", {}};
    YBIS_ASSIGN(const TimePoint made, ParseRfc3339(kube::MetaString(*object, "creationTimestamp")));
    out.since = std::max(out.since, made);
  }
  return out;
}

}  // namespace

Result<std::optional<std::string>> WhyUnproven(kube::Reader& reader, TimePoint made, std::stop_token stop) {
  const auto look = LookAt(reader, stop);
  const std::string what = "the admission policy that pins spec.approver to who makes an approval";
  if (!look && look.error().code == ErrorCode::kDenied) {
    return fmt::format("{} cannot be looked at ({})", what, look.error().message);
  }
  if (!look) return Fail(look.error());
  if (!look->missing.empty()) return fmt::format("{} is missing ({})", what, look->missing);
  if (made >= look->since + kInForce) return std::nullopt;
  return fmt::format("{} was not in force yet when this one was made", what);
}

control::HealthCheck ApproverPolicyCheck(kube::Reader& reader) {
  return [&reader](std::stop_token stop) {
    const auto look = LookAt(reader, stop);
    if (!look) {
      // What could not be read is not missing.
      return Finding(
          HealthGrade::kWarning, "cannot be looked at: " + look.error().message,
          "let the operator get validatingadmissionpolicies and their bindings, as the chart does");
    }
    if (!look->missing.empty()) {
      return Finding(HealthGrade::kBroken,
                     look->missing + ": whoever may make an approval may name anybody as its approver",
                     "kubectl apply -f configs/admission/, or set the chart's approvals.admissionPolicy");
    }
    return Finding(HealthGrade::kOk, "an approval is its maker's own", "");
  };
}

}  // namespace ybis::op
