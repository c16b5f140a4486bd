#include "base/utf8.h"

namespace ybis {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

bool IsWithin(unsigned char byte, unsigned char low, unsigned char high) {
  return byte >= low && byte <= high;
}

/// How many bytes the character at `at` has; 0 when there is none.
size_t CharacterAt(std::string_view text, size_t at) {
  const auto byte = [&](size_t offset) {
    return at + offset < text.size() ? static_cast<unsigned char>(text[at + offset])
                                     : static_cast<unsigned char>(0);
  };
  const auto follow = [&](size_t from, size_t to) {
    for (size_t i = from; i <= to; ++i) {
      if (!IsWithin(byte(i), 0x80, 0xBF)) return false;
    }
    return true;
  };
  const unsigned char first = byte(0);
  if (first < 0x80) return 1;
  if (IsWithin(first, 0xC2, 0xDF)) return follow(1, 1) ? 2 : 0;
  if (IsWithin(first, 0xE0, 0xEF)) {
    const unsigned char low = first == 0xE0 ? 0xA0 : 0x80;   // shorter forms exist below
    const unsigned char high = first == 0xED ? 0x9F : 0xBF;  // surrogates lie above
    return IsWithin(byte(1), low, high) && follow(2, 2) ? 3 : 0;
  }
  if (IsWithin(first, 0xF0, 0xF4)) {
    const unsigned char low = first == 0xF0 ? 0x90 : 0x80;
    const unsigned char high = first == 0xF4 ? 0x8F : 0xBF;  // Unicode ends at 10FFFF
    return IsWithin(byte(1), low, high) && follow(2, 3) ? 4 : 0;
  }
  return 0;
}

}  // namespace

std::string ValidUtf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const size_t length = CharacterAt(text, at);
    out += length == 0 ? kReplacement : text.substr(at, length);
    at += length == 0 ? 1 : length;
  }
  return out;
}

std::string_view CutAtCharacter(std::string_view text, size_t max_bytes) {
  if (text.size() <= max_bytes) return text;
  size_t end = max_bytes;
  // What is no UTF-8 at all is cut anywhere: a character has at most three bytes that follow.
  while (end > 0 && max_bytes - end < 4 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return text.substr(0, max_bytes - end < 4 ? end : max_bytes);
}

}  // namespace ybis
