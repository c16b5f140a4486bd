#include "operator/pki/serving_secret.h"

#include <nlohmann/json.hpp>

#include "api/meta.h"
#include "base/digest.h"

namespace ybis::op {
namespace {

using nlohmann::json;

constexpr auto kBackdate = std::chrono::minutes(5);  // for clocks that are behind

Result<std::string> ReadKey(const json& data, const char* key) {
  const auto found = data.find(key);
  if (found == data.end() || !found->is_string())
    return Fail(ErrorCode::kInvalid, fmt::format("data.{}: is missing", key));
  auto decoded = Base64Decode(found->get<std::string>());
  if (!decoded) return FailIn(fmt::format("data.{}", key), decoded.error());
  return decoded;
}

Result<http::CertificateAndKey> MakeServer(const http::CertificateAndKey& authority,
                                           const ServingSecretSettings& settings, TimePoint now) {
  http::ServerCertificateRequest request;
  request.common_name = settings.names.front();
  request.dns_names = settings.names;
  request.not_before = now - kBackdate;
  return http::MakeServerCertificate(authority, request);
}

json Body(const json& existing, const ServingSecretSettings& settings,
          const ServingCertificate& certificate) {
  json secret = existing.is_object() ? existing : json::object();
  secret["apiVersion"] = "v1";
  secret["kind"] = "Secret";
  if (!existing.is_object()) secret["type"] = "kubernetes.io/tls";
  secret["metadata"]["name"] = settings.key.name;
  secret["metadata"]["namespace"] = settings.key.ns;
  secret["metadata"]["labels"][std::string(api::kManagedByLabel)] = api::kManagedBy;
  secret["data"] = {{"tls.crt", Base64Encode(certificate.server.certificate_pem)},
                    {"tls.key", Base64Encode(certificate.server.key_pem)},
                    {"ca.crt", Base64Encode(certificate.authority.certificate_pem)},
                    {"ca.key", Base64Encode(certificate.authority.key_pem)}};
  return secret;
}

}  // namespace

Result<ServingCertificate> ReadServingSecret(const json& secret) {
  const auto data = secret.is_object() ? secret.find("data") : secret.end();
  if (!secret.is_object() || data == secret.end() || !data->is_object())
    return Fail(ErrorCode::kInvalid, "data: is missing");
  ServingCertificate out;
  YBIS_ASSIGN(out.server.certificate_pem, ReadKey(*data, "tls.crt"));
  YBIS_ASSIGN(out.server.key_pem, ReadKey(*data, "tls.key"));
  YBIS_ASSIGN(out.authority.certificate_pem, ReadKey(*data, "ca.crt"));
  YBIS_ASSIGN(out.authority.key_pem, ReadKey(*data, "ca.key"));
  return out;
}

Result<std::optional<json>> RenewServingSecret(const json& existing, const ServingSecretSettings& settings,
                                               TimePoint now) {
  auto read = ReadServingSecret(existing);
  ServingCertificate certificate = read ? *read : ServingCertificate{};
  bool changed = false;
  if (!read || http::NeedsRenewal(certificate.authority.certificate_pem, now)) {
    YBIS_ASSIGN(certificate.authority, http::MakeCertificateAuthority("ybis-run-api", now - kBackdate));
    changed = true;
  }
  const bool good = !changed && !http::NeedsRenewal(certificate.server.certificate_pem, now) &&
                    http::CheckServerCertificate(certificate.server, certificate.authority.certificate_pem,
                                                 settings.names, now);
  if (good) return std::optional<json>();
  YBIS_ASSIGN(certificate.server, MakeServer(certificate.authority, settings, now));
  return std::optional<json>(Body(existing, settings, certificate));
}

std::vector<std::string> ServingNames(const std::string& service, const std::string& ns,
                                      const std::string& extra) {
  std::vector<std::string> names = {service, service + "." + ns, service + "." + ns + ".svc",
                                    service + "." + ns + ".svc.cluster.local", "localhost"};
  if (!extra.empty() && std::find(names.begin(), names.end(), extra) == names.end()) names.push_back(extra);
  return names;
}

}  // namespace ybis::op
