#include "runner/git/entry_match.h"

#include <fmt/format.h>

#include <cerrno>
#include <system_error>

namespace ybis::git {

unsigned ModeOf(const struct stat& info) {
  if (S_ISLNK(info.st_mode)) return kModeSymlink;
  if (!S_ISREG(info.st_mode)) return 0;
  return (info.st_mode & S_IXUSR) != 0 ? kModeExecutable : kModeRegular;
}

bool IsUntouched(const IndexEntry& entry, const struct stat& info, const struct timespec& index_written) {
  const bool same =
      entry.mode == ModeOf(info) && entry.size == static_cast<uint32_t>(info.st_size) &&
      entry.inode == static_cast<uint32_t>(info.st_ino) && entry.mtime_seconds == info.st_mtim.tv_sec &&
      entry.mtime_nanoseconds == info.st_mtim.tv_nsec && entry.ctime_seconds == info.st_ctim.tv_sec &&
      entry.ctime_nanoseconds == info.st_ctim.tv_nsec;
  if (!same) return false;
  return info.st_ctim.tv_sec < index_written.tv_sec ||
         (info.st_ctim.tv_sec == index_written.tv_sec && info.st_ctim.tv_nsec < index_written.tv_nsec);
}

Result<struct timespec> WriteTime(const std::filesystem::path& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) {
    return Fail(ErrorCode::kInternal,
                fmt::format("{}: {}", path.string(), std::generic_category().message(errno)));
  }
  return info.st_mtim;
}

std::vector<std::string> SplitNul(std::string_view text) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const size_t end = text.find('\0');
    parts.emplace_back(text.substr(0, end));
    text.remove_prefix(end == text.npos ? text.size() : end + 1);
  }
  return parts;
}

}  // namespace ybis::git
