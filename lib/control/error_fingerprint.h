#pragma once
// When two failures are the same: what differs from run to run is taken out of their messages. Pure.
#include <string>
#include <string_view>

namespace ybis::control {

struct ErrorFingerprint {
  std::string digest;   ///< of class, reason and pattern: "sha256:…"
  std::string pattern;  ///< at most 500 bytes
};

/// The message with paths, identifiers (uuids, digests, hexadecimal numbers, words with a number behind a
/// dash) and numbers replaced by <path>, <id> and <n>, and with single spaces.
std::string ErrorPattern(std::string_view message);
ErrorFingerprint FingerprintOf(std::string_view error_class, std::string_view reason,
                               std::string_view message);

}  // namespace ybis::control
