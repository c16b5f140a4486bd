#pragma once
// What a restore is about to do to files, written down before it is done, so that the next command can end
// what a killed one began.
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/local/backup/backup_check.h"
#include "cli/local/folders.h"

namespace ybis::cli {

/// `staged` takes the place of `target`; without `staged` the target goes.
struct RestoreMove {
  std::filesystem::path staged;
  std::filesystem::path target;
  uint64_t inode = 0;  ///< of what is staged: it tells whether the move was made
};

struct RestoreIntent {
  std::string id;
  std::string backup;
  bool database = false;    ///< the database's commit decides; else the intent itself does
  std::string database_id;  ///< which database that is
  std::vector<RestoreMove> moves;
};

/// Where parts are unpacked before they are moved: beside their targets, on the same file systems.
std::filesystem::path StagingInData(const Folders& folders, const std::string& id);
std::filesystem::path StagingInConfig(const Folders& folders, const std::string& id);

/// Unpacks a part into its staging folder and says which moves put it in place.
Result<std::vector<RestoreMove>> StageFiles(const CheckedBackup& backup, const std::string& component,
                                            const Folders& folders, const std::string& id,
                                            std::stop_token stop);

std::filesystem::path RestoreIntentFile(const Folders& folders);
Status WriteIntent(const Folders& folders, const RestoreIntent& intent);
/// None when no restore was broken off.
Result<std::optional<RestoreIntent>> ReadIntent(const Folders& folders);
/// Makes the moves that are not made yet; may be repeated.
Status ApplyMoves(const RestoreIntent& intent);
/// Removes the intent, then whatever is staged, by any restore.
Status ForgetIntent(const Folders& folders);

}  // namespace ybis::cli
