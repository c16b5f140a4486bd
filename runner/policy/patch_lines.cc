#include "runner/policy/patch_lines.h"

#include <charconv>

namespace ybis::runner {
namespace {

int64_t ReadNumber(std::string_view& text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc()) return 0;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return value;
}

struct Range {
  int64_t start = 0;
  int64_t length = 1;
};

Range ReadRange(std::string_view& text) {
  Range range{.start = ReadNumber(text)};
  if (!text.empty() && text.front() == ',') {
    text.remove_prefix(1);
    range.length = ReadNumber(text);
  }
  return range;
}

/// "@@ -1,2 +3,4 @@": the old and the new range.
bool ReadHunkHeader(std::string_view line, Range& before, Range& after) {
  if (!line.starts_with("@@ -")) return false;
  line.remove_prefix(4);
  before = ReadRange(line);
  if (!line.starts_with(" +")) return false;
  line.remove_prefix(2);
  after = ReadRange(line);
  return true;
}

/// A C-quoted name as git writes it for unusual bytes: "a\303\244\n".
std::string Unquote(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size() && text[i] != '"'; ++i) {
    if (text[i] != '\\' || i + 1 >= text.size()) {
      out += text[i];
      continue;
    }
    const char c = text[++i];
    if (c >= '0' && c <= '3' && i + 2 < text.size()) {
      out += static_cast<char>((c - '0') * 64 + (text[i + 1] - '0') * 8 + (text[i + 2] - '0'));
      i += 2;
    } else {
      out += c == 'n' ? '\n' : c == 't' ? '\t' : c;
    }
  }
  return out;
}

std::string NewName(std::string_view line) {
  line.remove_prefix(4);
  std::string name =
      line.starts_with('"') ? Unquote(line.substr(1)) : std::string(line.substr(0, line.find('\t')));
  if (name.starts_with("b/")) name.erase(0, 2);
  return name;
}

}  // namespace

std::vector<AddedLine> AddedLines(std::string_view patch) {
  std::vector<AddedLine> added;
  std::string path;
  int64_t old_left = 0, new_left = 0, number = 0;
  while (!patch.empty()) {
    const size_t end = patch.find('\n');
    const std::string_view line = patch.substr(0, end);
    patch.remove_prefix(end == std::string_view::npos ? patch.size() : end + 1);
    const bool in_hunk = old_left > 0 || new_left > 0;
    if (!in_hunk) {
      Range before, after;
      if (line.starts_with("+++ ")) path = NewName(line);
      if (ReadHunkHeader(line, before, after)) {
        old_left = before.length;
        new_left = after.length;
        number = after.start;
      }
    } else if (line.starts_with('+')) {
      added.push_back({path, number++, line.substr(1)});
      --new_left;
    } else if (line.starts_with('-')) {
      --old_left;
    } else if (!line.starts_with('\\')) {
      ++number;
      --old_left;
      --new_left;
    }
  }
  return added;
}

}  // namespace ybis::runner
