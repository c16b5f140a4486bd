#include "http/url.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <charconv>

namespace ybis::http {
namespace {

bool IsUnreserved(unsigned char c) {
  return std::isalnum(c) != 0 || c == '-' || c == '.' || c == '_' || c == '~';
}

/// What may stand in a target or authority as it is: printable ASCII without what RFC 3986 leaves out.
bool IsUrlCharacter(unsigned char c) {
  return c > 0x20 && c < 0x7f &&
         std::string_view("\"<>\\^`{|}").find(static_cast<char>(c)) == std::string_view::npos;
}

Result<int> ParsePort(std::string_view text) {
  int port = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size() || port < 1 || port > 65535) {
    return Fail(ErrorCode::kInvalid, fmt::format("URL: port '{}' is not 1 to 65535", text));
  }
  return port;
}

Status SplitAuthority(std::string_view authority, Url& url) {
  if (authority.find('@') != std::string_view::npos) {
    return Fail(ErrorCode::kInvalid, "URL: a user or password in it is refused, since URLs end up in logs");
  }
  if (authority.find('[') != std::string_view::npos) {
    return Fail(
        ErrorCode::kInvalid,
        fmt::format("URL: IPv6 literal {} cannot be reached by this client; use a DNS name", authority));
  }
  const size_t colon = authority.find(':');
  url.port = url.scheme == "https" ? 443 : 80;
  if (colon != std::string_view::npos) {
    YBIS_ASSIGN(url.port, ParsePort(authority.substr(colon + 1)));
  }
  url.host = std::string(authority.substr(0, colon));
  for (char& c : url.host) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if (url.host.empty()) return Fail(ErrorCode::kInvalid, "URL: has no host");
  return {};
}

}  // namespace

std::string Url::Origin() const { return fmt::format("{}://{}:{}", scheme, host, port); }

Result<Url> ParseUrl(std::string_view text) {
  Url url;
  if (text.starts_with("https://")) {
    url.scheme = "https";
  } else if (text.starts_with("http://")) {
    url.scheme = "http";
  } else {
    return Fail(ErrorCode::kInvalid, "URL: must start with https:// or http://");
  }
  for (const char c : text) {
    if (!IsUrlCharacter(static_cast<unsigned char>(c))) {
      return Fail(ErrorCode::kInvalid, "URL: holds a character that must be percent-encoded");
    }
  }
  if (text.find('#') != std::string_view::npos)
    return Fail(ErrorCode::kInvalid, "URL: a fragment is refused");
  std::string_view rest = text.substr(url.scheme.size() + 3);
  const size_t target = rest.find_first_of("/?");
  YBIS_TRY(SplitAuthority(rest.substr(0, target), url));
  url.target = target == std::string_view::npos ? "/" : std::string(rest.substr(target));
  if (url.target[0] == '?') url.target.insert(0, "/");
  return url;
}

bool IsLoopback(std::string_view host) {
  // Four numbers and nothing else: "127.0.0.1.example.com" is a name like any other.
  in_addr address{};
  const bool ipv4 = ::inet_pton(AF_INET, std::string(host).c_str(), &address) == 1;
  return host == "localhost" || host == "::1" || (ipv4 && (ntohl(address.s_addr) >> 24) == 127);
}

std::string EncodeComponent(std::string_view text) {
  std::string encoded;
  encoded.reserve(text.size());
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (IsUnreserved(byte)) {
      encoded += c;
    } else {
      encoded += fmt::format("%{:02X}", byte);
    }
  }
  return encoded;
}

std::string EncodeQuery(const std::map<std::string, std::string>& parameters) {
  std::string query;
  for (const auto& [key, value] : parameters) {
    if (value.empty()) continue;
    if (!query.empty()) query += '&';
    query += EncodeComponent(key) + "=" + EncodeComponent(value);
  }
  return query;
}

}  // namespace ybis::http
