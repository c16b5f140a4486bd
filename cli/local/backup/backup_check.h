#pragma once
// Whether a folder is a whole and unchanged backup of ours.
#include <filesystem>
#include <stop_token>

#include "base/result.h"
#include "cli/local/backup/pg_tools.h"
#include "control/backup_manifest.h"

namespace ybis::cli {

struct CheckedBackup {
  std::filesystem::path path;
  control::BackupManifest manifest;
};

/// Checks the manifest, that the folder has its parts and nothing else, that each is a file of the size and
/// the digest that the manifest gives, and the schema's history against this program's migrations. Errors
/// name the part: kNotFound, kInvalid, kUnsupported for what is newer. Nothing is changed.
Result<CheckedBackup> CheckBackup(const std::filesystem::path& path, const Progress& progress,
                                  std::stop_token stop);

}  // namespace ybis::cli
