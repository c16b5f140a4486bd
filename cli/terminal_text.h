#pragma once
// Text of others on a terminal. Terminals obey control characters, and what a model wrote may hold any: it
// could hide a line of a change from the person who approves it.
#include <ostream>
#include <string>
#include <string_view>

namespace ybis::cli {

/// One character of UTF-8 at the beginning of a text that is not empty; what is none is one byte long.
struct Character {
  size_t size = 1;
  char32_t code = 0;
  bool valid = false;
  /// Moves the cursor, hides or reorders what stands around it: controls (C0 but newline and tab, DEL, C1),
  /// marks of writing direction, and what is no character.
  bool Controls() const;
};
Character CharacterAt(std::string_view text);

/// The text with everything that a terminal would obey made visible: "^[", "<U+202E>", "<9B>". Newlines and
/// tabs stay.
std::string Visible(std::string_view text);

/// Whether the stream is this program's standard output or error and that is a terminal.
bool IsTerminal(const std::ostream& out);

}  // namespace ybis::cli
