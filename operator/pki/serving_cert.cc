#include "operator/pki/serving_cert.h"

#include <nlohmann/json.hpp>

#include "base/log.h"

namespace ybis::op {

using nlohmann::json;

Status ServingCert::Ensure(std::stop_token stop) {
  auto existing = api_.Get(kube::kSecrets, settings_.key, stop);
  if (!existing && existing.error().code != ErrorCode::kNotFound) {
    return FailIn("reading Secret " + settings_.key.ToString(), existing.error());
  }
  const auto known = state_.Lock()->current;
  YBIS_ASSIGN(const auto wanted,
              RenewServingSecret(existing ? *existing : json(), settings_, clock_.Now(), known));
  if (!wanted) return {};
  auto written =
      existing ? api_.Replace(kube::kSecrets, *wanted, stop) : api_.Create(kube::kSecrets, *wanted, stop);
  if (!written) return FailIn("writing Secret " + settings_.key.ToString(), written.error());
  log::Info("certificate of the run api made", {{"secret", settings_.key.ToString()}});
  return {};
}

void ServingCert::Follow(const json& secret) {
  auto read = ReadServingSecret(secret);
  if (!read) {
    log::Warn("certificate of the run api cannot be read",
              {{"secret", settings_.key.ToString()}, {"error", read.error().message}});
    return;
  }
  std::function<void(const http::CertificateAndKey&)> callback;
  {
    auto state = state_.Lock();
    state->current = *read;
    callback = state->on_change;
  }
  state_.NotifyAll();
  if (callback) callback(read->server);
}

void ServingCert::OnChange(const std::function<void(const http::CertificateAndKey&)>& callback) {
  std::optional<ServingCertificate> current;
  {
    auto state = state_.Lock();
    state->on_change = callback;
    current = state->current;
  }
  if (current) callback(current->server);
}

std::optional<http::CertificateAndKey> ServingCert::WaitForServer(std::stop_token stop) {
  auto state = state_.Lock();
  if (!state_.Wait(state, stop, [](const State& seen) { return seen.current.has_value(); }))
    return std::nullopt;
  return state->current->server;
}

std::string ServingCert::AuthorityPem() {
  auto state = state_.Lock();
  return state->current ? state->current->authority.certificate_pem : std::string();
}

}  // namespace ybis::op
