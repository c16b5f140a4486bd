#pragma once
// One HTTP request as a handler sees it, and what it answers.
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace ybis::http {

/// Who is at the other end.
struct Peer {
  std::string address;  ///< "10.0.0.7", "::1", or "unix"
  int port = 0;
  bool tls = false;
  /// PEM of the certificate that a client proved to hold the key of (ServerTls::ask_client_certificate); not
  /// checked against any authority. "" = none was given.
  std::string certificate_pem = {};
};

/// A request whose body has been read whole (empty in a head check, which runs before it).
struct Request {
  std::string method;
  std::string path;                            ///< as sent, without the query
  std::map<std::string, std::string> params;   ///< of the route's pattern, percent-decoded
  std::map<std::string, std::string> query;    ///< percent-decoded
  std::map<std::string, std::string> headers;  ///< names in lower case; repeated ones joined by ", "
  /// Each value of a header that came more than once: joined, values that hold a comma could not be told
  /// apart.
  std::map<std::string, std::vector<std::string>> repeated_headers;
  std::string body;
  Peer peer;

  /// The header's value or "". `name` in lower case.
  std::string Header(const std::string& name) const;
  /// Every value of the header, in order. `name` in lower case.
  std::vector<std::string> HeaderValues(const std::string& name) const;
  std::string Param(const std::string& name) const;
  /// The token of `Authorization: Bearer …`, or "".
  std::string BearerToken() const;
};

struct Response {
  int status = 200;
  std::map<std::string, std::string> headers;
  std::string body;
};

/// The value as an application/json body.
Response JsonResponse(const nlohmann::json& value, int status = 200);
Response TextResponse(std::string text, int status = 200);
/// `{"error":{"code","message","retryable"}}` under the status that belongs to the code (StatusOf), with
/// Retry-After when the error has one. Registered secrets are masked.
Response ErrorResponse(const Error& error);
Response ErrorResponse(const Error& error, int status);
/// The status code an ErrorCode travels under: kInvalid 400, kDenied 403, kStale 409, kExhausted 429, …
int StatusOf(ErrorCode code);

}  // namespace ybis::http
