#pragma once
// Absolute http(s) URLs taken apart, and percent-encoding.
#include <map>
#include <string>
#include <string_view>

#include "base/result.h"

namespace ybis::http {

/// An absolute http or https URL. User information is refused, since it would end up in logs.
struct Url {
  std::string scheme;  ///< "http" or "https"
  std::string host;    ///< lower case, no brackets
  int port = 0;
  std::string target;  ///< path and query, at least "/"

  /// "https://host:443": what connections are pooled by.
  std::string Origin() const;
};

/// Refuses other schemes, user information, fragments, control characters, IPv6 literals (the client cannot
/// reach them) and ports out of range.
Result<Url> ParseUrl(std::string_view text);

/// Whether a URL's host can be nowhere but on this machine: localhost, ::1 or an IPv4 address of 127.0.0.0/8.
bool IsLoopback(std::string_view host);

/// Percent-encodes all but the unreserved characters (RFC 3986).
std::string EncodeComponent(std::string_view text);
/// "a=1&b=x%20y", keys in order; entries with an empty value are left out.
std::string EncodeQuery(const std::map<std::string, std::string>& parameters);

}  // namespace ybis::http
