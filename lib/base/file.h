#pragma once
// Small files read whole with a cap, and files written so that a reader sees the old content or the new,
// never half.
#include <filesystem>
#include <string>
#include <string_view>

#include "base/result.h"

namespace ybis {

/// Reads a regular file of at most `max_bytes`; the error names the path.
Result<std::string> ReadFile(const std::filesystem::path& path, size_t max_bytes = 16 * 1024 * 1024);
/// Writes to a temporary name beside it, syncs and renames. `mode` is the file's permission bits.
Status WriteFileAtomic(const std::filesystem::path& path, std::string_view bytes, unsigned mode = 0644);

}  // namespace ybis
