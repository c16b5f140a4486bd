#pragma once
// What a verb on the local backend works with: folders, configuration, database.
#include <memory>
#include <stop_token>
#include <string>

#include "cli/backend_options.h"
#include "cli/local/folders.h"
#include "cli/local/private_postgres.h"
#include "control/config.h"
#include "store/database.h"

namespace ybis::cli {

/// The namespace that local tasks have in the record.
inline constexpr const char* kLocalNamespace = "local";

/// The effective configuration: profile (--profile, YBIS_PROFILE, else dev), then --config, YBIS_CONFIG or
/// the user's config.yaml if there is one, then YBIS_CONFIG__… variables.
Result<control::Config> LoadConfigOf(const BackendOptions& options, const Environment& environment,
                                     const Folders& folders);
/// The layers of it, for who wants to know where a value came from.
control::ConfigInput ConfigInputOf(const BackendOptions& options, const Environment& environment,
                                   const Folders& folders);

/// Where the database is: --database-url, DATABASE_URL, else the user's own server.
struct DatabasePlace {
  std::string url;  ///< empty: the user's own server
  std::string source;
};
DatabasePlace PlaceOf(const BackendOptions& options, const Environment& environment);

/// The user's own server, stopped after local.databaseIdleSeconds without a user.
PrivatePostgres PrivateServer(const BackendOptions& options, const Environment& environment,
                              const Folders& folders);

/// An open database at this binary's schema, and what goes with it. Thread-safe parts; lives as long as the
/// verb.
class Session {
 public:
  /// `kubectl` is the command that does the same in a cluster; it is named when --backend cluster is asked
  /// for. Starts the user's own database if need be and migrates it; another's is only checked.
  static Result<std::unique_ptr<Session>> Open(const BackendOptions& options, const std::string& kubectl,
                                               std::stop_token stop, int connections = 2);

  const Environment& environment() const { return environment_; }
  const Folders& folders() const { return folders_; }
  const std::string& database_url() const { return database_url_; }
  store::Pool& pool() { return *pool_; }

 private:
  Session() = default;
  Environment environment_;
  Folders folders_;
  std::string database_url_;
  UniqueFd hold_;
  std::unique_ptr<store::Pool> pool_;
};

/// Where the health checks look for backups: health.backupFolder, else `backups` in the data folder.
std::filesystem::path BackupsFolder(const Folders& folders, const control::Config& config);

/// This user's folders in this environment.
Folders TheseFolders(const Environment& environment);

}  // namespace ybis::cli
