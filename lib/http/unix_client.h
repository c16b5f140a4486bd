#pragma once
// HTTP/1.1 over a Unix socket, for what stays on one machine.
#include "http/client.h"

namespace ybis::http {

/// The Transport for URLs of the form `unix:/path/to.sock:/v1/things?a=b`. One connection a request, so
/// nothing is ever sent twice; no TLS, for the socket's permissions say who may connect. Response heads are
/// bounded at 64 KiB. Thread-safe; holds nothing between calls.
class UnixClient final : public Transport {
 public:
  explicit UnixClient(std::string user_agent = "ybis") : user_agent_(std::move(user_agent)) {}

  /// Errors as Transport says: kUnavailable when nobody listens there or the connection breaks.
  Result<ClientResponse> Send(const ClientRequest& request, std::stop_token stop) override;
  Status Stream(const ClientRequest& request, const StreamHandler& handler, std::stop_token stop) override;

 private:
  std::string user_agent_;
};

/// A `unix:` URL taken apart.
struct UnixUrl {
  std::string socket;  ///< absolute path, without a colon
  std::string target;  ///< path and query, at least "/"
};
/// Errors (kInvalid) say what is wrong and which form is wanted.
Result<UnixUrl> ParseUnixUrl(std::string_view text);

}  // namespace ybis::http
