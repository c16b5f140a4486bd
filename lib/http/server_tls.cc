#include "http/server_tls.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include "http/openssl_pointers.h"

namespace ybis::http {
namespace {

BioPtr Reader(const std::string& text) {
  return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

Unexpected Wrong(const char* what) {
  ERR_clear_error();
  return Fail(ErrorCode::kInvalid, fmt::format("TLS: {}", what));
}

/// A key with a passphrase must fail instead of asking the terminal.
int NoPassphrase(char*, int, int, void*) { return 0; }

Status AddChain(SSL_CTX* context, BIO* bio) {
  while (true) {
    X509Ptr next(PEM_read_bio_X509(bio, nullptr, NoPassphrase, nullptr));
    if (!next) break;
    if (SSL_CTX_add0_chain_cert(context, next.get()) != 1)
      return Wrong("a certificate of the chain does not fit");
    (void)next.release();  // the context has it
  }
  ERR_clear_error();
  return {};
}

/// Any certificate is taken in the handshake, which proves that the client has its key; who trusts its issuer
/// is asked later.
int TakeAny(int, X509_STORE_CTX*) { return 1; }

void AskClientCertificate(SSL_CTX* context) {
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_CLIENT_ONCE, TakeAny);
  constexpr unsigned char kSessionContext[] = "ybis";
  SSL_CTX_set_session_id_context(context, kSessionContext, sizeof(kSessionContext) - 1);
}

}  // namespace

Status ConfigureServerTls(SSL_CTX* context, const ServerTls& tls) {
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_options(context,
                      SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  const BioPtr chain = Reader(tls.certificate_pem);
  const X509Ptr own(PEM_read_bio_X509(chain.get(), nullptr, NoPassphrase, nullptr));
  if (!own) return Wrong("the certificate is not PEM");
  if (SSL_CTX_use_certificate(context, own.get()) != 1) return Wrong("the certificate cannot be used");
  YBIS_TRY(AddChain(context, chain.get()));
  const BioPtr key_text = Reader(tls.key_pem);
  const KeyPtr key(PEM_read_bio_PrivateKey(key_text.get(), nullptr, NoPassphrase, nullptr));
  if (!key) return Wrong("the private key is not PEM, or is encrypted");
  if (SSL_CTX_use_PrivateKey(context, key.get()) != 1 || SSL_CTX_check_private_key(context) != 1) {
    return Wrong("the private key does not belong to the certificate");
  }
  if (tls.ask_client_certificate) AskClientCertificate(context);
  return {};
}

std::string ClientCertificatePem(const SSL* connection) {
  const X509Ptr certificate(SSL_get1_peer_certificate(connection));
  if (!certificate) return {};
  const BioPtr bio(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(bio.get(), certificate.get());
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return std::string(data, static_cast<size_t>(size));
}

}  // namespace ybis::http
