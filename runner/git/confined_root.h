#pragma once
// Reading a folder of hostile content beneath its descriptor (openat2), never through a symlink.
#include <fcntl.h>
#include <sys/stat.h>

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"

namespace ybis::git {

/// Whether the path may name a file of a worktree: relative, no empty, `.` or `..` part, no NUL, no part that
/// is .git or what other file systems take for it. kInvalid names the path.
Status CheckWorktreePath(std::string_view path);

/// A folder held open. Movable; const methods may be called from several threads.
class ConfinedRoot {
 public:
  static Result<ConfinedRoot> Open(const std::filesystem::path& path);

  int fd() const { return fd_.get(); }
  /// The root again, for reading.
  Result<UniqueFd> OpenFolder() const { return OpenBeneath(".", O_RDONLY | O_DIRECTORY); }
  /// lstat beneath the root; nullopt when there is nothing, also when a part of the path is no folder (a
  /// symlink is none).
  Result<std::optional<struct stat>> Stat(const std::string& path) const;
  /// A regular file's bytes. kNotFound, kInvalid (a symlink on the way, not a regular file), kTooLarge.
  Result<std::string> ReadRegular(const std::string& path, size_t max_bytes) const;
  /// At most `max_bytes` from a regular file's beginning; else as ReadRegular.
  Result<std::string> ReadHead(const std::string& path, size_t max_bytes) const;
  /// A symlink's target.
  Result<std::string> ReadLink(const std::string& path) const;

 private:
  explicit ConfinedRoot(UniqueFd fd) : fd_(std::move(fd)) {}
  Result<UniqueFd> OpenBeneath(const std::string& path, int flags) const;
  Result<UniqueFd> OpenRegular(const std::string& path, struct stat& info) const;
  UniqueFd fd_;
};

}  // namespace ybis::git
