#pragma once
// Restoring a backup, whole or by component.
#include <filesystem>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "cli/local/backup/backup_folder.h"
#include "cli/local/backup/backup_site.h"

namespace ybis::cli {

struct RestoreRequest {
  std::filesystem::path path;
  std::vector<std::string> components;  ///< empty = all that the backup has
  bool force = false;                   ///< even while runs are under way: their runners are fenced off
};

struct RestoreReport {
  std::string backup;
  std::vector<std::string> components;
  std::filesystem::path safety;       ///< of what was replaced; empty when there was nothing
  std::vector<std::string> migrated;  ///< migrations applied to an older schema afterwards
};

/// Checks all of the backup first, then makes a safety backup in `folder` (the site's own), then replaces.
/// One moment decides for all components: the commit of the database's transaction, or of the written intent
/// where no database is restored. A kill before it leaves the old state, after it the next command ends the
/// work.
Result<RestoreReport> RestoreBackup(const BackupSite& site, const BackupFolder& folder,
                                    const RestoreRequest& request, std::stop_token stop);

/// Ends a restore that was killed, forwards or backwards; the backup's name when it was carried through. Hold
/// the site's BackupFolder. kConflict, and nothing is touched, when it was about another database.
Result<std::optional<std::string>> RecoverRestore(const BackupSite& site, std::stop_token stop);

enum class OtherDatabase {
  kLeave,   ///< a restore of another database is left to that one's commands
  kRefuse,  ///< it is kConflict: folders that are half of one state must not be saved
};

/// The same for commands that only need the record: looks for a broken-off restore, and leaves one that is
/// under way alone.
Status EndBrokenRestore(const BackupSite& site, std::stop_token stop,
                        OtherDatabase other = OtherDatabase::kLeave);

}  // namespace ybis::cli
