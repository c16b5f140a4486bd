#pragma once
// What a backup says about itself (manifest.json), how backups are named, and which of them a clean-up takes.
// Pure: no file is touched here.
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "store/migrations.h"

namespace ybis::control {

/// Raised when a program of today could not restore what is written then.
inline constexpr int64_t kBackupFormat = 1;
inline constexpr const char* kManifestFile = "manifest.json";

/// What a backup may hold, in the order in which it is made and restored.
inline constexpr std::string_view kBackupComponents[] = {"database", "configs", "workspaces", "index"};
/// The file of a component inside the backup's folder; "" for another name.
std::string_view BackupFile(std::string_view component);

struct BackupPart {
  std::string component;
  int64_t size = 0;      ///< bytes of its file
  std::string digest;    ///< of its file, "sha256:…"
  int64_t unpacked = 0;  ///< bytes of the files in it; 0 for the database
  int64_t entries = 0;   ///< tables or files in it
};

/// Which database it was taken of; restoring it elsewhere is allowed.
struct BackupSource {
  std::string system;  ///< the server's system identifier
  std::string database;
  int64_t server_version = 0;  ///< as server_version_num
};

struct BackupManifest {
  std::string name;
  std::string product_version;
  TimePoint created{};
  bool safety = false;   ///< made by a restore, of what it replaced
  bool secrets = false;  ///< configs holds the secrets folder, too
  BackupSource source;
  std::vector<store::AppliedMigration> migrations;  ///< the schema's history; empty without a database
  std::vector<BackupPart> parts;

  const BackupPart* Find(std::string_view component) const;
  int64_t TotalBytes() const;
};

/// The file's text. It ends with a digest of everything before, so that no field can change unnoticed.
std::string ManifestText(const BackupManifest& manifest);
/// Errors name the field: kInvalid for what is no manifest or was changed, kUnsupported for a newer format.
Result<BackupManifest> ParseManifest(std::string_view text, std::string_view source);

/// "ybis-20260131T120000Z-1f2e3d", with "-safety" at its end for a safety backup.
std::string BackupName(TimePoint created, std::string_view nonce, bool safety);
struct BackupId {
  std::string name;
  TimePoint created{};
  bool safety = false;
};
/// None when it is not a backup's name.
std::optional<BackupId> ParseBackupName(std::string_view name);

/// Those a clean-up removes: all but the newest `keep`, the newest `keep` that are no safety backups, and
/// safety backups younger than a day.
std::vector<std::string> BackupsToRemove(std::vector<BackupId> backups, size_t keep, TimePoint now);

}  // namespace ybis::control
