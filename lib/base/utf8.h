#pragma once
// Text from outside that must be UTF-8: what Postgres and JSON take.
#include <string>
#include <string_view>

namespace ybis {

/// The text with U+FFFD in place of everything that is no UTF-8 (surrogates, overlong forms and cut
/// characters too).
std::string ValidUtf8(std::string_view text);
/// The longest beginning of at most `max_bytes` that cuts no character in two.
std::string_view CutAtCharacter(std::string_view text, size_t max_bytes);

}  // namespace ybis
