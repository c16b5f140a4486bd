#include "runner/policy/glob.h"

namespace ybis::runner {
namespace {

using Segments = std::vector<std::string_view>;

Segments Split(std::string_view text) {
  Segments parts;
  while (!text.empty()) {
    const size_t slash = text.find('/');
    const std::string_view part = text.substr(0, slash);
    if (!part.empty() && part != ".") parts.push_back(part);
    if (slash == std::string_view::npos) break;
    text.remove_prefix(slash + 1);
  }
  return parts;
}

/// Reads one set "[...]" at `at`; returns the index after it, or 0 when it is not closed.
size_t MatchSet(std::string_view pattern, size_t at, char c, bool& matched) {
  size_t i = at + 1;
  const bool negate = i < pattern.size() && (pattern[i] == '!' || pattern[i] == '^');
  if (negate) ++i;
  bool hit = false;
  for (bool first = true; i < pattern.size() && (first || pattern[i] != ']'); first = false) {
    const auto low = static_cast<unsigned char>(pattern[i]);
    auto high = low;
    if (i + 2 < pattern.size() && pattern[i + 1] == '-' && pattern[i + 2] != ']') {
      high = static_cast<unsigned char>(pattern[i + 2]);
      i += 2;
    }
    hit = hit || (low <= static_cast<unsigned char>(c) && static_cast<unsigned char>(c) <= high);
    ++i;
  }
  if (i >= pattern.size()) return 0;
  matched = hit != negate;
  return i + 1;
}

/// Matches one pattern element at `p` against a character; returns the index after the element, 0 = no match.
size_t MatchOne(std::string_view pattern, size_t p, char c) {
  if (pattern[p] == '?') return p + 1;
  if (pattern[p] == '[') {
    bool matched = false;
    if (const size_t next = MatchSet(pattern, p, c, matched)) return matched ? next : 0;
  }
  if (pattern[p] == '\\' && p + 1 < pattern.size()) ++p;
  return pattern[p] == c ? p + 1 : 0;
}

/// One segment, `*` matched greedily with a single point of return: no exponential search.
bool SegmentMatches(std::string_view pattern, std::string_view text) {
  size_t p = 0, t = 0, star = std::string_view::npos, mark = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      mark = t;
      continue;
    }
    if (p < pattern.size()) {
      if (const size_t next = MatchOne(pattern, p, text[t])) {
        p = next;
        ++t;
        continue;
      }
    }
    if (star == std::string_view::npos) return false;
    p = star + 1;
    t = ++mark;
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

/// Whether the pattern matches the whole path or a folder above it. The same scheme one level up, with `**`
/// as the star; a pattern that is used up while path is left has matched a folder.
bool SegmentsCover(const Segments& pattern, const Segments& path) {
  size_t p = 0, t = 0, star = Segments::size_type(-1), mark = 0;
  while (t < path.size()) {
    if (p == pattern.size()) return true;
    if (pattern[p] == "**") {
      if (p + 1 == pattern.size()) return true;
      star = p++;
      mark = t;
    } else if (SegmentMatches(pattern[p], path[t])) {
      ++p;
      ++t;
    } else if (star != Segments::size_type(-1)) {
      p = star + 1;
      t = ++mark;
    } else {
      return false;
    }
  }
  return p == pattern.size();
}

}  // namespace

bool GlobCovers(std::string_view pattern, std::string_view path) {
  const std::string_view body = pattern.substr(0, pattern.find_last_not_of('/') + 1);
  const bool anywhere = body.find('/') == std::string_view::npos;
  Segments parts = Split(body);
  if (parts.empty()) return false;
  if (anywhere && parts.front() != "**") parts.insert(parts.begin(), "**");
  return SegmentsCover(parts, Split(path));
}

std::string FirstCovering(const std::vector<std::string>& patterns, std::string_view path) {
  for (const std::string& pattern : patterns) {
    if (GlobCovers(pattern, path)) return pattern;
  }
  return {};
}

}  // namespace ybis::runner
