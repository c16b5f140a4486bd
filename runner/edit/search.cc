#include "runner/edit/search.h"

#include <fmt/format.h>
#include <string.h>

#include <algorithm>
#include <vector>

namespace ybis::runner {
namespace {

constexpr size_t kHintContext = 3;
constexpr size_t kMaxHintLines = 40;
constexpr size_t kMaxHintLine = 200;
// Beyond this a hint is not worth its time.
constexpr size_t kMaxHintContent = 2 * 1024 * 1024;

std::vector<std::string_view> Lines(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    lines.push_back(text.substr(0, end));
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return lines;
}

/// Without any white space: what a line says.
std::string Squeezed(std::string_view line) {
  std::string out;
  for (const char c : line) {
    if (c != ' ' && c != '\t' && c != '\r') out += c;
  }
  return out;
}

std::vector<std::string> SqueezedLines(std::string_view text) {
  std::vector<std::string> out;
  for (const auto line : Lines(text)) out.push_back(Squeezed(line));
  while (!out.empty() && out.back().empty()) out.pop_back();
  const auto first = std::find_if(out.begin(), out.end(), [](const auto& line) { return !line.empty(); });
  out.erase(out.begin(), first);
  return out;
}

/// Like content.find(search, from), in linear time whatever both are: string_view's own is quadratic in
/// content that repeats itself.
size_t Find(std::string_view content, std::string_view search, size_t from) {
  const void* found = ::memmem(content.data() + from, content.size() - from, search.data(), search.size());
  if (found == nullptr) return std::string_view::npos;
  return static_cast<size_t>(static_cast<const char*>(found) - content.data());
}

std::vector<size_t> Places(std::string_view content, std::string_view search) {
  std::vector<size_t> places;
  for (size_t at = Find(content, search, 0); at != std::string_view::npos;
       at = Find(content, search, at + search.size())) {
    places.push_back(at);
  }
  return places;
}

size_t LineOf(std::string_view content, size_t at) {
  return 1 +
         static_cast<size_t>(std::count(content.begin(), content.begin() + static_cast<ptrdiff_t>(at), '\n'));
}

std::string Numbered(const std::vector<std::string_view>& lines, size_t first, size_t last) {
  std::string out;
  for (size_t i = first; i < std::min({last, lines.size(), first + kMaxHintLines}); ++i) {
    out += fmt::format("{:>5} | {}\n", i + 1, lines[i].substr(0, kMaxHintLine));
  }
  return out;
}

/// Share of pairs of neighbouring bytes that two texts have in common, 0 to 1.
double Likeness(const std::string& a, const std::string& b) {
  if (a.size() < 2 || b.size() < 2) return a == b && !a.empty() ? 1 : 0;
  std::vector<uint16_t> pairs[2];
  for (int i = 0; i < 2; ++i) {
    const std::string& text = i == 0 ? a : b;
    for (size_t at = 0; at + 1 < std::min<size_t>(text.size(), kMaxHintLine); ++at) {
      pairs[i].push_back(static_cast<uint16_t>(static_cast<unsigned char>(text[at]) << 8 |
                                               static_cast<unsigned char>(text[at + 1])));
    }
    std::sort(pairs[i].begin(), pairs[i].end());
  }
  std::vector<uint16_t> common;
  std::set_intersection(pairs[0].begin(), pairs[0].end(), pairs[1].begin(), pairs[1].end(),
                        std::back_inserter(common));
  return 2.0 * static_cast<double>(common.size()) / static_cast<double>(pairs[0].size() + pairs[1].size());
}

/// Where the wanted lines stand when white space is left aside; two places at most, more tell no more.
std::vector<size_t> LoosePlaces(const std::vector<std::string>& lines,
                                const std::vector<std::string>& wanted) {
  const std::string text = fmt::format("\n{}\n", fmt::join(lines, "\n"));
  const std::string search = fmt::format("\n{}\n", fmt::join(wanted, "\n"));
  std::vector<size_t> places;
  size_t line = 0;
  size_t counted = 0;
  for (size_t at = Find(text, search, 0); at != std::string_view::npos && places.size() < 2;
       at = Find(text, search, at + 1)) {
    const auto begin = text.begin();
    line += static_cast<size_t>(
        std::count(begin + static_cast<ptrdiff_t>(counted), begin + static_cast<ptrdiff_t>(at), '\n'));
    counted = at;
    places.push_back(line);
  }
  return places;
}

SearchMiss TooLarge(size_t bytes, size_t max_bytes) {
  return {fmt::format("the file would have {} bytes, more than the {} allowed", bytes, max_bytes), {}};
}

SearchMiss Missed(std::string_view content, std::string_view search, size_t found, int expected) {
  if (found == 0) return {"the search text is not in the file", NearestLines(content, search)};
  std::string where;
  const auto places = Places(content, search);
  for (size_t i = 0; i < std::min<size_t>(places.size(), 10); ++i) {
    where += fmt::format("{}{}", i == 0 ? "" : ", ", LineOf(content, places[i]));
  }
  return {
      fmt::format("the search text stands {} times, expected {}", found, expected),
      fmt::format("it starts at lines {}; take in more of the surrounding lines to make it unique", where)};
}

}  // namespace

bool UsesCrLf(std::string_view text) {
  bool any = false;
  for (size_t at = text.find('\n'); at != std::string_view::npos; at = text.find('\n', at + 1)) {
    if (at == 0 || text[at - 1] != '\r') return false;
    any = true;
  }
  return any;
}

std::string ToCrLf(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\n' && (i == 0 || text[i - 1] != '\r')) out += '\r';
    out += text[i];
  }
  return out;
}

