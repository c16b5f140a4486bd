#pragma once
// Secrets beyond one's own log records: the end of their life, for those who make secrets themselves, run by
// run, and values that leave the process by other ways.
#include <nlohmann/json_fwd.hpp>
#include <string_view>

namespace ybis::log {

/// Takes a value away again that RegisterSecret added, once it opens nothing any more: every record is
/// searched for every secret. Thread-safe.
void ForgetSecret(std::string_view secret);

/// The value with every registered secret in its texts replaced by "***": in finished JSON a quote or a
/// newline of a secret would be escaped and the secret not be found. Keys stay as they are. Thread-safe.
nlohmann::json RedactTexts(nlohmann::json value);

}  // namespace ybis::log
