#pragma once
// Trust and identity of outgoing TLS connections (OpenSSL).
#include <openssl/ossl_typ.h>

#include <memory>
#include <string>

#include "base/result.h"
#include "base/sync.h"
#include "http/client.h"

namespace ybis::http {

/// Why the last TLS connection could not be made, in words; "" when nothing was wrong.
using TlsProblem = std::shared_ptr<Sync<std::string>>;

/// Sets up one connection's context: TLS 1.2 at least, a certificate store of its own with what `settings`
/// trusts and nothing else, the client certificate. When our own files are no good `problem` names the file
/// and the context trusts nobody, so that a handshake over it cannot succeed; a server certificate that is
/// refused is told there too.
void ConfigureTls(SSL_CTX* context, const TlsSettings& settings, TlsProblem problem);

}  // namespace ybis::http
