#pragma once
// Trust and identity of outgoing TLS connections (OpenSSL).
#include <openssl/ossl_typ.h>

#include "base/result.h"
#include "http/client.h"

namespace ybis::http {

/// Sets up one connection's context: TLS 1.2 at least, a certificate store of its own with what `settings`
/// trusts and nothing else, the client certificate. On failure (the error names the file) the context trusts
/// nobody, so that a handshake over it cannot succeed.
Status ConfigureTls(SSL_CTX* context, const TlsSettings& settings);

}  // namespace ybis::http
