#include "cli/table.h"

#include <fmt/format.h>

#include <cstdlib>

#include "base/json.h"
#include "cli/terminal_text.h"

namespace ybis::cli {
namespace {

using nlohmann::json;

/// Characters, not bytes.
size_t Width(std::string_view text) {
  return static_cast<size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

/// Whether YAML reads the text as itself without quotes; anything doubtful is quoted.
bool IsPlain(const std::string& text) {
  if (text.empty() || std::isalpha(static_cast<unsigned char>(text.front())) == 0) return false;
  std::string lower;
  for (const char c : text) lower += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  for (const char* word : {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}) {
    if (lower == word) return false;
  }
  return std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.' || c == '/';
  });
}

std::string Scalar(const json& value) {
  if (!value.is_string()) return value.is_structured() ? (value.is_array() ? "[]" : "{}") : DumpJson(value);
  const auto text = value.get<std::string>();
  return IsPlain(text) ? text : DumpJson(value);
}

void Write(const json& value, size_t indent, bool in_list, std::string& out) {
  const std::string pad(indent, ' ');
  bool first = in_list;
  if (value.is_object()) {
    for (const auto& [key, member] : value.items()) {
      out += (first ? "" : pad) + (IsPlain(key) ? key : DumpJson(json(key))) + ":";
      first = false;
      if (member.is_structured() && !member.empty()) {
        out += "\n";
        Write(member, indent + 2, false, out);
      } else {
        out += " " + Scalar(member) + "\n";
      }
    }
    return;
  }
  for (const json& member : value) {
    out += (first ? "" : pad) + "- ";
    first = false;
    if (member.is_structured() && !member.empty()) {
      Write(member, indent + 2, true, out);
    } else {
      out += Scalar(member) + "\n";
    }
  }
}

}  // namespace

void Table::Print(std::ostream& out) const {
  std::vector<size_t> widths;
  for (const auto& row : rows_) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], Width(row[i]));
  }
  for (const auto& row : rows_) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      line += row[i];
      if (i + 1 < row.size()) line += std::string(widths[i] - Width(row[i]) + 2, ' ');
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out << line << "\n";
  }
}

std::string DurationText(std::chrono::milliseconds duration) {
  const int64_t ms = std::max<int64_t>(0, duration.count());
  const int64_t seconds = ms / 1000;
  if (ms < 10'000) return fmt::format("{:.1f}s", static_cast<double>(ms) / 1000);
  if (seconds < 60) return fmt::format("{}s", seconds);
  if (seconds < 3600) return fmt::format("{}m{}s", seconds / 60, seconds % 60);
  if (seconds < 86'400) return fmt::format("{}h{}m", seconds / 3600, seconds / 60 % 60);
  return fmt::format("{}d", seconds / 86'400);
}

std::string AgeText(std::optional<TimePoint> time, TimePoint now) {
  if (!time) return "-";
  const auto seconds = std::chrono::floor<std::chrono::seconds>(now - *time);
  if (seconds < std::chrono::seconds(10)) return fmt::format("{}s", std::max<int64_t>(0, seconds.count()));
  return DurationText(seconds);
}

std::string OneLine(std::string_view text, size_t width) {
  std::string out;
  size_t last = 0;  // where the last character begins
  for (size_t characters = 0; !text.empty(); ++characters) {
    if (characters == width) return out.substr(0, last) + "…";
    last = out.size();
    const Character next = CharacterAt(text);
    const bool blank = next.Controls() || next.code == '\n' || next.code == '\t';
    out += blank ? " " : text.substr(0, next.size);
    text.remove_prefix(next.size);
  }
  return out;
}

std::string ToYaml(const json& value) {
  if (!value.is_structured() || value.empty()) return Scalar(value) + "\n";
  std::string out;
  Write(value, 0, false, out);
  return out;
}

std::string Paint::Wrap(std::string_view code, std::string_view text) const {
  return on ? fmt::format("\x1b[{}m{}\x1b[0m", code, text) : std::string(text);
}

std::string Paint::State(std::string_view state) const {
  if (state == "Completed") return Green(state);
  if (state == "Blocked") return Yellow(state);
  return state == "Failed" ? Red(state) : std::string(state);
}

Paint PaintFor(const std::ostream& out) {
  const char* no_color = std::getenv("NO_COLOR");
  const char* term = std::getenv("TERM");
  const bool plain =
      (no_color != nullptr && *no_color != '\0') || term == nullptr || std::string_view(term) == "dumb";
  const bool terminal = IsTerminal(out);
  return {terminal && !plain, terminal};
}

}  // namespace ybis::cli
