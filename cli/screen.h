#pragma once
// A view that is drawn over itself on a terminal.
#include <ostream>
#include <string>
#include <vector>

namespace ybis::cli {

/// Which end of a frame is shown that has more lines than the terminal.
enum class FrameEnd { kFirst, kLast };

/// The lines of a frame that fit `rows`, each cut to `width` characters; our own colours take no room.
std::vector<std::string> FittingLines(const std::string& frame, size_t rows, size_t width, FrameEnd end);

/// Draws frames over each other; what scrolled away stays. One thread.
class Screen {
 public:
  Screen(std::ostream& out, FrameEnd end) : out_(out), end_(end) {}

  /// Whether the stream is a terminal that can be drawn on.
  static bool Fits(const std::ostream& out);
  void Draw(const std::string& frame);

 private:
  std::ostream& out_;
  FrameEnd end_;
  std::string last_;
  size_t lines_ = 0;
};

}  // namespace ybis::cli
