#pragma once
// Result<T> and Error: how every expected failure travels (libexpected's tl::expected).
#include <chrono>
#include <string>
#include <string_view>
#include <tl/expected.hpp>

namespace ybis {

/// What kind of failure it was; callers branch on this, people read the message.
enum class ErrorCode {
  kInvalid,      ///< the input is wrong; asking again cannot help
  kNotFound,     ///< what was named does not exist
  kConflict,     ///< somebody else changed it first (HTTP 409, a lost race)
  kExists,       ///< it exists already
  kStale,        ///< the epoch or digest is not the current one: stop, another owner has taken over
  kGone,         ///< a resourceVersion too old to watch from (HTTP 410)
  kDenied,       ///< not authenticated or not allowed
  kExhausted,    ///< a limit or budget is used up, or throttled (HTTP 429)
  kUnavailable,  ///< the other side cannot be reached or is failing (connection, HTTP 5xx)
  kTimeout,      ///< a deadline passed
  kCancelled,    ///< a stop was requested
  kTooLarge,     ///< a size limit was passed
  kUnsupported,  ///< this machine or server cannot do it
  kInternal,     ///< a bug or a broken invariant
};

/// The name of a code as it stands in logs and JSON, e.g. "NotFound".
std::string_view ToString(ErrorCode code);

/// An expected failure. `message` says what was wrong, where, and what to do; it never holds a secret.
struct Error {
  ErrorCode code = ErrorCode::kInternal;
  std::string message;
  bool retryable = false;                    ///< whether the same call may succeed later
  std::chrono::milliseconds retry_after{0};  ///< the other side's wish; 0 = none given
};

template <class T>
using Result = tl::expected<T, Error>;
using Status = Result<void>;
using Unexpected = tl::unexpected<Error>;

/// Makes the failure side of a Result: `return Fail(ErrorCode::kInvalid, "spec.title: is empty");`.
/// kUnavailable, kTimeout, kExhausted and kConflict are retryable unless told otherwise.
Unexpected Fail(ErrorCode code, std::string message);
Unexpected Fail(Error error);

/// The same error with `context: ` before its message.
Unexpected FailIn(std::string_view context, Error error);

}  // namespace ybis

/// Returns the error of a Status or Result expression from the enclosing function.
#define YBIS_TRY(expression)                                \
  do {                                                      \
    if (auto ybis_status_ = (expression); !ybis_status_) {  \
      return ::ybis::Fail(std::move(ybis_status_).error()); \
    }                                                       \
  } while (false)

#define YBIS_CONCAT_INNER_(a, b) a##b
#define YBIS_CONCAT_(a, b) YBIS_CONCAT_INNER_(a, b)
#define YBIS_ASSIGN_INNER_(temp, target, expression)       \
  auto temp = (expression);                                \
  if (!temp) return ::ybis::Fail(std::move(temp).error()); \
  target = std::move(*temp)

/// `YBIS_ASSIGN(auto value, Compute());` returns the error from the enclosing function or binds the value.
#define YBIS_ASSIGN(target, expression) \
  YBIS_ASSIGN_INNER_(YBIS_CONCAT_(ybis_result_, __LINE__), target, expression)
