#include "http/server_message.h"

#include <nlohmann/json.hpp>

#include "base/json.h"
#include "base/log.h"

namespace ybis::http {
namespace {

std::string Lookup(const std::map<std::string, std::string>& values, const std::string& name) {
  const auto it = values.find(name);
  return it == values.end() ? std::string() : it->second;
}

}  // namespace

std::string Request::Header(const std::string& name) const { return Lookup(headers, name); }
std::vector<std::string> Request::HeaderValues(const std::string& name) const {
  if (const auto found = repeated_headers.find(name); found != repeated_headers.end()) return found->second;
  const auto found = headers.find(name);
  return found == headers.end() ? std::vector<std::string>() : std::vector<std::string>{found->second};
}

std::string Request::Param(const std::string& name) const { return Lookup(params, name); }

std::string Request::BearerToken() const {
  const std::string value = Header("authorization");
  constexpr std::string_view kScheme = "bearer ";
  if (value.size() <= kScheme.size()) return {};
  for (size_t i = 0; i < kScheme.size(); ++i) {
    if (std::tolower(static_cast<unsigned char>(value[i])) != kScheme[i]) return {};
  }
  return value.substr(value.find_first_not_of(' ', kScheme.size() - 1));
}

Response JsonResponse(const nlohmann::json& value, int status) {
  return {status, {{"Content-Type", "application/json"}}, DumpJson(value)};
}

Response TextResponse(std::string text, int status) {
  return {status, {{"Content-Type", "text/plain; charset=utf-8"}}, std::move(text)};
}

Response ErrorResponse(const Error& error) { return ErrorResponse(error, StatusOf(error.code)); }

Response ErrorResponse(const Error& error, int status) {
  Response response = JsonResponse({{"error",
                                     {{"code", ToString(error.code)},
                                      {"message", log::Redact(error.message)},
                                      {"retryable", error.retryable}}}},
                                   status);
  if (error.retry_after.count() > 0) {
    response.headers["Retry-After"] = std::to_string((error.retry_after.count() + 999) / 1000);
  }
  return response;
}

int StatusOf(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalid:
      return 400;
    case ErrorCode::kDenied:
      return 403;
    case ErrorCode::kNotFound:
      return 404;
    case ErrorCode::kConflict:
    case ErrorCode::kExists:
    case ErrorCode::kStale:
    case ErrorCode::kCancelled:
      return 409;
    case ErrorCode::kGone:
      return 410;
    case ErrorCode::kTooLarge:
      return 413;
    case ErrorCode::kExhausted:
      return 429;
    case ErrorCode::kUnsupported:
      return 501;
    case ErrorCode::kUnavailable:
      return 503;
    case ErrorCode::kTimeout:
      return 504;
    case ErrorCode::kInternal:
      return 500;
  }
  return 500;
}

}  // namespace ybis::http
