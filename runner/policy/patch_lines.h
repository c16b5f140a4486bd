#pragma once
// The lines that a unified diff adds, with the file and the number that each has after it.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ybis::runner {

struct AddedLine {
  std::string path;
  int64_t line = 0;  ///< from 1, in the new file
  std::string_view text;
};

/// Reads git's unified diff. Hunk lengths are obeyed, so that an added line which looks like a header ("++
/// b/x") is still a line. The result points into `patch`.
std::vector<AddedLine> AddedLines(std::string_view patch);

}  // namespace ybis::runner
