#pragma once
// Files beneath one open folder, reached without ever following a symbolic link or leaving it (openat2).
#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace ybis::runner {

struct FileState {
  std::string content;
  mode_t mode = 0644;  ///< permission bits
  bool executable() const { return (mode & 0111) != 0; }
};

/// The folder's descriptor must outlive it. Paths must have passed CheckEditPath. Thread-safe.
class Beneath {
 public:
  explicit Beneath(int folder) : folder_(folder) {}

  /// nullopt when there is no such file. kInvalid: it is no regular file, or the way to it leads over a
  /// symbolic link or through a file; kTooLarge: over `max_bytes`.
  Result<std::optional<FileState>> Read(const std::string& path, size_t max_bytes) const;
  /// Replaces or creates it at once (temporary file, rename); missing folders are made.
  Status Write(const std::string& path, const FileState& state) const;
  /// Removes the file and the folders that it leaves empty.
  Status Remove(const std::string& path) const;

 private:
  int folder_;
};

}  // namespace ybis::runner
