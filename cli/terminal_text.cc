#include "cli/terminal_text.h"

#include <fmt/format.h>
#include <unistd.h>

#include <iostream>

namespace ybis::cli {
namespace {

struct Lead {
  size_t size;
  char32_t bits;
  char32_t lowest;  ///< that needs so many bytes
};

/// By the first byte; size 1 for what cannot begin a longer character.
Lead LeadOf(unsigned char byte) {
  if (byte >= 0xC2 && byte <= 0xDF) return {2, byte & 0x1FU, 0x80};
  if (byte >= 0xE0 && byte <= 0xEF) return {3, byte & 0x0FU, 0x800};
  if (byte >= 0xF0 && byte <= 0xF4) return {4, byte & 0x07U, 0x10000};
  return {1, byte, 0};
}

bool TurnsDirection(char32_t code) {
  return code == 0x061C || code == 0x200E || code == 0x200F || (code >= 0x202A && code <= 0x202E) ||
         (code >= 0x2066 && code <= 0x2069);
}

}  // namespace

bool Character::Controls() const {
  if (!valid) return true;
  if (code == '\n' || code == '\t') return false;
  return code < 0x20 || (code >= 0x7F && code < 0xA0) || TurnsDirection(code);
}

Character CharacterAt(std::string_view text) {
  const auto first = static_cast<unsigned char>(text[0]);
  const Lead lead = LeadOf(first);
  if (lead.size == 1) return {1, first, first < 0x80};
  if (text.size() < lead.size) return {1, first, false};
  char32_t code = lead.bits;
  for (size_t i = 1; i < lead.size; ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if ((byte & 0xC0) != 0x80) return {1, first, false};
    code = (code << 6U) | (byte & 0x3FU);
  }
  const bool character = code >= lead.lowest && code <= 0x10FFFF && (code < 0xD800 || code > 0xDFFF);
  return character ? Character{lead.size, code, true} : Character{1, first, false};
}

std::string Visible(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const Character next = CharacterAt(text);
    const auto code = static_cast<unsigned>(next.code);
    if (!next.Controls()) {
      out += text.substr(0, next.size);
    } else if (!next.valid) {
      out += fmt::format("<{:02X}>", code);
    } else if (code < 0x80) {
      out += {'^', static_cast<char>(code ^ 0x40U)};
    } else {
      out += fmt::format("<U+{:04X}>", code);
    }
    text.remove_prefix(next.size);
  }
  return out;
}

bool IsTerminal(const std::ostream& out) {
  return (&out == &std::cout && ::isatty(STDOUT_FILENO) == 1) ||
         (&out == &std::cerr && ::isatty(STDERR_FILENO) == 1);
}

}  // namespace ybis::cli
