#include "cli/screen.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <string_view>

#include "cli/terminal_text.h"

namespace ybis::cli {
namespace {

/// A line that wraps would be counted as one. Escapes are our own colours: what others wrote has none by now.
std::string Cut(std::string_view line, size_t width) {
  std::string out;
  size_t last = 0;  // where the last character begins
  bool coloured = false;
  for (size_t characters = 0; !line.empty();) {
    const size_t colour_end = line.starts_with("\x1b[") ? line.find('m') : std::string_view::npos;
    const bool colour = colour_end != std::string_view::npos;
    const size_t size = colour ? colour_end + 1 : CharacterAt(line).size;
    coloured = coloured || colour;
    if (!colour) {
      if (characters++ == width) return out.substr(0, last) + (coloured ? "…\x1b[0m" : "…");
      last = out.size();
    }
    out += line.substr(0, size);
    line.remove_prefix(size);
  }
  return out;
}

}  // namespace

std::vector<std::string> FittingLines(const std::string& frame, size_t rows, size_t width, FrameEnd end) {
  std::vector<std::string> lines;
  for (size_t at = 0; at < frame.size();) {
    const size_t newline = std::min(frame.find('\n', at), frame.size());
    lines.push_back(Cut(std::string_view(frame).substr(at, newline - at), width));
    at = newline + 1;
  }
  if (lines.size() <= rows) return lines;
  const auto more = static_cast<ptrdiff_t>(lines.size() - rows);
  if (end == FrameEnd::kLast) {
    lines.erase(lines.begin(), lines.begin() + more);
  } else {
    lines.resize(rows);
  }
  return lines;
}

bool Screen::Fits(const std::ostream& out) {
  const char* term = std::getenv("TERM");
  return &out == &std::cout && IsTerminal(out) && term != nullptr && std::string_view(term) != "dumb";
}

void Screen::Draw(const std::string& frame) {
  if (frame == last_) return;
  last_ = frame;
  winsize size{};
  const bool known = ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 2;
  const size_t rows = known ? size.ws_row - 1U : 24U;
  if (lines_ > 0) out_ << "\x1b[" << lines_ << "A";
  const auto lines =
      FittingLines(frame, rows, known && size.ws_col > 0 ? size.ws_col : std::string::npos, end_);
  for (const std::string& line : lines) out_ << "\r" << line << "\x1b[K\n";
  lines_ = lines.size();
  out_ << "\x1b[J" << std::flush;
}

}  // namespace ybis::cli
