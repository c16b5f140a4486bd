#include "cli/local/backup/backup_folder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "base/file.h"

namespace ybis::cli {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxManifest = 1024 * 1024;

Unexpected FailErrno(std::string_view what, const fs::path& path) {
  const int error = errno;
  return Fail(error == EACCES || error == EPERM || error == EROFS ? ErrorCode::kDenied : ErrorCode::kInternal,
              fmt::format("{} {}: {}", what, path.string(), std::generic_category().message(error)));
}

bool IsFolder(const fs::path& path) {
  struct stat info {};
  return ::lstat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

BackupEntry Look(const control::BackupId& id, const fs::path& path) {
  BackupEntry entry{id, path, {}, {}};
  const auto text = ReadFile(path / control::kManifestFile, kMaxManifest);
  if (!text) {
    entry.problem = "has no manifest.json";
    return entry;
  }
  auto manifest = control::ParseManifest(*text, control::kManifestFile);
  if (!manifest) {
    entry.problem = manifest.error().message;
    return entry;
  }
  for (const auto& part : manifest->parts) {
    struct stat info {};
    const bool there = ::lstat((path / control::BackupFile(part.component)).c_str(), &info) == 0;
    if (!there || !S_ISREG(info.st_mode) || info.st_size != part.size)
      entry.problem = part.component + ": is missing or has another size";
  }
  entry.manifest = std::move(*manifest);
  return entry;
}

}  // namespace

std::vector<BackupEntry> ListBackups(const fs::path& folder) {
  std::vector<BackupEntry> entries;
  std::error_code ignored;
  for (const auto& found : fs::directory_iterator(folder, ignored)) {
    const auto id = control::ParseBackupName(found.path().filename().string());
    if (id && IsFolder(found.path())) entries.push_back(Look(*id, found.path()));
  }
  std::sort(entries.begin(), entries.end(), [](const BackupEntry& a, const BackupEntry& b) {
    return std::tie(a.id.created, a.id.name) > std::tie(b.id.created, b.id.name);
  });
  return entries;
}

Status SyncPath(const fs::path& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!fd.valid() || ::fsync(fd.get()) != 0) return FailErrno("sync", path);
  return {};
}

Result<BackupFolder> BackupFolder::Open(const fs::path& folder) {
  std::error_code error;
  const bool made = fs::create_directories(folder, error);
  if (error)
    return Fail(ErrorCode::kDenied, fmt::format("cannot make {}: {}", folder.string(), error.message()));
  if (made) fs::permissions(folder, fs::perms::owner_all, error);
  UniqueFd lock(::open((folder / ".lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!lock.valid()) return FailErrno("make", folder / ".lock");
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0)
    return Fail(ErrorCode::kConflict,
                fmt::format("another command is making or restoring a backup in {}; try again "
                            "when it is done",
                            folder.string()));
  // Nobody else is at work here: whatever is half made was left by a command that was killed.
  for (const auto& found : fs::directory_iterator(folder, error)) {
    const std::string name = found.path().filename();
    if ((name.starts_with(".making-ybis-") || name.starts_with(".removing-ybis-")) && IsFolder(found.path()))
      fs::remove_all(found.path(), error);
  }
  return BackupFolder(folder, std::move(lock));
}

Result<fs::path> BackupFolder::Begin(const std::string& name) const {
  if (::mkdir(Making(name).c_str(), 0700) != 0) return FailErrno("make", Making(name));
  return Making(name);
}

Result<fs::path> BackupFolder::Publish(const std::string& name) const {
  const fs::path making = Making(name), final = path_ / name;
  for (const auto& file : fs::directory_iterator(making)) YBIS_TRY(SyncPath(file.path()));
  YBIS_TRY(SyncPath(making));
  if (::rename(making.c_str(), final.c_str()) != 0) return FailErrno("rename to", final);
  YBIS_TRY(SyncPath(path_));
  return final;
}

void BackupFolder::Discard(const std::string& name) const {
  std::error_code ignored;
  fs::remove_all(Making(name), ignored);
}

Status BackupFolder::Remove(const std::string& name) const {
  const fs::path from = path_ / name, away = path_ / (".removing-" + name);
  if (!control::ParseBackupName(name) || !IsFolder(from))
    return Fail(ErrorCode::kInvalid, fmt::format("{}: is no backup", from.string()));
  if (::rename(from.c_str(), away.c_str()) != 0) return FailErrno("rename", from);
  std::error_code error;
  fs::remove_all(away, error);  // does not follow links
  if (error) return Fail(ErrorCode::kInternal, fmt::format("remove {}: {}", away.string(), error.message()));
  return {};
}

}  // namespace ybis::cli
