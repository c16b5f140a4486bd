#pragma once
// The end of a secret's life: for those who make secrets themselves, run by run.
#include <string_view>

namespace ybis::log {

/// Takes a value away again that RegisterSecret added, once it opens nothing any more: every record is
/// searched for every secret. Thread-safe.
void ForgetSecret(std::string_view secret);

}  // namespace ybis::log
