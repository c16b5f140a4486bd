#include "http/server_router.h"

#include <set>

namespace ybis::http {
namespace {

std::vector<std::string> Split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  size_t from = 0;
  while (true) {
    const size_t to = text.find(separator, from);
    parts.emplace_back(text.substr(from, to == std::string_view::npos ? to : to - from));
    if (to == std::string_view::npos) return parts;
    from = to + 1;
  }
}

bool IsParam(const std::string& segment) {
  return segment.size() > 2 && segment.front() == '{' && segment.back() == '}';
}

/// Whether the segments fit; fills in the parameters, still encoded.
bool Fits(const Route& route, const std::vector<std::string>& segments,
          std::map<std::string, std::string>& params) {
  if (route.segments.size() != segments.size()) return false;
  params.clear();
  for (size_t i = 0; i < segments.size(); ++i) {
    const std::string& expected = route.segments[i];
    if (!IsParam(expected)) {
      if (expected != segments[i]) return false;
    } else if (segments[i].empty()) {
      return false;
    } else {
      params[expected.substr(1, expected.size() - 2)] = segments[i];
    }
  }
  return true;
}

bool DecodeAll(std::map<std::string, std::string>& params) {
  for (auto& [name, value] : params) {
    auto decoded = PercentDecode(value);
    if (!decoded) return false;
    value = std::move(*decoded);
  }
  return true;
}

Response NotAllowed(const Request& request, const std::set<std::string>& allowed) {
  Response response = ErrorResponse(
      Fail(ErrorCode::kUnsupported, fmt::format("{} {}: the method is not one of {}", request.method,
                                                request.path, fmt::join(allowed, ", ")))
          .value(),
      405);
  response.headers["Allow"] = fmt::format("{}", fmt::join(allowed, ", "));
  return response;
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

void Router::Add(std::string method, std::string pattern, Handler handler, RouteOptions options) {
  auto segments = Split(pattern, '/');
  routes_.push_back(
      {std::move(method), std::move(pattern), std::move(handler), std::move(options), std::move(segments)});
}

Router::Match Router::Find(Request& request) const {
  const std::vector<std::string> segments = Split(request.path, '/');
  std::set<std::string> allowed;
  std::map<std::string, std::string> params;
  for (const Route& route : routes_) {
    if (!Fits(route, segments, params)) continue;
    if (route.method != request.method) {
      allowed.insert(route.method);
      continue;
    }
    if (!DecodeAll(params)) {
      return {nullptr, ErrorResponse(Fail(ErrorCode::kInvalid, "the path is not well encoded").value())};
    }
    request.params = std::move(params);
    return {&route, {}};
  }
  if (!allowed.empty()) return {nullptr, NotAllowed(request, allowed)};
  return {
      nullptr,
      ErrorResponse(
          Fail(ErrorCode::kNotFound, fmt::format("no such path: {}", request.path.substr(0, 200))).value())};
}

std::optional<std::string> PercentDecode(std::string_view text, bool plus_is_space) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '%') {
      if (i + 2 >= text.size()) return std::nullopt;
      const int high = HexDigit(text[i + 1]);
      const int low = HexDigit(text[i + 2]);
      if (high < 0 || low < 0 || (high == 0 && low == 0)) return std::nullopt;
      c = static_cast<char>(high * 16 + low);
      i += 2;
    } else if (c == '+' && plus_is_space) {
      c = ' ';
    }
    out += c;
  }
  return out;
}

bool SplitTarget(std::string_view target, Request& request) {
  if (target.empty() || target.front() != '/') return false;
  const size_t mark = target.find('?');
  request.path = std::string(target.substr(0, mark));
  if (mark == std::string_view::npos || mark + 1 == target.size()) return true;
  for (const std::string& pair : Split(target.substr(mark + 1), '&')) {
    const size_t equals = pair.find('=');
    const auto name = PercentDecode(std::string_view(pair).substr(0, equals), true);
    const auto value = equals == std::string::npos
                           ? std::optional<std::string>("")
                           : PercentDecode(std::string_view(pair).substr(equals + 1), true);
    if (!name || !value) return false;
    request.query[*name] = *value;
  }
  return true;
}

}  // namespace ybis::http
