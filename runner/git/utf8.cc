#include "runner/git/object_store.h"

namespace ybis::git {
namespace {

struct Form {
  unsigned mask, lead;
  size_t length;
  uint32_t smallest;
};

constexpr Form kForms[] = {
    {0x80, 0x00, 1, 1}, {0xe0, 0xc0, 2, 0x80}, {0xf0, 0xe0, 3, 0x800}, {0xf8, 0xf0, 4, 0x10000}};

/// The length of the character at the start, 0 when it is none.
size_t CharacterLength(std::string_view text) {
  const auto first = static_cast<unsigned char>(text.front());
  for (const Form& form : kForms) {
    if ((first & form.mask) != form.lead) continue;
    if (text.size() < form.length) return 0;
    uint32_t value = first & ~form.mask;
    for (size_t i = 1; i < form.length; ++i) {
      const auto byte = static_cast<unsigned char>(text[i]);
      if ((byte & 0xc0) != 0x80) return 0;
      value = (value << 6) | (byte & 0x3f);
    }
    const bool valid = value >= form.smallest && value <= 0x10ffff && (value < 0xd800 || value > 0xdfff);
    return valid ? form.length : 0;
  }
  return 0;
}

}  // namespace

bool IsCleanUtf8(std::string_view text) {
  while (!text.empty()) {
    const size_t length = CharacterLength(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

}  // namespace ybis::git
