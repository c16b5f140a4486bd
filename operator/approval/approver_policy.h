#pragma once
// Whether the API server pins spec.approver of a YbisApproval to its maker (configs/admission).
#include "control/health.h"
#include "kube/client.h"

namespace ybis::op {

inline constexpr kube::Resource kAdmissionPolicies{
    "admissionregistration.k8s.io", "v1", "validatingadmissionpolicies", "ValidatingAdmissionPolicy", false};
inline constexpr kube::Resource kAdmissionPolicyBindings{"admissionregistration.k8s.io", "v1",
                                                         "validatingadmissionpolicybindings",
                                                         "ValidatingAdmissionPolicyBinding", false};

/// Looks at the admission policy and its binding. They belong to the whole cluster and to no operator, so
/// that anybody may take them away; without them an approval names whomever its maker likes. `reader` must
/// outlive the check.
control::HealthCheck ApproverPolicyCheck(kube::Reader& reader);

}  // namespace ybis::op
