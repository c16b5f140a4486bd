#pragma once
// Sockets to listen on (POSIX).
#include "base/result.h"
#include "http/server.h"

namespace ybis::http {

/// A bound, listening, non-blocking descriptor; its taker closes it.
struct ListeningSocket {
  int descriptor = -1;
  int family = 0;
  int port = 0;  ///< 0 for a Unix socket
};

/// Opens what `listen` says. "::" is dual-stack and falls back to IPv4 where there is no IPv6. Errors name
/// the address.
Result<ListeningSocket> OpenListener(const ListenAddress& listen);

}  // namespace ybis::http
