#include <fmt/format.h>

#include <charconv>

#include "runner/edit/diff.h"

namespace ybis::runner {
namespace {

// Keeps the parsed form of a diff of nothing but line ends in bounds.
constexpr size_t kMaxDiffLines = 1'000'000;
constexpr std::string_view kDevNull = "/dev/null";

/// Hands out the lines of a diff with their numbers.
class LineReader {
 public:
  explicit LineReader(std::string_view text) : rest_(text) {}

  bool done() const { return rest_.empty(); }
  size_t number() const { return number_; }
  std::string_view Peek() const { return rest_.substr(0, rest_.find('\n')); }
  std::string_view Next() {
    const std::string_view line = Peek();
    rest_.remove_prefix(std::min(rest_.size(), line.size() + 1));
    ++number_;
    return line;
  }

 private:
  std::string_view rest_;
  size_t number_ = 0;
};

bool Take(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

std::string_view WithoutCr(std::string_view line) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

/// "12" or "12,3"; false when it is neither.
bool TakeRange(std::string_view& text, size_t& start, size_t& count) {
  const auto number = [&text](size_t& value) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || value > 1'000'000'000) return false;
    text.remove_prefix(static_cast<size_t>(end - text.data()));
    return true;
  };
  count = 1;
  return number(start) && (!Take(text, ",") || number(count));
}

/// A name in git's quotes ("a/\303\244"), or as it stands up to a tab.
std::optional<std::string> Unquoted(std::string_view name) {
  if (!Take(name, "\"")) return std::string(name.substr(0, name.find('\t')));
  std::string out;
  for (size_t i = 0; i < name.size(); ++i) {
    if (name[i] == '"') return out;
    if (name[i] != '\\') {
      out += name[i];
      continue;
    }
    if (++i == name.size()) return std::nullopt;
    constexpr std::string_view kLetters = "abfnrtv\"\\";
    constexpr std::string_view kMeanings = "\a\b\f\n\r\t\v\"\\";
    if (const size_t letter = kLetters.find(name[i]); letter != std::string_view::npos) {
      out += kMeanings[letter];
    } else {
      unsigned value = 0;
      const std::string_view digits = name.substr(i, 3);
      const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, 8);
      if (error != std::errc{} || end != digits.data() + 3 || value > 255) return std::nullopt;
      out += static_cast<char>(value);
      i += 2;
    }
  }
  return std::nullopt;
}

/// The file that git's header names, for people: which of its blanks stands between the names may be unclear.
std::string HeaderName(std::string_view header) {
  const size_t at = header.rfind(header.ends_with('"') ? " \"b/" : " b/");
  if (at == std::string_view::npos) return std::string(header);
  std::string name = Unquoted(header.substr(at + 1)).value_or(std::string(header));
  if (name.starts_with("b/")) name.erase(0, 2);
  return name;
}

class DiffParser {
 public:
  explicit DiffParser(std::string_view text) : lines_(text) {}

  Result<std::vector<FileDiff>> Parse() {
    while (!lines_.done()) {
      const std::string_view line = lines_.Peek();
      if (line.starts_with("diff --git ")) {
        YBIS_TRY(GitFile());
      } else if (line.starts_with("--- ")) {
        Begin();
        YBIS_TRY(Names());
        YBIS_TRY(EndFile());
      } else if (line.starts_with("@@ ")) {
        return Bad("a hunk without '---' and '+++' lines before it");
      } else {
        lines_.Next();  // a comment between files
      }
    }
    if (files_.empty())
      return Fail(ErrorCode::kInvalid, "diff: names no file ('--- a/…' and '+++ b/…' lines)");
    return std::move(files_);
  }

 private:
  Unexpected Bad(std::string_view what) const {
    constexpr size_t kMaxName = 300;
    const std::string of = name_.empty() ? "" : fmt::format(" ({})", name_.substr(0, kMaxName));
    return Fail(ErrorCode::kInvalid, fmt::format("diff, line {}{}: {}", lines_.number() + 1, of, what));
  }

  void Begin() {
    file_ = {};
    name_.clear();
    git_rename_ = false;
    has_names_ = false;
  }

  Status GitFile() {
    Begin();
    std::string_view header = WithoutCr(lines_.Next());
    Take(header, "diff --git ");
    name_ = HeaderName(header);
    while (!lines_.done()) {
      const std::string_view line = WithoutCr(lines_.Peek());
      if (line.starts_with("diff --git ") || line.starts_with("@@ ")) break;
      if (line.starts_with("--- ")) {
        YBIS_TRY(Names());
        break;
      }
      YBIS_TRY(Extended(line));
      lines_.Next();
    }
    if (!has_names_ && !git_rename_) YBIS_TRY(NamesFromHeader(header));
    return EndFile();
  }

