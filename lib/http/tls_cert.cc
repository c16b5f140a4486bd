#include "http/tls_cert.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include "http/openssl_pointers.h"

namespace ybis::http {
namespace {

using ExtensionPtr = std::unique_ptr<X509_EXTENSION, Freer<X509_EXTENSION_free>>;
using NamesPtr = std::unique_ptr<GENERAL_NAMES, Freer<GENERAL_NAMES_free>>;

using StorePtr = std::unique_ptr<X509_STORE, Freer<X509_STORE_free>>;
using StoreContextPtr = std::unique_ptr<X509_STORE_CTX, Freer<X509_STORE_CTX_free>>;

// Clocks differ between machines: a certificate is good a little before it was made.
constexpr std::chrono::minutes kClockSkew{5};

Unexpected OpenSslFailed(std::string_view what) {
  const unsigned long code = ERR_get_error();
  const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  ERR_clear_error();
  return Fail(ErrorCode::kInternal,
              fmt::format("certificate: {}: {}", what, reason == nullptr ? "failed" : reason));
}

int NoPassphrase(char*, int, int, void*) { return 0; }

X509Ptr ReadCertificate(std::string_view pem) {
  const BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  X509Ptr certificate(PEM_read_bio_X509(bio.get(), nullptr, NoPassphrase, nullptr));
  ERR_clear_error();
  return certificate;
}

KeyPtr ReadKey(std::string_view pem) {
  const BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  KeyPtr key(PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassphrase, nullptr));
  ERR_clear_error();
  return key;
}

std::string TextOf(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return std::string(data, static_cast<size_t>(size));
}

std::string CertificatePem(X509* certificate) {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(bio.get(), certificate);
  return TextOf(bio.get());
}

std::string KeyPem(EVP_PKEY* key) {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  PEM_write_bio_PKCS8PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr);
  return TextOf(bio.get());
}

bool IsAddress(const std::string& text) {
  unsigned char bytes[16];
  return inet_pton(AF_INET, text.c_str(), bytes) == 1 || inet_pton(AF_INET6, text.c_str(), bytes) == 1;
}

/// Letters, digits, '-', '.', and a leading "*."; nothing that the extension's own syntax would read as more.
bool IsDnsName(const std::string& text) {
  if (text.empty() || text.size() > 253 || text.front() == '.' || text.back() == '.') return false;
  const std::string_view name =
      text.starts_with("*.") ? std::string_view(text).substr(2) : std::string_view(text);
  return !name.empty() && std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
  });
}

Status AddExtension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const ExtensionPtr extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
  if (!extension || X509_add_ext(certificate, extension.get(), -1) != 1)
    return OpenSslFailed("extension " + value);
  return {};
}

Status SetSerial(X509* certificate) {
  unsigned char bytes[16];
  if (RAND_bytes(bytes, sizeof(bytes)) != 1) return OpenSslFailed("random serial number");
  bytes[0] &= 0x7f;
  bytes[0] |= 0x01;
  BIGNUM* number = BN_bin2bn(bytes, sizeof(bytes), nullptr);
  const bool ok =
      number != nullptr && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != nullptr;
  BN_free(number);
  if (!ok) return OpenSslFailed("serial number");
  return {};
}

Status SetName(X509_NAME* name, const std::string& common_name) {
  // 64 characters is X.509's own bound; the names that count stand in the extension.
  const std::string text = common_name.substr(0, 64);
  if (X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                                 reinterpret_cast<const unsigned char*>(text.c_str()), -1, -1, 0) != 1) {
    return OpenSslFailed("subject " + text);
  }
  return {};
}

struct Draft {
  X509Ptr certificate;
  KeyPtr key;
};

Result<Draft> Begin(const std::string& common_name, TimePoint not_before, std::chrono::hours lifetime) {
  Draft draft{X509Ptr(X509_new()), KeyPtr(EVP_EC_gen("P-256"))};
  if (!draft.certificate || !draft.key) return OpenSslFailed("key generation");
  X509* certificate = draft.certificate.get();
  X509_set_version(certificate, 2);
  YBIS_TRY(SetSerial(certificate));
  const auto seconds = [](TimePoint time) { return std::chrono::system_clock::to_time_t(time); };
  ASN1_TIME_set(X509_getm_notBefore(certificate), seconds(not_before - kClockSkew));
  ASN1_TIME_set(X509_getm_notAfter(certificate), seconds(not_before + lifetime));
  YBIS_TRY(SetName(X509_get_subject_name(certificate), common_name));
  if (X509_set_pubkey(certificate, draft.key.get()) != 1) return OpenSslFailed("public key");
  return draft;
}

