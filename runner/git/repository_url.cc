#include "runner/git/repository_url.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>

#include "http/url.h"

namespace ybis::git {
namespace {

constexpr size_t kMaxUrl = 2048;

bool IsAlnum(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0; }

bool IsBlankOrControl(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte <= 0x20 || byte == 0x7f;
}

bool IsHostName(std::string_view host) {
  if (host.empty() || host.size() > 253 || host.front() == '-' || host.front() == '.') return false;
  return std::all_of(host.begin(), host.end(),
                     [](char c) { return IsAlnum(c) || c == '.' || c == '-' || c == '_'; });
}

bool IsIpv6(std::string_view host) {
  return host.find(':') != host.npos && std::all_of(host.begin(), host.end(), [](unsigned char c) {
           return std::isxdigit(c) || c == ':' || c == '.';
         });
}

bool IsUserName(std::string_view user) {
  if (user.empty() || user.front() == '-') return false;
  return std::all_of(user.begin(), user.end(),
                     [](char c) { return IsAlnum(c) || c == '.' || c == '-' || c == '_' || c == '+'; });
}

/// %00 to %1f and %7f would reach the server, or a credential request, as control characters.
bool HasEncodedControl(std::string_view path) {
  for (size_t at = path.find('%'); at != path.npos; at = path.find('%', at + 1)) {
    unsigned value = 0;
    const std::string_view digits = path.substr(at + 1, 2);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
    if (error != std::errc() || end != digits.data() + 2 || value < 0x20 || value == 0x7f) return true;
  }
  return false;
}

Unexpected Refuse(std::string what) {
  return Fail(ErrorCode::kInvalid, "repository URL: " + std::move(what));
}

Status ParsePort(std::string_view text, int& port) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size() || port < 1 || port > 65535) {
    return Refuse("the port must be a number from 1 to 65535");
  }
  return {};
}

Status ParseUser(std::string_view userinfo, RepositoryUrl& url) {
  if (userinfo.find(':') != userinfo.npos) {
    return Refuse("holds a password; put it into a Secret and name that in credentialsSecretRef");
  }
  if (!IsUserName(userinfo))
    return Refuse("the user name holds characters other than letters, digits and . _ + -");
  url.user = userinfo;
  return {};
}

