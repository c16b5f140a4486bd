#pragma once
// Folders to a .tar.zst and back. What is written is plain ustar (pax names for long paths), so that tar
// reads it; what is read is only what was written so: regular files and folders below one place.
#include <cstdint>
#include <filesystem>
#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/result.h"

namespace ybis::cli {

struct PackTotals {
  int64_t bytes = 0;                 ///< of the files' contents
  int64_t entries = 0;               ///< files and folders
  std::vector<std::string> skipped;  ///< links and other things that are no files, at most 100
};

struct PackPlan {
  std::filesystem::path base;
  std::vector<std::string> roots;  ///< names below base; those that are missing are left out
  /// Whether a path (relative to base) stays out with all below it; may be empty.
  std::function<bool(const std::filesystem::path&)> leave_out;
};

/// Links are never followed: they are named in `skipped`. A file that vanishes meanwhile is left out, a
/// folder is empty.
Result<PackTotals> Pack(const PackPlan& plan, int fd, const std::string& name, std::stop_token stop);

struct UnpackLimits {
  int64_t bytes = 0;
  int64_t entries = 0;
};

/// Into `target`, an empty folder of our own that nobody else writes. Errors (kInvalid) name the file and the
/// entry: paths that lead out, links, anything beyond the limits, a cut-off or damaged file. All is on disk
/// when it returns.
Result<PackTotals> Unpack(int fd, const std::string& name, const std::filesystem::path& target,
                          const UnpackLimits& limits, std::stop_token stop);

}  // namespace ybis::cli
