#pragma once
// What a backup is made of and restored to: this user's folders and the database.
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "cli/local/backup/pg_tools.h"
#include "cli/local/folders.h"
#include "store/database.h"

namespace ybis::cli {

inline void NoProgress(const std::string& /*what*/, int64_t /*bytes*/) {}

/// Everything outlives the call it is given to.
struct BackupSite {
  Folders folders;
  std::string database_url;
  store::Pool& pool;
  Progress progress;

  std::filesystem::path Backups() const { return folders.data / "backups"; }
};

/// The server's version as server_version_num gives it.
Result<int64_t> ServerVersion(store::Pool& pool, std::stop_token stop);

/// Which database it is, whatever address leads to it: "NAME of server ID", as the server itself tells.
Result<std::string> DatabaseOf(store::Pool& pool, std::stop_token stop);

/// A run whose lease lives, and who holds it: "run R by W". None where the database was never migrated.
Result<std::optional<std::string>> LiveLease(store::Pool& pool, std::stop_token stop);
/// The same, and nobody takes a lease until the end of the transaction.
Result<std::optional<std::string>> LockAndFindLease(store::Transaction& tx);

/// The names below the settings folder that "configs" has; secrets only on demand.
std::vector<std::string> ConfigRoots(bool secrets);

/// Writes an entry of the system journal.
Status Record(store::Pool& pool, std::string type, std::string message, const nlohmann::json& fields);

}  // namespace ybis::cli
