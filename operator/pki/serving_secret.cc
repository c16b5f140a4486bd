#include "operator/pki/serving_secret.h"

#include <arpa/inet.h>

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

bool IsAddress(const std::string& text) {
  unsigned char bytes[16];
  return inet_pton(AF_INET, text.c_str(), bytes) == 1 || inet_pton(AF_INET6, text.c_str(), bytes) == 1;
}

Result<http::CertificateAndKey> MakeServer(const http::CertificateAndKey& authority,
                                           const ServingSecretSettings& settings, TimePoint now) {
  http::ServerCertificateRequest request;
  request.common_name = settings.names.front();
  // A client checks an address against the certificate's addresses alone, never against its names.
  for (const std::string& name : settings.names) {
    (IsAddress(name) ? request.ip_addresses : request.dns_names).push_back(name);
  }
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
  secret["metadata"]["labels"].update(json{{"app.kubernetes.io/name", "ybis"},
                                           {"app.kubernetes.io/part-of", "ybis"},
                                           {"app.kubernetes.io/component", "operator"},
                                           {"app.kubernetes.io/instance", settings.names.front()},
                                           {std::string(api::kManagedByLabel), api::kManagedBy}});
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
                                               TimePoint now,
                                               const std::optional<ServingCertificate>& known) {
  auto read = ReadServingSecret(existing);
  ServingCertificate certificate = read ? *read : known.value_or(ServingCertificate{});
  bool changed = false;
  if (http::NeedsRenewal(certificate.authority.certificate_pem, now)) {
    YBIS_ASSIGN(certificate.authority, http::MakeCertificateAuthority("ybis-run-api", now - kBackdate));
    changed = true;
  }
  const bool good = read && !changed && !http::NeedsRenewal(certificate.server.certificate_pem, now) &&
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
