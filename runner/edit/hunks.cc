#include <fmt/format.h>

#include <algorithm>

#include "runner/edit/diff.h"

namespace ybis::runner {
namespace {

struct FileLine {
  std::string_view text;
  bool newline;
};

std::vector<FileLine> FileLines(std::string_view content) {
  std::vector<FileLine> lines;
  while (!content.empty()) {
    const size_t end = content.find('\n');
    lines.push_back({content.substr(0, end), end != std::string_view::npos});
    if (end == std::string_view::npos) break;
    content.remove_prefix(end + 1);
  }
  return lines;
}

/// Whether a line of the file is the one that a diff tells of. Diffs often lack the mark of a missing last
/// line end.
bool SameLine(const FileLine& line, const DiffLine& wanted) {
  return line.text == wanted.text && (line.newline == wanted.newline || !line.newline);
}

std::vector<DiffLine> OldLines(const Hunk& hunk) {
  std::vector<DiffLine> lines;
  std::copy_if(hunk.lines.begin(), hunk.lines.end(), std::back_inserter(lines),
               [](const DiffLine& line) { return line.kind != '+'; });
  return lines;
}

std::string Text(const std::vector<DiffLine>& lines) {
  std::string text;
  for (const auto& line : lines) text.append(line.text).append("\n");
  return text;
}

/// Writes the new content piece by piece.
class HunkApplier {
 public:
  HunkApplier(std::string_view content, SearchBudget& budget)
      : content_(content), lines_(FileLines(content)), budget_(budget) {}

  tl::expected<std::string, SearchMiss> Apply(const std::vector<Hunk>& hunks) {
    for (size_t i = 0; i < hunks.size(); ++i) {
      const auto place = Place(hunks[i], i + 1);
      if (!place) return tl::unexpected(place.error());
      while (next_ < *place) Keep();
      Emit(hunks[i]);
    }
    while (next_ < lines_.size()) Keep();
    return std::move(out_);
  }

 private:
  bool StandsAt(size_t at, const std::vector<DiffLine>& old) const {
    return at >= next_ && at + old.size() <= lines_.size() &&
           std::equal(old.begin(), old.end(), lines_.begin() + static_cast<ptrdiff_t>(at),
                      [](const DiffLine& wanted, const FileLine& line) { return SameLine(line, wanted); });
  }

  /// The line, from 0, at which the hunk's old lines stand.
  tl::expected<size_t, SearchMiss> Place(const Hunk& hunk, size_t number) {
    const auto old = OldLines(hunk);
    // A hunk without old lines says after which line it goes, others at which line they start.
    const auto wanted = static_cast<ptrdiff_t>(hunk.old_start) - (old.empty() ? 0 : 1) + drift_;
    const size_t at = static_cast<size_t>(std::max<ptrdiff_t>(wanted, 0));
    if (old.empty()) {
      if (StandsAt(at, old)) return at;
      return tl::unexpected(
          SearchMiss{fmt::format("hunk {} (line {} of the diff) adds after line {}, but the file has "
                                 "{} lines",
                                 number, hunk.line, at, lines_.size()),
                     ""});
    }
    if (StandsAt(at, old)) return at;
    return PlaceElsewhere(hunk, number, old, at);
  }

  /// SameLine as long as there is a budget, then no line is the same.
  bool Compare(const FileLine& line, const DiffLine& wanted) {
    constexpr size_t kLong = 64;  // bytes
    const size_t cost = 1 + (line.text.size() == wanted.text.size() ? wanted.text.size() / kLong : 0);
    if (cost > budget_.left) {
      budget_.left = 0;
      return false;
    }
    budget_.left -= cost;
    return SameLine(line, wanted);
  }

  tl::expected<size_t, SearchMiss> PlaceElsewhere(const Hunk& hunk, size_t number,
                                                  const std::vector<DiffLine>& old, size_t wanted) {
    std::vector<size_t> places;
    for (auto from = lines_.begin() + static_cast<ptrdiff_t>(next_); places.size() < 2;) {
      from = std::search(from, lines_.end(), old.begin(), old.end(),
                         [this](const FileLine& line, const DiffLine& same) { return Compare(line, same); });
      if (from == lines_.end()) break;
      places.push_back(static_cast<size_t>(from - lines_.begin()));
      ++from;
    }
    if (budget_.left == 0) {
      return tl::unexpected(SearchMiss{
          fmt::format("hunk {} (line {} of the diff): its old lines are not at line {}, and looking for them "
                      "elsewhere takes too long",
                      number, hunk.line, hunk.old_start),
          "give the right line number"});
    }
    if (places.size() == 1) {
      drift_ += static_cast<ptrdiff_t>(places[0]) - static_cast<ptrdiff_t>(wanted);
      return places[0];
    }
    const std::string what = places.empty() ? "are not in the file" : "stand in several places, none of them";
    return tl::unexpected(SearchMiss{fmt::format("hunk {} (line {} of the diff): its old lines {}{}", number,
                                                 hunk.line, what, fmt::format(" at line {}", hunk.old_start)),
                                     places.empty() ? NearestLines(content_, Text(old))
                                                    : "give more context lines or the right line number"});
  }

  void Append(std::string_view text, bool newline) {
    if (!out_.empty() && out_.back() != '\n') out_ += '\n';
    out_.append(text);
    if (newline) out_ += '\n';
  }
  void Keep() {
    Append(lines_[next_].text, lines_[next_].newline);
    ++next_;
  }
  void Emit(const Hunk& hunk) {
    for (const auto& line : hunk.lines) {
      if (line.kind == ' ') Keep();
      if (line.kind == '-') ++next_;
      if (line.kind == '+') Append(line.text, line.newline);
    }
  }

  std::string_view content_;
  std::vector<FileLine> lines_;
  SearchBudget& budget_;
  size_t next_ = 0;
  ptrdiff_t drift_ = 0;
  std::string out_;
};

bool AnyCr(const std::vector<Hunk>& hunks) {
  return std::any_of(hunks.begin(), hunks.end(), [](const Hunk& hunk) {
    return std::any_of(hunk.lines.begin(), hunk.lines.end(),
                       [](const DiffLine& line) { return line.text.ends_with('\r'); });
  });
}

}  // namespace

tl::expected<std::string, SearchMiss> ApplyHunks(std::string_view content, const std::vector<Hunk>& hunks,
                                                 SearchBudget& budget) {
  if (!UsesCrLf(content) || AnyCr(hunks)) return HunkApplier(content, budget).Apply(hunks);
  // The diff was written with plain line ends: apply it to the file with plain ones and put them back.
  std::string plain;
  for (size_t i = 0; i < content.size(); ++i) {
    if (content[i] != '\r' || content.substr(i + 1, 1) != "\n") plain += content[i];
  }
  auto applied = HunkApplier(plain, budget).Apply(hunks);
  if (!applied) return applied;
  return ToCrLf(*applied);
}

}  // namespace ybis::runner
