#include "http/client_tls.h"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include <memory>

#include "base/file.h"

namespace ybis::http {
namespace {

constexpr size_t kMaxPemBytes = 4 * 1024 * 1024;

template <auto kFree>
struct Freer {
  template <class T>
  void operator()(T* value) const {
    kFree(value);
  }
};
using BioPtr = std::unique_ptr<BIO, Freer<BIO_free_all>>;
using X509Ptr = std::unique_ptr<X509, Freer<X509_free>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY_free>>;

BioPtr Reader(std::string_view pem) {
  return BioPtr(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
}

/// Without a callback OpenSSL would ask for a pass phrase on the terminal.
int NoPassphrase(char*, int, int, void*) { return 0; }

X509Ptr NextCertificate(BIO* bio) {
  X509Ptr certificate(PEM_read_bio_X509(bio, nullptr, NoPassphrase, nullptr));
  ERR_clear_error();  // the end of the file counts as an error
  return certificate;
}

Status Trust(X509_STORE* store, std::string_view pem, std::string_view source) {
  const BioPtr bio = Reader(pem);
  int count = 0;
  while (const X509Ptr certificate = NextCertificate(bio.get())) {
    X509_STORE_add_cert(store, certificate.get());
    ++count;
  }
  if (count == 0) return Fail(ErrorCode::kInvalid, fmt::format("{}: holds no PEM certificate", source));
  return {};
}

Status FillStore(X509_STORE* store, const TlsSettings& settings) {
  // A certificate that was named is trusted whether it is self-signed or not.
  X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
  if (settings.system_roots) X509_STORE_set_default_paths(store);
  if (!settings.ca_pem.empty()) YBIS_TRY(Trust(store, settings.ca_pem, "CA certificates"));
  if (!settings.ca_file.empty()) {
    YBIS_ASSIGN(const std::string pem, ReadFile(settings.ca_file, kMaxPemBytes));
    YBIS_TRY(Trust(store, pem, settings.ca_file));
  }
  return {};
}

Result<ClientCertificate> LoadIdentity(const TlsSettings& settings) {
  if (settings.client_certificate) return settings.client_certificate();
  ClientCertificate identity;
  if (settings.client_cert_file.empty()) return identity;
  YBIS_ASSIGN(identity.certificate_pem, ReadFile(settings.client_cert_file, kMaxPemBytes));
  YBIS_ASSIGN(identity.key_pem, ReadFile(settings.client_key_file, kMaxPemBytes));
  return identity;
}

Status UseIdentity(SSL_CTX* context, const ClientCertificate& identity, std::string_view source) {
  const BioPtr certificates = Reader(identity.certificate_pem);
  const X509Ptr leaf = NextCertificate(certificates.get());
  if (!leaf || SSL_CTX_use_certificate(context, leaf.get()) != 1) {
    return Fail(ErrorCode::kInvalid, fmt::format("client certificate {}: is not a PEM certificate", source));
  }
  while (const X509Ptr intermediate = NextCertificate(certificates.get())) {
    SSL_CTX_add1_chain_cert(context, intermediate.get());
  }
  const BioPtr key_reader = Reader(identity.key_pem);
  const KeyPtr key(PEM_read_bio_PrivateKey(key_reader.get(), nullptr, NoPassphrase, nullptr));
  ERR_clear_error();
  if (!key)
    return Fail(ErrorCode::kInvalid, fmt::format("client key of {}: is not an unencrypted PEM key", source));
  if (SSL_CTX_use_PrivateKey(context, key.get()) != 1) {
    ERR_clear_error();
    return Fail(ErrorCode::kInvalid,
                fmt::format("client key of {}: does not belong to the certificate", source));
  }
  return {};
}

Status Configure(SSL_CTX* context, const TlsSettings& settings) {
  YBIS_TRY(FillStore(SSL_CTX_get_cert_store(context), settings));
  YBIS_ASSIGN(const ClientCertificate identity, LoadIdentity(settings));
  if (identity.certificate_pem.empty()) return {};
  return UseIdentity(
      context, identity,
      settings.client_cert_file.empty() ? "given as data" : std::string_view(settings.client_cert_file));
}

/// Where a context keeps its problem; freed with the context, which the library may hold a little longer than
/// we do.
int ProblemIndex() {
  static const int kIndex = SSL_CTX_get_ex_new_index(
      0, nullptr, nullptr, nullptr, [](void*, void* problem, CRYPTO_EX_DATA*, int, long, void*) {
        delete static_cast<TlsProblem*>(problem);
      });
  return kIndex;
}

/// Verifies as usual and keeps why it failed, since the library above says only that the handshake did.
int Verify(X509_STORE_CTX* chain, void* context) {
  const int verified = X509_verify_cert(chain);
  const auto* problem =
      static_cast<TlsProblem*>(SSL_CTX_get_ex_data(static_cast<SSL_CTX*>(context), ProblemIndex()));
  if (verified == 1 || problem == nullptr) return verified;
  const int error = X509_STORE_CTX_get_error(chain);
  auto text = (*problem)->Lock();
  if (text->empty()) {
    *text = fmt::format("the server's certificate is not trusted: {}",
                        error == X509_V_OK || error == X509_V_ERR_UNSPECIFIED
                            ? "it is made out to another name"
                            : X509_verify_cert_error_string(error));
  }
  return verified;
}

}  // namespace

void ConfigureTls(SSL_CTX* context, const TlsSettings& settings, TlsProblem problem) {
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_cert_store(context, X509_STORE_new());
  const Status status = Configure(context, settings);
  if (!status) SSL_CTX_set_cert_store(context, X509_STORE_new());
  *problem->Lock() = status ? std::string() : status.error().message;
  SSL_CTX_set_ex_data(context, ProblemIndex(), new TlsProblem(std::move(problem)));
  SSL_CTX_set_cert_verify_callback(context, Verify, context);
}

}  // namespace ybis::http
