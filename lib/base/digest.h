#pragma once
// Digests, encodings and random identifiers (OpenSSL).
#include <string>
#include <string_view>

#include "base/result.h"

namespace ybis {

/// SHA-256 as 64 lower-case hexadecimal digits.
std::string Sha256Hex(std::string_view bytes);
/// "sha256:" + Sha256Hex: the form in which digests stand in records, CRs and the Run API.
std::string Digest(std::string_view bytes);

std::string HexEncode(std::string_view bytes);
std::string Base64Encode(std::string_view bytes);
/// Standard alphabet with padding; line breaks are refused.
Result<std::string> Base64Decode(std::string_view text);
/// URL alphabet without padding (JWT parts).
Result<std::string> Base64UrlDecode(std::string_view text);

/// `bytes` bytes of the system's randomness as hexadecimal.
std::string RandomHex(size_t bytes);
/// A random (version 4) UUID.
std::string NewUuid();

}  // namespace ybis