  /// One of git's lines between "diff --git" and "---".
  Status Extended(std::string_view line) {
    if (Take(line, "new file mode ")) {
      file_.action = FileDiff::Action::kCreate;
      return Mode(line);
    }
    if (Take(line, "deleted file mode ")) {
      file_.action = FileDiff::Action::kDelete;
      return Mode(line);
    }
    if (Take(line, "old mode ") || Take(line, "new mode ")) return Mode(line);
    if (line.starts_with("copy from ") || line.starts_with("copy to ")) {
      return Bad("copies are not taken; write the new file in full");
    }
    if (line.starts_with("GIT binary patch") || line.starts_with("Binary files ")) {
      return Bad("binary files cannot be edited");
    }
    if (Take(line, "rename from ")) return RenameName(line, file_.old_path);
    if (Take(line, "rename to ")) return RenameName(line, file_.new_path);
    if (Take(line, "index ")) {
      const size_t space = line.find(' ');
      if (space != std::string_view::npos) return CheckMode(line.substr(space + 1));
    }
    return {};
  }

  Status CheckMode(std::string_view mode) const {
    if (mode == "100644" || mode == "100755") return {};
    if (mode == "120000") return Bad("symbolic links cannot be made or edited");
    if (mode == "160000") return Bad("submodules cannot be made or edited");
    return Bad(fmt::format("the mode '{}' is neither 100644 nor 100755", mode.substr(0, 16)));
  }

  Status Mode(std::string_view mode) {
    YBIS_TRY(CheckMode(mode));
    file_.executable = mode == "100755";
    return {};
  }

  Status RenameName(std::string_view name, std::string& target) {
    const auto unquoted = Unquoted(name);
    if (!unquoted) return Bad("the quoted name is broken");
    target = *unquoted;
    file_.action = FileDiff::Action::kRename;
    git_rename_ = true;
    return {};
  }

  /// The "---" and "+++" lines.
  Status Names() {
    std::string_view old_name = WithoutCr(lines_.Next());
    Take(old_name, "--- ");
    std::string_view new_name = WithoutCr(lines_.Peek());
    if (!Take(new_name, "+++ ")) return Bad("a '---' line must be followed by a '+++' line");
    const auto old_path = Unquoted(old_name);
    const auto new_path = Unquoted(new_name);
    if (!old_path || !new_path) return Bad("the quoted name is broken");
    if (name_.empty()) name_ = *new_path == kDevNull ? *old_path : *new_path;
    lines_.Next();
    has_names_ = true;
    return SetNames(*old_path, *new_path);
  }

  Status SetNames(std::string_view old_path, std::string_view new_path) {
    if (old_path == kDevNull && new_path == kDevNull) return Bad("both names are /dev/null");
    if (old_path == kDevNull) file_.action = FileDiff::Action::kCreate;
    if (new_path == kDevNull) file_.action = FileDiff::Action::kDelete;
    if (git_rename_) return {};  // the rename lines have the names without prefixes
    const bool prefixed = (old_path == kDevNull || old_path.starts_with("a/")) &&
                          (new_path == kDevNull || new_path.starts_with("b/"));
    if (prefixed && old_path != kDevNull) old_path.remove_prefix(2);
    if (prefixed && new_path != kDevNull) new_path.remove_prefix(2);
    if (old_path != kDevNull) file_.old_path = old_path;
    if (new_path != kDevNull) file_.new_path = new_path;
    if (file_.action == FileDiff::Action::kModify && file_.old_path != file_.new_path) {
      return Bad(fmt::format("the names '{}' and '{}' differ without rename lines", old_path, new_path));
    }
    return {};
  }

  /// "a/x b/x": without hunks (a mode change, an empty file) it is all that names the file, twice the same.
  Status NamesFromHeader(std::string_view header) {
    if (header.starts_with('"')) {
      const size_t middle = header.find("\" \"");
      const auto name = Unquoted(header);
      if (middle == std::string_view::npos || !name) return Bad("the quoted name is broken");
      const auto other = Unquoted(header.substr(middle + 2));
      if (!other || !name->starts_with("a/") || !other->starts_with("b/")) return Bad("the names are broken");
      return SetHeaderName(name->substr(2), other->substr(2));
    }
    const size_t half = header.size() / 2;
    if (header.size() % 2 == 0 || header[half] != ' ')
      return Bad("the names of the file cannot be told apart");
    std::string_view old_name = header.substr(0, half);
    std::string_view new_name = header.substr(half + 1);
    if (!Take(old_name, "a/") || !Take(new_name, "b/")) return Bad("the names lack a/ and b/");
    return SetHeaderName(old_name, new_name);
  }