/// [user@]host[:port]
Status ParseAuthority(std::string_view authority, RepositoryUrl& url) {
  if (const size_t at = authority.rfind('@'); at != authority.npos) {
    YBIS_TRY(ParseUser(authority.substr(0, at), url));
    authority.remove_prefix(at + 1);
  }
  std::string_view port;
  bool has_port = false;
  if (!authority.empty() && authority.front() == '[') {
    const size_t close = authority.find(']');
    if (close == authority.npos || !IsIpv6(authority.substr(1, close - 1)))
      return Refuse("the IPv6 address is malformed");
    url.host = authority.substr(1, close - 1);
    port = authority.substr(close + 1);
    has_port = !port.empty();
    if (has_port && port.front() != ':') return Refuse("the IPv6 address is malformed");
    if (has_port) port.remove_prefix(1);
  } else {
    const size_t colon = authority.find(':');
    has_port = colon != authority.npos;
    if (has_port) port = authority.substr(colon + 1);
    url.host = authority.substr(0, colon);
    if (!IsHostName(url.host)) return Refuse("the host name is empty or malformed");
  }
  std::transform(url.host.begin(), url.host.end(), url.host.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (has_port) YBIS_TRY(ParsePort(port, url.port));
  return {};
}

Result<RepositoryUrl> ParseRemote(std::string_view text, Transport transport, std::string_view rest) {
  RepositoryUrl url{
      .transport = transport, .user = {}, .host = {}, .port = 0, .path = {}, .text = std::string(text)};
  const size_t slash = rest.find('/');
  if (slash == rest.npos || slash + 1 == rest.size()) return Refuse("names no repository after the host");
  YBIS_TRY(ParseAuthority(rest.substr(0, slash), url));
  url.path = rest.substr(slash);
  if (url.path.find_first_of("?#\\") != url.path.npos)
    return Refuse("a query, fragment or backslash is not allowed");
  if (HasEncodedControl(url.path)) return Refuse("the path holds a malformed or control character after %");
  return url;
}

Result<RepositoryUrl> ParseFile(std::string_view text, std::string_view path, UrlPolicy policy) {
  if (!policy.allow_file) {
    return Refuse("local paths and file:// are allowed in local mode only; write https:// or ssh://");
  }
  if (path.empty() || path.front() != '/')
    return Refuse("file:// takes an absolute path: file:///folder/repository");
  return RepositoryUrl{.transport = Transport::kFile,
                       .user = {},
                       .host = {},
                       .port = 0,
                       .path = std::string(path),
                       .text = std::string(text)};
}

/// user@host:path
Result<RepositoryUrl> ParseScpLike(std::string_view text) {
  const size_t at = text.find('@');
  const size_t colon = text.find(':');
  if (at == text.npos || colon == text.npos || colon < at || text.find("::") != text.npos) {
    return Refuse("must be https://host/path, ssh://user@host/path or user@host:path");
  }
  RepositoryUrl url{
      .transport = Transport::kSsh, .user = {}, .host = {}, .port = 0, .path = {}, .text = std::string(text)};
  YBIS_TRY(ParseUser(text.substr(0, at), url));
  url.host = text.substr(at + 1, colon - at - 1);
  url.path = text.substr(colon + 1);
  if (!IsHostName(url.host)) return Refuse("the host name is empty or malformed");
  if (url.path.empty() || url.path.front() == '-' || url.path.find('\\') != url.path.npos) {
    return Refuse("names no repository after the host");
  }
  return url;
}

Result<RepositoryUrl> ParseHttp(std::string_view text, std::string_view rest, UrlPolicy policy) {
  YBIS_ASSIGN(RepositoryUrl url, ParseRemote(text, Transport::kHttp, rest));
  if (!policy.allow_insecure_http || !http::IsLoopback(url.host)) {
    return Refuse("http:// would send credentials and code in the clear; write https://");
  }
  return url;
}

std::string HostAndPort(const RepositoryUrl& url) {
  const bool v6 = url.host.find(':') != std::string::npos;
  std::string text = v6 ? "[" + url.host + "]" : url.host;
  if (url.port != 0) text += fmt::format(":{}", url.port);
  return text;
}

}  // namespace

std::string RepositoryUrl::Display() const {
  if (transport == Transport::kFile || user.empty()) return text;
  if (text.find("://") == std::string::npos) return host + ":" + path;
  return text.substr(0, text.find("://") + 3) + HostAndPort(*this) + path;
}

std::string RepositoryUrl::Origin() const {
  if (transport == Transport::kHttps) return "https://" + HostAndPort(*this);
  if (transport == Transport::kHttp) return "http://" + HostAndPort(*this);
  return {};
}

Result<RepositoryUrl> ParseRepositoryUrl(std::string_view text, UrlPolicy policy) {
  if (text.empty()) return Refuse("is empty");
  if (text.size() > kMaxUrl) return Refuse(fmt::format("is longer than {} bytes", kMaxUrl));
  if (text.front() == '-') return Refuse("must not start with '-'");
  if (std::any_of(text.begin(), text.end(), IsBlankOrControl))
    return Refuse("holds a blank or control character");
  if (text.front() == '/') return ParseFile(text, text, policy);
  const size_t colon = text.find("://");
  if (colon == text.npos) return ParseScpLike(text);
  const std::string_view scheme = text.substr(0, colon);
  const std::string_view rest = text.substr(colon + 3);
  if (scheme == "https") return ParseRemote(text, Transport::kHttps, rest);
  if (scheme == "ssh") return ParseRemote(text, Transport::kSsh, rest);
  if (scheme == "http") return ParseHttp(text, rest, policy);
  if (scheme == "file") return ParseFile(text, rest, policy);
  return Refuse("only https:// and ssh:// are allowed");
}

}  // namespace ybis::git
