#include "base/result.h"

#include <utility>

namespace ybis {

std::string_view ToString(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalid:
      return "Invalid";
    case ErrorCode::kNotFound:
      return "NotFound";
    case ErrorCode::kConflict:
      return "Conflict";
    case ErrorCode::kExists:
      return "Exists";
    case ErrorCode::kStale:
      return "Stale";
    case ErrorCode::kGone:
      return "Gone";
    case ErrorCode::kDenied:
      return "Denied";
    case ErrorCode::kExhausted:
      return "Exhausted";
    case ErrorCode::kUnavailable:
      return "Unavailable";
    case ErrorCode::kTimeout:
      return "Timeout";
    case ErrorCode::kCancelled:
      return "Cancelled";
    case ErrorCode::kTooLarge:
      return "TooLarge";
    case ErrorCode::kUnsupported:
      return "Unsupported";
    case ErrorCode::kInternal:
      return "Internal";
  }
  return "Internal";
}

Unexpected Fail(ErrorCode code, std::string message) {
  const bool retryable = code == ErrorCode::kUnavailable || code == ErrorCode::kTimeout ||
                         code == ErrorCode::kExhausted || code == ErrorCode::kConflict;
  return Unexpected(Error{code, std::move(message), retryable, std::chrono::milliseconds{0}});
}

Unexpected Fail(Error error) { return Unexpected(std::move(error)); }

Unexpected FailIn(std::string_view context, Error error) {
  error.message = std::string(context) + ": " + error.message;
  return Unexpected(std::move(error));
}

}  // namespace ybis
