#pragma once
// Whether a file on the disk is the one that an index entry speaks of.
#include <sys/stat.h>

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "runner/git/object_store.h"

namespace ybis::git {

inline constexpr unsigned kModeRegular = 0100644;
inline constexpr unsigned kModeExecutable = 0100755;
inline constexpr unsigned kModeSymlink = 0120000;
inline constexpr unsigned kModeSubmodule = 0160000;

/// git's mode for a file; 0 for what git does not keep (folders, sockets, devices).
unsigned ModeOf(const struct stat& info);

/// Whether the file is surely the one that git checked out or added. `index_written` is when the index was:
/// what changed in the same tick may carry the same times. The change time cannot be set by a program, so
/// putting the modification time back hides nothing.
bool IsUntouched(const IndexEntry& entry, const struct stat& info, const struct timespec& index_written);

/// When a file was last written.
Result<struct timespec> WriteTime(const std::filesystem::path& path);

/// The parts of what `git … -z` prints.
std::vector<std::string> SplitNul(std::string_view text);

}  // namespace ybis::git
