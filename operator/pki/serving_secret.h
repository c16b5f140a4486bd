#pragma once
// The Secret that holds the Run API's certificate and its authority; pure.
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "http/tls_cert.h"
#include "kube/resource.h"

namespace ybis::op {

/// What the Secret's data holds: tls.crt, tls.key, ca.crt, ca.key.
struct ServingCertificate {
  http::CertificateAndKey server;
  http::CertificateAndKey authority;
};

struct ServingSecretSettings {
  kube::Key key;
  std::vector<std::string> names;  ///< names and addresses of the Run API, the Service's own first
};

/// Reads it; kInvalid names the key that is missing or malformed.
Result<ServingCertificate> ReadServingSecret(const nlohmann::json& secret);

/// The Secret as it has to be written now: new, or with what is broken, about to expire or for other names
/// made anew. None when `existing` is good. `existing` may be null; its metadata (resourceVersion too) is
/// kept. `known` is what was last in use: pods under way trust its authority, so it comes back where
/// `existing` can't be read.
Result<std::optional<nlohmann::json>> RenewServingSecret(const nlohmann::json& existing,
                                                         const ServingSecretSettings& settings, TimePoint now,
                                                         const std::optional<ServingCertificate>& known = {});

/// "svc", "svc.ns", "svc.ns.svc", "svc.ns.svc.cluster.local", "localhost" and `extra` when it is none of
/// them.
std::vector<std::string> ServingNames(const std::string& service, const std::string& ns,
                                      const std::string& extra);

}  // namespace ybis::op
