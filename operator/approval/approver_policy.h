#pragma once
// Whether the API server pins spec.approver of a YbisApproval to its maker (configs/admission).
#include <optional>
#include <string>

#include "base/clock.h"
#include "control/health.h"
#include "kube/client.h"

namespace ybis::op {

inline constexpr kube::Resource kAdmissionPolicies{
    "admissionregistration.k8s.io", "v1", "validatingadmissionpolicies", "ValidatingAdmissionPolicy", false};
inline constexpr kube::Resource kAdmissionPolicyBindings{"admissionregistration.k8s.io", "v1",
                                                         "validatingadmissionpolicybindings",
                                                         "ValidatingAdmissionPolicyBinding", false};

/// Why spec.approver of an approval that was made at `made` proves nothing; none when the policy was in force
/// then, as it is now. An error of the API server's when it could not be asked, or does not let us look.
Result<std::optional<std::string>> WhyUnproven(kube::Reader& reader, TimePoint made, std::stop_token stop);

/// Looks at the admission policy and its binding. They belong to the whole cluster and to no operator, so
/// that anybody may change them or take them away; without them an approval names whomever its maker likes.
/// `reader` must outlive the check.
control::HealthCheck ApproverPolicyCheck(kube::Reader& reader);

}  // namespace ybis::op
