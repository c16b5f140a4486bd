#include "control/error_fingerprint.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "base/digest.h"
#include "base/utf8.h"

namespace ybis::control {
namespace {

constexpr size_t kMaxPattern = 500;
constexpr size_t kMaxMessage = 16 * 1024;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsHex(char c) { return IsDigit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }
/// What words, paths and identifiers are made of; everything else parts them.
bool IsWord(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '/' || c == '-' || c == '_' || c == '.' ||
         static_cast<unsigned char>(c) >= 0x80;
}

bool HasDigit(std::string_view text) { return std::any_of(text.begin(), text.end(), IsDigit); }

/// 3, 3.5, 12ms, v2: digits with at most two letters about them.
bool IsNumber(std::string_view word) {
  const auto letters =
      std::count_if(word.begin(), word.end(), [](char c) { return !IsDigit(c) && c != '.' && c != '-'; });
  return HasDigit(word) && letters <= 2;
}

/// Digests, uuids, commits; and names that end in a number, as runs and pods have.
bool IsIdentifier(std::string_view word) {
  if (!HasDigit(word)) return false;
  const bool hex = std::all_of(word.begin(), word.end(), [](char c) { return IsHex(c) || c == '-'; });
  if (hex && word.size() >= 7) return true;
  const size_t dash = word.rfind('-');
  return dash != std::string_view::npos && dash + 1 < word.size() && HasDigit(word.substr(dash + 1));
}

std::string_view Kind(std::string_view word) {
  if (word.find('/') != std::string_view::npos && word.size() > 1) return "<path>";
  if (IsNumber(word)) return "<n>";
  return IsIdentifier(word) ? "<id>" : word;
}

}  // namespace

std::string ErrorPattern(std::string_view message) {
  message = message.substr(0, kMaxMessage);
  std::string out;
  for (size_t at = 0; at < message.size() && out.size() < kMaxPattern;) {
    size_t end = at;
    while (end < message.size() && IsWord(message[end])) ++end;
    if (end == at) {
      const bool space = std::isspace(static_cast<unsigned char>(message[at])) != 0;
      if (!space || (!out.empty() && out.back() != ' ')) out += space ? ' ' : message[at];
      ++at;
      continue;
    }
    std::string_view word = message.substr(at, end - at);
    at = end;
    std::string_view tail;
    while (word.size() > 1 && (word.back() == '.' || word.back() == '-')) {  // the end of a sentence
      tail = ".";
      word.remove_suffix(1);
    }
    out += Kind(word);
    out += tail;
  }
  out.resize(CutAtCharacter(out, kMaxPattern).size());
  while (!out.empty() && out.back() == ' ') out.pop_back();
  return out;
}

ErrorFingerprint FingerprintOf(std::string_view error_class, std::string_view reason,
                               std::string_view message) {
  ErrorFingerprint out;
  out.pattern = ErrorPattern(message);
  out.digest = Digest(fmt::format("{}\n{}\n{}", error_class, reason, out.pattern));
  return out;
}

}  // namespace ybis::control
