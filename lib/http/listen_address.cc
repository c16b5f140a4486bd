#include "http/listen_address.h"

#include <charconv>

namespace ybis::http {

Result<ListenAddress> ParseListen(const std::string& text) {
  const size_t colon = text.rfind(':');
  const std::string port = colon == std::string::npos ? text : text.substr(colon + 1);
  std::string host = colon == std::string::npos ? "" : text.substr(0, colon);
  if (host.size() > 1 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  ListenAddress address;
  if (!host.empty()) address.address = host;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), address.port);
  if (error != std::errc() || end != port.data() + port.size() || address.port < 0 || address.port > 65535) {
    return Fail(ErrorCode::kInvalid,
                "'" + text + "' is no address and port, such as :8443 or 127.0.0.1:8443");
  }
  return address;
}

}  // namespace ybis::http
