#pragma once
// One small HTTP/1.1 server over Boost.Beast: limits and time-outs on everything a client sends, TLS that
// reloads, a stop that lets requests in flight finish.
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "http/server_router.h"

namespace ybis::http {

/// A PEM certificate chain (the server's own first) and its key.
struct ServerTls {
  std::string certificate_pem;
  std::string key_pem;
  /// Asks clients for a certificate, which they need not give. Whom it makes them is the handler's to judge
  /// (VerifyClientCertificate): authorities change while connections live.
  bool ask_client_certificate = false;
};

/// Where to listen: a TCP address or a Unix socket.
struct ListenAddress {
  std::string address = "::";  ///< "::" takes IPv4 too (and falls back to it where there is no IPv6)
  int port = 0;                ///< 0 = any free one
  bool tls = false;            ///< with ServerSettings::tls
  std::string unix_path;  ///< not empty: a Unix socket of mode 0600 instead; an old socket file is replaced
};

struct ServerSettings {
  std::vector<ListenAddress> listen;
  std::optional<ServerTls> tls;
  size_t max_header_bytes = 16 * 1024;
  /// Bytes of request bodies and what their routes make of them (RouteOptions::memory) at once, over all
  /// connections; what is over waits for nothing and gets 503.
  size_t max_buffered_bytes = 512 * 1024 * 1024;
  /// The one that has waited longest makes room for a new one: idle, or without a request that its route's
  /// check let through. When all are at work the new one is refused.
  size_t max_connections = 1024;
  /// Of these one address may have so many that no check has let through yet; Unix sockets aside.
  size_t max_strangers_per_peer = 64;
  std::chrono::milliseconds header_timeout{10'000};  ///< from the first byte of a request (or TLS handshake)
  std::chrono::milliseconds idle_timeout{75'000};    ///< between requests
  std::chrono::milliseconds write_timeout{60'000};   ///< of one response
  int workers = 16;                                  ///< threads for short requests, started as needed
  int long_workers = 64;                             ///< threads for routes that are long_running
  int check_workers = 16;                            ///< threads for head checks
  size_t max_queued = 256;  ///< requests that wait for a thread, each pool; more get 503
  /// Told of each answered request: route pattern ("" when none fitted), status, time from head to last byte.
  /// Must be quick and thread-safe.
  std::function<void(std::string_view method, std::string_view route, int status, std::chrono::microseconds)>
      on_request;
};

/// Serves from Start until Stop. Thread-safe. The handlers' own references must outlive it.
class Server {
 public:
  /// Binds and begins to serve; errors name the address or what is wrong with the certificate.
  static Result<std::unique_ptr<Server>> Start(ServerSettings settings, Router router);
  /// Stops with a grace of 5 s.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// The TCP port of the n-th listener (0 for a Unix socket).
  int Port(size_t listener = 0) const;
  /// New connections get the new certificate; a pair that does not fit is refused and the old one stays.
  Status ReloadTls(const ServerTls& tls);
  /// Takes no more connections, closes the idle ones, lets requests in flight finish for `grace`, then asks
  /// their handlers to stop and closes what is left. Returns when all is over; later calls do nothing.
  void Stop(std::chrono::milliseconds grace);
  size_t Connections() const;

 private:
  class Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace ybis::http
