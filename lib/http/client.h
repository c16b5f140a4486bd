#pragma once
// The one HTTP client: an adapter over cpprestsdk that bounds what the library leaves unbounded (total time,
// body size, redirects, buffering) and makes a stop request end any call at once.
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/result.h"

namespace ybis::http {

/// Sizes the pool of I/O threads that all clients share. Call it first thing in main; the first Client does
/// it otherwise. Later calls change nothing.
void InitThreads(int threads = 4);

/// One request to an absolute http:// or https:// URL.
struct ClientRequest {
  std::string method = "GET";
  std::string url;
  std::map<std::string, std::string> headers;  ///< names or values with control characters are refused
  std::string body;
  std::chrono::milliseconds timeout{30'000};     ///< Send: total. Stream: until the head has arrived
  std::chrono::milliseconds idle_timeout{0};     ///< Stream: longest silence between chunks; 0 = none
  size_t max_response_bytes = 64 * 1024 * 1024;  ///< Send only: a longer body is kTooLarge
  /// A pooled connection may be found dead and its request sent a second time by the library; set false for
  /// what must not be repeated (a paid model call): it gets a connection of its own.
  bool pooled = true;
};

struct ClientResponse {
  int status = 0;
  std::map<std::string, std::string> headers;  ///< names in lower case
  std::string body;

  /// The header's value or "". `name` in lower case.
  std::string Header(const std::string& name) const;
  /// Retry-After (seconds or an HTTP date), at most 1 hour; 0 when absent or senseless.
  std::chrono::milliseconds RetryAfter() const;
};

/// What a Stream call tells its caller, on the caller's own thread. A failed Status ends the stream with that
/// error.
struct StreamHandler {
  std::function<Status(const ClientResponse& head)> on_head;  ///< once; the body is empty
  std::function<Status(std::string_view chunk)> on_chunk;     ///< in order; chunks split anywhere
};

/// Sends requests; what others depend on, so that tests can fake it. Implementations are thread-safe.
class Transport {
 public:
  virtual ~Transport() = default;

  /// The whole response, whatever its status code. Redirects are not followed. Errors: kUnavailable (DNS,
  /// connection, TLS; the message names the host), kTimeout, kTooLarge, kCancelled (within milliseconds of
  /// the stop request), kInvalid (bad URL or header).
  virtual Result<ClientResponse> Send(const ClientRequest& request, std::stop_token stop) = 0;

  /// Hands the body over as it arrives; returns when it has ended. At most 256 KiB wait unread, then the
  /// sender is held back. Errors as Send, and the handler's.
  virtual Status Stream(const ClientRequest& request, const StreamHandler& handler, std::stop_token stop) = 0;
};

/// A client certificate and its key, as PEM text.
struct ClientCertificate {
  std::string certificate_pem;
  std::string key_pem;
};

/// Who is trusted and who we are; read again for every new connection, so that rotated files are picked up.
struct TlsSettings {
  bool system_roots = true;  ///< trust the system's certificate authorities
  std::string ca_file;       ///< and / or these
  std::string ca_pem;
  std::string client_cert_file;  ///< with client_key_file
  std::string client_key_file;
  /// Takes the place of the two files; called on an I/O thread, must be quick. An empty certificate = none.
  std::function<Result<ClientCertificate>()> client_certificate;
};

struct ClientSettings {
  TlsSettings tls;
  std::string user_agent = "ybis";
};

/// The Transport over cpprestsdk. Thread-safe; keeps one pool of connections for each scheme, host and port.
/// Calls in progress must have ended (by their stop tokens) before it is destroyed.
class Client final : public Transport {
 public:
  explicit Client(ClientSettings settings);
  ~Client() override;
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  Result<ClientResponse> Send(const ClientRequest& request, std::stop_token stop) override;
  Status Stream(const ClientRequest& request, const StreamHandler& handler, std::stop_token stop) override;

 private:
  class Pools;
  class Exchange;
  Result<ClientResponse> SendOnce(const ClientRequest& request, std::stop_token stop);

  std::shared_ptr<Pools> pools_;
};

}  // namespace ybis::http
