#pragma once
// The folder that backups lie in: one folder a backup, made under a temporary name and renamed.
#include <filesystem>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "control/backup_manifest.h"

namespace ybis::cli {

/// A backup as a list shows it. Digests are not checked here; `problem` says what is wrong at first sight.
struct BackupEntry {
  control::BackupId id;
  std::filesystem::path path;
  std::optional<control::BackupManifest> manifest;
  std::string problem;
};

/// Newest first; names that are no backups', links and what is half made are left out. A folder that is not
/// there has none.
std::vector<BackupEntry> ListBackups(const std::filesystem::path& folder);

/// Holds the folder against other commands while it lives, and clears away what killed ones left.
class BackupFolder {
 public:
  /// Makes it for this user alone. kConflict when another command is at work in it.
  static Result<BackupFolder> Open(const std::filesystem::path& folder);

  const std::filesystem::path& path() const { return path_; }
  /// An empty folder to make the backup in.
  Result<std::filesystem::path> Begin(const std::string& name) const;
  /// Puts it on disk and gives it its name: from here on it is a backup.
  Result<std::filesystem::path> Publish(const std::string& name) const;
  void Discard(const std::string& name) const;
  /// Renames it away first, so that a half removed one is never taken for a backup.
  Status Remove(const std::string& name) const;

 private:
  BackupFolder(std::filesystem::path path, UniqueFd lock) : path_(std::move(path)), lock_(std::move(lock)) {}
  std::filesystem::path Making(const std::string& name) const { return path_ / (".making-" + name); }
  std::filesystem::path path_;
  UniqueFd lock_;
};

/// Puts a file's or a folder's content on disk.
Status SyncPath(const std::filesystem::path& path);

}  // namespace ybis::cli