std::string NearestLines(std::string_view content, std::string_view wanted) {
  if (content.size() > kMaxHintContent || wanted.size() > kMaxHintContent) return {};
  const auto lines = Lines(content);
  std::vector<std::string> squeezed;
  for (const auto line : lines) squeezed.push_back(Squeezed(line));
  const auto wanted_lines = SqueezedLines(wanted);
  if (wanted_lines.empty()) return {};
  const auto loose = LoosePlaces(squeezed, wanted_lines);
  if (loose.size() == 1) {
    return "it stands here with other white space; copy it exactly:\n" +
           Numbered(lines, loose[0], loose[0] + wanted_lines.size());
  }
  size_t best = 0;
  double best_likeness = 0;
  for (size_t i = 0; i < squeezed.size(); ++i) {
    const double likeness = Likeness(squeezed[i], wanted_lines.front());
    if (likeness > best_likeness) {
      best = i;
      best_likeness = likeness;
    }
  }
  if (best_likeness < 0.5) return {};
  return "the nearest lines are:\n" + Numbered(lines, best < kHintContext ? 0 : best - kHintContext,
                                               best + wanted_lines.size() + kHintContext);
}

tl::expected<std::string, SearchMiss> ReplaceExactly(std::string_view content, std::string_view search,
                                                     std::string_view replace, int occurrences,
                                                     size_t max_bytes) {
  if (search.empty())
    return tl::unexpected(SearchMiss{"the search text is empty", "use op write for a new file"});
  std::string crlf_search;
  std::string crlf_replace;
  auto places = Places(content, search);
  if (places.empty() && UsesCrLf(content)) {
    crlf_search = ToCrLf(search);
    crlf_replace = ToCrLf(replace);
    search = crlf_search;
    replace = crlf_replace;
    places = Places(content, search);
  }
  if (places.size() != static_cast<size_t>(occurrences)) {
    return tl::unexpected(Missed(content, search, places.size(), occurrences));
  }
  const size_t bytes = content.size() - places.size() * search.size() + places.size() * replace.size();
  if (bytes > max_bytes) return tl::unexpected(TooLarge(bytes, max_bytes));
  std::string out;
  out.reserve(bytes);
  size_t at = 0;
  for (const size_t place : places) {
    out.append(content.substr(at, place - at)).append(replace);
    at = place + search.size();
  }
  return out.append(content.substr(at));
}

}  // namespace ybis::runner
