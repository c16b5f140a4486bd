#pragma once
// From what git printed to an Error that a person can act on.
#include <string>
#include <string_view>

#include "base/process.h"
#include "base/result.h"

namespace ybis::git {

/// What was attempted, for the message.
struct GitAttempt {
  std::string verb;  ///< "fetch", "push", "list the refs of"
  std::string url;   ///< RepositoryUrl::Display()
  std::string ref;   ///< empty when none is meant
  bool anonymous = true;
};

/// Classifies a failed call: kUnavailable or kTimeout (retryable: name resolution, refused, reset, 5xx, 429),
/// kDenied (credentials, host key, certificate, refused by a server's hook), kNotFound (repository or ref),
/// kConflict (a push that lost), kExhausted (volume full), kUnsupported (SHA-256), kInvalid (redirect, CA
/// file), else kInternal. The message names URL and ref, says what to do and quotes git's telling line,
/// redacted.
Error ClassifyGitFailure(const ProcessResult& result, const GitAttempt& attempt);

/// The line of git's standard error that tells most (the last fatal:, else error:, else the last), redacted,
/// without control characters, at most 300 bytes.
std::string TellingLine(std::string_view error_output);

}  // namespace ybis::git
