#include "runner/git/failure.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <vector>

#include "base/log.h"

namespace ybis::git {
namespace {

constexpr size_t kMaxLine = 300;

/// One thing git, curl or ssh says, what it means and what to do about it.
struct Sign {
  std::string_view text;  ///< in lower case
  ErrorCode code;
  bool retryable;
  std::string_view advice;
};

constexpr std::string_view kCheckServer = "the git server cannot be reached";
constexpr std::string_view kServerFails = "the git server is failing";
constexpr std::string_view kCredentials =
    "the server refused the credentials: check the secret of credentialsSecretRef";
constexpr std::string_view kNoCertificate =
    "the server's certificate is not trusted: put the CA that signed it into the secret of caBundleSecretRef";
constexpr std::string_view kHostKey =
    "the server's host key is not the one in known_hosts: correct the key known_hosts of the secret";
constexpr std::string_view kNoRepository = "no such repository, or the credentials may not see it";
constexpr std::string_view kNoRef = "the repository has no such branch, tag or commit";
constexpr std::string_view kRedirect = "the server redirects to another address: use that one as the URL";
constexpr std::string_view kFull = "the workspace volume is full: raise workspace.size";
constexpr std::string_view kLost = "the branch was changed by somebody else";
constexpr std::string_view kRefused = "the server's own rules refuse the push (a protected branch or a hook)";
constexpr std::string_view kSha256 = "SHA-256 repositories are not supported, only SHA-1";

// The first sign found decides, so what is particular stands before what accompanies every failure.
constexpr Sign kSigns[] = {
    {"no space left on device", ErrorCode::kExhausted, false, kFull},
    {"disk quota exceeded", ErrorCode::kExhausted, false, kFull},
    {"no user exists for uid", ErrorCode::kUnsupported, false,
     "ssh needs an entry for this user in /etc/passwd: run an image that has one, or use https"},
    {"mismatched algorithms", ErrorCode::kUnsupported, false, kSha256},
    {"object format", ErrorCode::kUnsupported, false, kSha256},
    {"host key verification failed", ErrorCode::kDenied, false, kHostKey},
    {"remote host identification has changed", ErrorCode::kDenied, false, kHostKey},
    {"server certificate verification failed", ErrorCode::kDenied, false, kNoCertificate},
    {"ssl certificate problem", ErrorCode::kDenied, false, kNoCertificate},
    {"certificate subject name", ErrorCode::kDenied, false, kNoCertificate},
    {"ssl: no alternative certificate", ErrorCode::kDenied, false, kNoCertificate},
    {"error reading ca cert file", ErrorCode::kInvalid, false,
     "the CA bundle cannot be read: check caBundleSecretRef"},
    {"error setting certificate", ErrorCode::kInvalid, false,
     "the CA bundle cannot be read: check caBundleSecretRef"},
    {"permission denied (", ErrorCode::kDenied, false, kCredentials},
    {"authentication failed", ErrorCode::kDenied, false, kCredentials},
    {"could not read username", ErrorCode::kDenied, false, kCredentials},
    {"could not read password", ErrorCode::kDenied, false, kCredentials},
    {"returned error: 401", ErrorCode::kDenied, false, kCredentials},
    {"returned error: 403", ErrorCode::kDenied, false, kCredentials},
    {"couldn't find remote ref", ErrorCode::kNotFound, false, kNoRef},
    {"not our ref", ErrorCode::kNotFound, false, kNoRef},
    {"unadvertised object", ErrorCode::kNotFound, false, kNoRef},
    {"[remote rejected]", ErrorCode::kDenied, false, kRefused},
    {"stale info", ErrorCode::kConflict, false, kLost},
    {"[rejected]", ErrorCode::kConflict, false, kLost},
    {"! [rejected", ErrorCode::kConflict, false, kLost},
    {"returned error: 404", ErrorCode::kNotFound, false, kNoRepository},
    {"returned error: 30", ErrorCode::kInvalid, false, kRedirect},
    {"unable to update url base from redirection", ErrorCode::kInvalid, false, kRedirect},
    {"returned error: 429", ErrorCode::kUnavailable, true, "the git server throttles us"},
    {"returned error: 5", ErrorCode::kUnavailable, true, kServerFails},
    {"could not resolve", ErrorCode::kUnavailable, true, "the git server's name cannot be resolved"},
    {"failed to connect", ErrorCode::kUnavailable, true, kCheckServer},
    {"couldn't connect to server", ErrorCode::kUnavailable, true, kCheckServer},
    {"connection refused", ErrorCode::kUnavailable, true, kCheckServer},
    {"connection reset", ErrorCode::kUnavailable, true, kCheckServer},
    {"connection closed", ErrorCode::kUnavailable, true, kCheckServer},
    {"connection timed out", ErrorCode::kUnavailable, true, kCheckServer},
    {"operation timed out", ErrorCode::kUnavailable, true, kCheckServer},
    {"operation too slow", ErrorCode::kUnavailable, true, kServerFails},
    {"network is unreachable", ErrorCode::kUnavailable, true, kCheckServer},
    {"no route to host", ErrorCode::kUnavailable, true, kCheckServer},
    {"gnutls", ErrorCode::kUnavailable, true, kServerFails},
    {"empty reply from server", ErrorCode::kUnavailable, true, kServerFails},
    {"repository not found", ErrorCode::kNotFound, false, kNoRepository},
    {"' not found", ErrorCode::kNotFound, false, kNoRepository},
    {"does not appear to be a git repository", ErrorCode::kNotFound, false, kNoRepository},
    {"not a git repository", ErrorCode::kNotFound, false, kNoRepository},
    {"project you were looking for could not be found", ErrorCode::kNotFound, false, kNoRepository},
    {"does not exist", ErrorCode::kNotFound, false, kNoRepository},
    {"is not a valid repository name", ErrorCode::kNotFound, false, kNoRepository},
    {"transport '", ErrorCode::kInvalid, false, "that kind of URL is not allowed"},
    {"shallow update not allowed", ErrorCode::kUnsupported, false,
     "the server takes no push from a shallow repository"},
    {"early eof", ErrorCode::kUnavailable, true, kServerFails},
    {"unexpected disconnect", ErrorCode::kUnavailable, true, kServerFails},
    {"the remote end hung up", ErrorCode::kUnavailable, true, kServerFails},
    {"rpc failed", ErrorCode::kUnavailable, true, kServerFails},
    {"could not read from remote repository", ErrorCode::kUnavailable, true, kServerFails},
};

std::string Lower(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : static_cast<char>(c);
  });
  return lower;
}

