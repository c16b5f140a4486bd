#pragma once
// Making a backup.
#include <filesystem>
#include <stop_token>
#include <string>
#include <vector>

#include "cli/local/backup/backup_folder.h"
#include "cli/local/backup/backup_site.h"

namespace ybis::cli {

struct CreateRequest {
  bool database = true;
  bool configs = true;
  bool workspaces = false;
  bool index = true;
  bool secrets = false;  ///< the secrets folder goes with the configs
  bool safety = false;
};

struct CreatedBackup {
  std::filesystem::path path;
  control::BackupManifest manifest;
  std::vector<std::string> skipped;  ///< links and the like that stayed out
};

/// Makes it in `folder`. The database is taken of one snapshot, its schema's version with it, while others go
/// on writing. Parts of which there is nothing are left out. Journals BACKUP_CREATED. A kill at any moment
/// leaves no backup or a whole one.
Result<CreatedBackup> CreateBackup(const BackupSite& site, const BackupFolder& folder,
                                   const CreateRequest& request, std::stop_token stop);

}  // namespace ybis::cli
