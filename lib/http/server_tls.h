#pragma once
// The server's side of TLS (OpenSSL).
#include <openssl/ossl_typ.h>

#include "base/result.h"
#include "http/server.h"

namespace ybis::http {

/// Gives a fresh context the certificate chain and key: TLS 1.2 at least, no renegotiation. kInvalid says
/// what is wrong with the pair.
Status ConfigureServerTls(SSL_CTX* context, const ServerTls& tls);
/// The certificate that the client gave in the handshake, PEM; "" = none.
std::string ClientCertificatePem(const SSL* connection);

}  // namespace ybis::http