std::vector<std::string_view> Lines(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const size_t end = text.find_first_of("\r\n");
    const std::string_view line = text.substr(0, end);
    if (line.find_first_not_of(" \t") != line.npos) lines.push_back(line);
    text.remove_prefix(end == text.npos ? text.size() : end + 1);
  }
  return lines;
}

std::string Printable(std::string_view line) {
  std::string text = log::Redact(line);
  for (char& c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) c = ' ';
  }
  if (text.size() > kMaxLine) text.resize(kMaxLine);
  return text;
}

std::string_view LastWith(std::span<const std::string_view> lines, std::string_view prefix) {
  for (size_t i = lines.size(); i-- > 0;) {
    if (lines[i].starts_with(prefix)) return lines[i];
  }
  return {};
}

/// git's closing remarks after an ssh failure, which tell nothing of the cause.
bool IsRemark(std::string_view line) {
  return line.starts_with("fatal: Could not read from remote") ||
         line.starts_with("Please make sure you have") || line.starts_with("and the repository exists") ||
         line.starts_with("hint:");
}

Error Make(const GitAttempt& attempt, ErrorCode code, bool retryable, std::string_view advice,
           std::string_view line) {
  std::string message = fmt::format("cannot {} {}", attempt.verb, attempt.url);
  if (!attempt.ref.empty()) message += fmt::format(" (ref {})", attempt.ref);
  message += fmt::format(": {}", advice);
  if (code == ErrorCode::kDenied && advice == kCredentials && attempt.anonymous) {
    message += " (none is named; the repository is not public)";
  }
  if (!line.empty()) message += fmt::format("; git says: {}", line);
  return Error{.code = code, .message = std::move(message), .retryable = retryable};
}

}  // namespace

std::string TellingLine(std::string_view error_output) {
  std::vector<std::string_view> lines = Lines(error_output);
  std::erase_if(lines, IsRemark);
  if (lines.empty()) return {};
  for (const std::string_view prefix : {"fatal:", "error:", "ssh:", "!"}) {
    if (const std::string_view line = LastWith(lines, prefix); !line.empty()) return Printable(line);
  }
  return Printable(lines.back());
}

Error ClassifyGitFailure(const ProcessResult& result, const GitAttempt& attempt) {
  const std::string line = TellingLine(result.error_output);
  if (result.timed_out) {
    return Make(attempt, ErrorCode::kTimeout, true,
                fmt::format("no end after {} s", result.elapsed.count() / 1000), line);
  }
  const std::string text = Lower(result.error_output) + "\n" + Lower(result.output);
  for (const Sign& sign : kSigns) {
    if (text.find(sign.text) != std::string::npos)
      return Make(attempt, sign.code, sign.retryable, sign.advice, line);
  }
  return Make(attempt, ErrorCode::kInternal, false,
              fmt::format("git failed with exit code {}", result.exit_code), line);
}

}  // namespace ybis::git
