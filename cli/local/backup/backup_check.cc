#include "cli/local/backup/backup_check.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <cerrno>
#include <system_error>

#include "base/file.h"
#include "base/file_digest.h"
#include "base/unique_fd.h"

namespace ybis::cli {
namespace {

namespace fs = std::filesystem;
using control::BackupManifest;
using control::BackupPart;

constexpr size_t kMaxManifest = 1024 * 1024;

Unexpected Refuse(std::string_view part, std::string_view why) {
  return Fail(ErrorCode::kInvalid, fmt::format("{}: {}; nothing was changed", part, why));
}

/// Regular, inside the folder, never through a link.
Result<UniqueFd> OpenPart(int folder, const std::string& file, std::string_view part, int64_t& size) {
  UniqueFd fd(::openat(folder, file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!fd.valid()) {
    return Refuse(part, errno == ELOOP    ? "is a link"
                        : errno == ENOENT ? "is missing"
                                          : std::generic_category().message(errno));
  }
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0 || !S_ISREG(info.st_mode)) return Refuse(part, "is no regular file");
  size = info.st_size;
  return fd;
}

Status CheckNames(const fs::path& path, const BackupManifest& manifest) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(path, error)) {
    const std::string name = entry.path().filename();
    bool known = name == control::kManifestFile;
    for (const BackupPart& part : manifest.parts)
      known = known || name == control::BackupFile(part.component);
    if (!known) return Refuse(name, "is in the folder, but the manifest does not know it");
  }
  if (error) return Refuse(path.string(), error.message());
  return {};
}

Status CheckPart(int folder, const BackupPart& part, const Progress& progress, std::stop_token stop) {
  int64_t size = 0;
  YBIS_ASSIGN(const UniqueFd fd,
              OpenPart(folder, std::string(control::BackupFile(part.component)), part.component, size));
  if (size != part.size) {
    return Refuse(part.component, fmt::format("has {} bytes, the manifest says {}: it was cut off or changed",
                                              size, part.size));
  }
  progress("checking " + part.component, 0);
  YBIS_ASSIGN(const FileDigest found, DigestOfFile(fd.get(), part.component, std::move(stop)));
  if (found.digest != part.digest || found.size != part.size)
    return Refuse(part.component, "its digest is not that of the manifest: it was changed or damaged");
  return {};
}

Result<BackupManifest> ReadManifest(int folder) {
  int64_t size = 0;
  YBIS_ASSIGN(const UniqueFd fd, OpenPart(folder, control::kManifestFile, control::kManifestFile, size));
  if (size > static_cast<int64_t>(kMaxManifest)) return Refuse(control::kManifestFile, "is too long");
  std::string text(static_cast<size_t>(size), '\0');
  for (size_t at = 0; at < text.size();) {
    const ssize_t n = ::read(fd.get(), text.data() + at, text.size() - at);
    if (n <= 0) return Refuse(control::kManifestFile, "cannot be read");
    at += static_cast<size_t>(n);
  }
  return control::ParseManifest(text, control::kManifestFile);
}

}  // namespace

Result<CheckedBackup> CheckBackup(const fs::path& path, const Progress& progress, std::stop_token stop) {
  const UniqueFd folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
  if (!folder.valid()) {
    if (errno == ENOENT)
      return Fail(ErrorCode::kNotFound, fmt::format("there is no backup {}", path.string()));
    return Refuse(path.string(), "is no folder: a backup is a folder with a manifest.json");
  }
  YBIS_ASSIGN(BackupManifest manifest, ReadManifest(folder.get()));
  YBIS_TRY(CheckNames(path, manifest));
  for (const BackupPart& part : manifest.parts) YBIS_TRY(CheckPart(folder.get(), part, progress, stop));
  if (Status known = store::CheckHistory(manifest.migrations, store::BuiltInMigrations(), "the backup");
      !known)
    return FailIn("database", std::move(known).error());
  if ((manifest.Find("database") != nullptr) == manifest.migrations.empty())
    return Refuse(control::kManifestFile, "schema: does not fit the parts");
  return CheckedBackup{path, std::move(manifest)};
}

}  // namespace ybis::cli
