#pragma once
// Makes and inspects X.509 certificates (ECDSA P-256, OpenSSL): a private authority and server certificates
// of it, all as PEM text.
#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace ybis::http {

/// A certificate and its private key (PKCS #8), PEM.
struct CertificateAndKey {
  std::string certificate_pem;
  std::string key_pem;
};

struct ServerCertificateRequest {
  std::string common_name;
  std::vector<std::string> dns_names;
  std::vector<std::string> ip_addresses;
  TimePoint not_before;
  std::chrono::hours lifetime{24 * 90};
  bool for_client = false;  ///< proves a client instead, by its common name; needs no other names
};

struct CertificateInfo {
  std::string common_name;
  std::vector<std::string> dns_names;
  std::vector<std::string> ip_addresses;
  TimePoint not_before;
  TimePoint not_after;
  bool is_ca = false;
};

/// A self-signed authority that may sign servers' certificates and no further authorities.
Result<CertificateAndKey> MakeCertificateAuthority(const std::string& common_name, TimePoint not_before,
                                                   std::chrono::hours lifetime = std::chrono::hours{24 *
                                                                                                    3650});
/// A server's certificate signed by `authority`. kInvalid: no name at all, or one that is not a DNS name or
/// address.
Result<CertificateAndKey> MakeServerCertificate(const CertificateAndKey& authority,
                                                const ServerCertificateRequest& request);
/// What stands in the first certificate of the text.
Result<CertificateInfo> InspectCertificate(std::string_view certificate_pem);
/// Whether two thirds of its life are over (or it is not valid yet, or unreadable: then it is to be made anew
/// too).
bool NeedsRenewal(std::string_view certificate_pem, TimePoint now);
/// Whether the certificate may prove a client: issued by one of the authorities (any number of them in one
/// text), good at `now`, for that purpose. Gives its common name; kDenied says why not.
Result<std::string> VerifyClientCertificate(std::string_view certificate_pem,
                                            std::string_view authorities_pem, TimePoint now);
/// Checks that a server's pair belongs together, was signed by the authority, is good at `now` and covers
/// every name.
Status CheckServerCertificate(const CertificateAndKey& server, std::string_view authority_pem,
                              const std::vector<std::string>& names, TimePoint now);

}  // namespace ybis::http