Result<CertificateAndKey> Sign(const Draft& draft, EVP_PKEY* key) {
  if (X509_sign(draft.certificate.get(), key, EVP_sha256()) == 0) return OpenSslFailed("signing");
  return CertificateAndKey{CertificatePem(draft.certificate.get()), KeyPem(draft.key.get())};
}

Result<std::string> AlternativeNames(const ServerCertificateRequest& request) {
  std::vector<std::string> names;
  for (const std::string& name : request.dns_names) {
    if (!IsDnsName(name))
      return Fail(ErrorCode::kInvalid, fmt::format("certificate: '{}' is not a DNS name", name));
    names.push_back("DNS:" + name);
  }
  for (const std::string& address : request.ip_addresses) {
    if (!IsAddress(address)) {
      return Fail(ErrorCode::kInvalid, fmt::format("certificate: '{}' is not an IP address", address));
    }
    names.push_back("IP:" + address);
  }
  if (names.empty())
    return Fail(ErrorCode::kInvalid, "certificate: a server needs at least one name or address");
  return fmt::format("{}", fmt::join(names, ","));
}

TimePoint TimeOf(const ASN1_TIME* time) {
  std::tm parts{};
  ASN1_TIME_to_tm(time, &parts);
  return std::chrono::system_clock::from_time_t(timegm(&parts));
}

void ReadNames(X509* certificate, CertificateInfo& info) {
  const NamesPtr names(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; names && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type == GEN_DNS) {
      info.dns_names.emplace_back(reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.dNSName)),
                                  static_cast<size_t>(ASN1_STRING_length(name->d.dNSName)));
    } else if (name->type == GEN_IPADD) {
      char text[INET6_ADDRSTRLEN] = "";
      const int family = ASN1_STRING_length(name->d.iPAddress) == 4 ? AF_INET : AF_INET6;
      inet_ntop(family, ASN1_STRING_get0_data(name->d.iPAddress), text, sizeof(text));
      info.ip_addresses.emplace_back(text);
    }
  }
}

bool Covers(X509* certificate, const std::string& name) {
  if (IsAddress(name)) return X509_check_ip_asc(certificate, name.c_str(), 0) == 1;
  return X509_check_host(certificate, name.c_str(), name.size(), 0, nullptr) == 1;
}

}  // namespace

Result<CertificateAndKey> MakeCertificateAuthority(const std::string& common_name, TimePoint not_before,
                                                   std::chrono::hours lifetime) {
  YBIS_ASSIGN(const Draft draft, Begin(common_name, not_before, lifetime));
  X509* certificate = draft.certificate.get();
  X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
  YBIS_TRY(AddExtension(certificate, certificate, NID_basic_constraints, "critical,CA:TRUE,pathlen:0"));
  YBIS_TRY(AddExtension(certificate, certificate, NID_key_usage, "critical,keyCertSign,cRLSign"));
  YBIS_TRY(AddExtension(certificate, certificate, NID_subject_key_identifier, "hash"));
  return Sign(draft, draft.key.get());
}

Result<CertificateAndKey> MakeServerCertificate(const CertificateAndKey& authority,
                                                const ServerCertificateRequest& request) {
  const X509Ptr issuer = ReadCertificate(authority.certificate_pem);
  const KeyPtr issuer_key = ReadKey(authority.key_pem);
  if (!issuer || !issuer_key)
    return Fail(ErrorCode::kInvalid, "certificate: the authority's PEM cannot be read");
  if (X509_check_private_key(issuer.get(), issuer_key.get()) != 1) {
    ERR_clear_error();
    return Fail(ErrorCode::kInvalid, "certificate: the authority's key is not that of its certificate");
  }
  std::string names;
  if (!request.for_client) {
    YBIS_ASSIGN(names, AlternativeNames(request));
  }
  YBIS_ASSIGN(const Draft draft, Begin(request.common_name, request.not_before, request.lifetime));
  X509* certificate = draft.certificate.get();
  X509_set_issuer_name(certificate, X509_get_subject_name(issuer.get()));
  YBIS_TRY(AddExtension(certificate, issuer.get(), NID_basic_constraints, "critical,CA:FALSE"));
  YBIS_TRY(AddExtension(certificate, issuer.get(), NID_key_usage, "critical,digitalSignature"));
  YBIS_TRY(AddExtension(certificate, issuer.get(), NID_ext_key_usage,
                        request.for_client ? "clientAuth" : "serverAuth"));
  YBIS_TRY(AddExtension(certificate, issuer.get(), NID_subject_key_identifier, "hash"));
  YBIS_TRY(AddExtension(certificate, issuer.get(), NID_authority_key_identifier, "keyid:always"));
  if (!names.empty()) YBIS_TRY(AddExtension(certificate, issuer.get(), NID_subject_alt_name, names));
  return Sign(draft, issuer_key.get());
}

