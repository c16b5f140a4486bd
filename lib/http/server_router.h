#pragma once
// Which handler answers which method and path.
#include <chrono>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "http/server_message.h"

namespace ybis::http {

/// Answers one request. Called on a worker thread, several at a time; may block. The stop token is requested
/// when the server ends and its grace is over, not when the client goes away. A throw becomes a 500.
using Handler = std::function<Response(const Request&, std::stop_token)>;
/// Looks at a request before its body is read (authentication): an answer refuses it, and the body never
/// enters memory.
using HeadCheck = std::function<std::optional<Response>(const Request&, std::stop_token)>;

struct RouteOptions {
  size_t max_body = 1024 * 1024;
  std::chrono::milliseconds body_timeout{60'000};  ///< to read the whole body
  /// Runs on a pool of its own, so that it cannot keep short requests waiting.
  bool long_running = false;
  HeadCheck head_check;
  /// Bytes of memory that a body of so many may take while it is read and handled; none: what it has itself.
  std::function<size_t(size_t body)> memory;
};

struct Route {
  std::string method;
  std::string pattern;
  Handler handler;
  RouteOptions options;
  std::vector<std::string> segments;
};

/// A table of routes. Filled before the server starts, then only read.
class Router {
 public:
  /// `pattern` is made of literal segments and `{name}` for one segment: "/v1/runs/{id}/claim". A segment may
  /// hold an encoded slash. The first route that fits wins.
  void Add(std::string method, std::string pattern, Handler handler, RouteOptions options = {});

  struct Match {
    const Route* route = nullptr;  ///< null: `refusal` says why
    Response refusal;              ///< 404, 405 (with Allow) or 400 (bad encoding)
  };
  /// Finds the route and fills in `request.params`.
  Match Find(Request& request) const;

 private:
  std::vector<Route> routes_;
};

/// Decodes %XX; nullopt when it is malformed or decodes to a NUL byte.
std::optional<std::string> PercentDecode(std::string_view text, bool plus_is_space = false);
/// Splits "path?a=1&b" into path and query; false when the query is malformed.
bool SplitTarget(std::string_view target, Request& request);

}  // namespace ybis::http
