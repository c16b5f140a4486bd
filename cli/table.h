#pragma once
// What people read: aligned columns, times and sizes, and one value in several forms.
#include <chrono>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"

namespace ybis::cli {

/// Rows of cells under a heading, each column as wide as its widest cell.
class Table {
 public:
  explicit Table(std::vector<std::string> heading) : rows_{std::move(heading)} {}
  void Add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  void Print(std::ostream& out) const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

/// "8s", "3m12s", "2h5m", "4d": how long, at most two units.
std::string DurationText(std::chrono::milliseconds duration);
/// How long ago, or "-".
std::string AgeText(std::optional<TimePoint> time, TimePoint now);
/// More characters than what is meant to be read at once has: an address, a ref, a command.
inline constexpr size_t kLongLine = 1024;
/// One line of at most `width` characters, blanks for what a terminal would obey; "…" where it was cut.
std::string OneLine(std::string_view text, size_t width);
/// The value as YAML.
std::string ToYaml(const nlohmann::json& value);

/// Colours for terminals; every function gives the text alone when `on` is false.
struct Paint {
  bool on = false;
  /// Somebody looks at it, with colours or without: what others wrote must be made Visible.
  bool terminal = false;
  std::string Green(std::string_view text) const { return Wrap("32", text); }
  std::string Yellow(std::string_view text) const { return Wrap("33", text); }
  std::string Red(std::string_view text) const { return Wrap("31", text); }
  std::string Dim(std::string_view text) const { return Wrap("2", text); }
  /// By how a run stands: Completed green, Blocked yellow, Failed red.
  std::string State(std::string_view state) const;

 private:
  std::string Wrap(std::string_view code, std::string_view text) const;
};

/// On for a terminal, unless NO_COLOR is set or TERM is dumb.
Paint PaintFor(const std::ostream& out);

}  // namespace ybis::cli