Result<CertificateInfo> InspectCertificate(std::string_view certificate_pem) {
  const X509Ptr certificate = ReadCertificate(certificate_pem);
  if (!certificate) return Fail(ErrorCode::kInvalid, "certificate: not PEM");
  CertificateInfo info;
  char name[256] = "";
  X509_NAME_get_text_by_NID(X509_get_subject_name(certificate.get()), NID_commonName, name, sizeof(name));
  info.common_name = name;
  info.not_before = TimeOf(X509_get0_notBefore(certificate.get()));
  info.not_after = TimeOf(X509_get0_notAfter(certificate.get()));
  info.is_ca = X509_check_ca(certificate.get()) == 1;
  ReadNames(certificate.get(), info);
  return info;
}

Result<std::string> VerifyClientCertificate(std::string_view certificate_pem,
                                            std::string_view authorities_pem, TimePoint now) {
  const X509Ptr certificate = ReadCertificate(certificate_pem);
  if (!certificate) return Fail(ErrorCode::kDenied, "no client certificate");
  const StorePtr store(X509_STORE_new());
  const BioPtr bundle(BIO_new_mem_buf(authorities_pem.data(), static_cast<int>(authorities_pem.size())));
  while (true) {
    const X509Ptr authority(PEM_read_bio_X509(bundle.get(), nullptr, NoPassphrase, nullptr));
    if (!authority) break;
    X509_STORE_add_cert(store.get(), authority.get());
  }
  const StoreContextPtr context(X509_STORE_CTX_new());
  const bool ready = X509_STORE_CTX_init(context.get(), store.get(), certificate.get(), nullptr) == 1;
  if (ready) {
    X509_STORE_CTX_set_purpose(context.get(), X509_PURPOSE_SSL_CLIENT);
    X509_STORE_CTX_set_time(context.get(), 0, std::chrono::system_clock::to_time_t(now));
  }
  const bool good = ready && X509_verify_cert(context.get()) == 1;
  const int why = X509_STORE_CTX_get_error(context.get());
  ERR_clear_error();
  if (!good) {
    return Fail(ErrorCode::kDenied,
                fmt::format("client certificate: {}", X509_verify_cert_error_string(why)));
  }
  YBIS_ASSIGN(CertificateInfo info, InspectCertificate(certificate_pem));
  return std::move(info.common_name);
}

bool NeedsRenewal(std::string_view certificate_pem, TimePoint now) {
  const auto info = InspectCertificate(certificate_pem);
  if (!info) return true;
  return now < info->not_before || now >= info->not_before + (info->not_after - info->not_before) * 2 / 3;
}

Status CheckServerCertificate(const CertificateAndKey& server, std::string_view authority_pem,
                              const std::vector<std::string>& names, TimePoint now) {
  const X509Ptr certificate = ReadCertificate(server.certificate_pem);
  const X509Ptr authority = ReadCertificate(authority_pem);
  const KeyPtr key = ReadKey(server.key_pem);
  if (!certificate || !authority || !key)
    return Fail(ErrorCode::kInvalid, "certificate: the PEM cannot be read");
  const bool pair = X509_check_private_key(certificate.get(), key.get()) == 1;
  const bool is_signed = X509_verify(certificate.get(), X509_get0_pubkey(authority.get())) == 1;
  ERR_clear_error();
  if (!pair) return Fail(ErrorCode::kInvalid, "certificate: the key is not that of the certificate");
  if (!is_signed) return Fail(ErrorCode::kInvalid, "certificate: not signed by this authority");
  if (now < TimeOf(X509_get0_notBefore(certificate.get())) ||
      now >= TimeOf(X509_get0_notAfter(certificate.get()))) {
    return Fail(ErrorCode::kInvalid, "certificate: not valid at this time");
  }
  for (const std::string& name : names) {
    if (!Covers(certificate.get(), name)) {
      return Fail(ErrorCode::kInvalid, fmt::format("certificate: does not cover the name {}", name));
    }
  }
  return {};
}

}  // namespace ybis::http
