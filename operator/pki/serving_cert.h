#pragma once
// Keeps the Run API's certificate: the leader makes and renews the Secret, every replica follows it.
#include <functional>
#include <optional>
#include <stop_token>
#include <string>

#include "base/clock.h"
#include "base/sync.h"
#include "kube/client.h"
#include "operator/pki/serving_secret.h"

namespace ybis::op {

/// Thread-safe; the references must outlive it.
class ServingCert {
 public:
  ServingCert(kube::Api& api, Clock& clock, ServingSecretSettings settings)
      : api_(api), clock_(clock), settings_(std::move(settings)) {}

  /// Makes or renews the Secret when that is needed; for the leader, now and then.
  Status Ensure(std::stop_token stop);
  /// The Secret as the watch gave it. A broken one is logged and the last good one stays in use.
  void Follow(const nlohmann::json& secret);
  /// Told of every new certificate (and of the current one at once, if there is one); on the thread that
  /// brings it.
  void OnChange(const std::function<void(const http::CertificateAndKey&)>& callback);

  /// Waits for the first certificate; none when stopped.
  std::optional<http::CertificateAndKey> WaitForServer(std::stop_token stop);
  /// The authority for pods to trust, PEM; "" until there is one.
  std::string AuthorityPem();

 private:
  struct State {
    std::optional<ServingCertificate> current;
    std::function<void(const http::CertificateAndKey&)> on_change;
  };
  kube::Api& api_;
  Clock& clock_;
  ServingSecretSettings settings_;
  Sync<State> state_;
};

}  // namespace ybis::op