  Status SetHeaderName(std::string_view old_name, std::string_view new_name) {
    if (old_name != new_name) return Bad("the two names of the file differ");
    file_.old_path = old_name;
    file_.new_path = new_name;
    return {};
  }

  Status EndFile() {
    while (!lines_.done() && lines_.Peek().starts_with("@@ ")) YBIS_TRY(ReadHunk());
    if (!lines_.done() && !file_.hunks.empty()) {
      const char next = lines_.Peek().empty() ? '\n' : lines_.Peek().front();
      // More lines than the header counted would be dropped in silence otherwise.
      const bool header = lines_.Peek().starts_with("--- ") || lines_.Peek().starts_with("-- ");
      if ((next == '+' || next == '-' || next == ' ') && !header) {
        return Bad("the hunk has more lines than its '@@' header says");
      }
    }
    if (file_.action == FileDiff::Action::kCreate) file_.old_path.clear();
    if (file_.action == FileDiff::Action::kDelete) file_.new_path.clear();
    const bool lacks_old = file_.action != FileDiff::Action::kCreate && file_.old_path.empty();
    const bool lacks_new = file_.action != FileDiff::Action::kDelete && file_.new_path.empty();
    if (lacks_old || lacks_new) return Bad("the file before this line has no name");
    files_.push_back(std::move(file_));
    return {};
  }

  Status ReadHunk() {
    Hunk hunk;
    hunk.line = lines_.number() + 1;
    std::string_view header = lines_.Peek();
    size_t new_start = 0;
    const bool good = Take(header, "@@ -") && TakeRange(header, hunk.old_start, hunk.old_count) &&
                      Take(header, " +") && TakeRange(header, new_start, hunk.new_count) &&
                      Take(header, " @@");
    if (!good) return Bad("the hunk header must be '@@ -start,count +start,count @@'");
    lines_.Next();
    size_t old_left = hunk.old_count;
    size_t new_left = hunk.new_count;
    while (old_left > 0 || new_left > 0) YBIS_TRY(ReadHunkLine(hunk, old_left, new_left));
    TakeNoNewline(hunk);
    file_.hunks.push_back(std::move(hunk));
    return {};
  }

  Status ReadHunkLine(Hunk& hunk, size_t& old_left, size_t& new_left) {
    if (lines_.done()) return Bad("the diff ends in the middle of a hunk: its '@@' header counts more lines");
    if (++line_count_ > kMaxDiffLines) return Fail(ErrorCode::kTooLarge, "diff: more than 1000000 lines");
    if (TakeNoNewline(hunk)) return {};
    const std::string_view line = lines_.Peek();
    // Editors strip the blank from an empty context line.
    const char kind = line.empty() || line == "\r" ? ' ' : line.front();
    const bool is_old = kind == ' ' || kind == '-';
    const bool is_new = kind == ' ' || kind == '+';
    if (!is_old && !is_new) return Bad("a line of a hunk must start with a blank, '+' or '-'");
    if ((is_old && old_left == 0) || (is_new && new_left == 0)) {
      return Bad("the hunk's lines do not add up to the counts of its '@@' header");
    }
    old_left -= is_old ? 1 : 0;
    new_left -= is_new ? 1 : 0;
    const bool blank = line.empty() || line == "\r";
    hunk.lines.push_back({.kind = kind, .text = blank ? line : line.substr(1)});
    lines_.Next();
    return {};
  }

  bool TakeNoNewline(Hunk& hunk) {
    if (lines_.done() || !lines_.Peek().starts_with("\\ ") || hunk.lines.empty()) return false;
    hunk.lines.back().newline = false;
    lines_.Next();
    return true;
  }

  LineReader lines_;
  std::vector<FileDiff> files_;
  FileDiff file_;
  std::string name_;  ///< of the file that is read, for messages; may be empty
  bool git_rename_ = false;
  bool has_names_ = false;
  size_t line_count_ = 0;
};

}  // namespace

Result<std::vector<FileDiff>> ParseDiff(std::string_view text) { return DiffParser(text).Parse(); }

}  // namespace ybis::runner
