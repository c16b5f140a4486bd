#include "cli/local/session.h"

#include <unistd.h>

#include "base/log.h"
#include "cli/local/backup/restore.h"
#include "store/migrations.h"

namespace ybis::cli {

Folders TheseFolders(const Environment& environment) { return FoldersOf(environment, ::geteuid() == 0); }

control::ConfigInput ConfigInputOf(const BackendOptions& options, const Environment& environment,
                                   const Folders& folders) {
  control::ConfigInput input;
  input.profile = !options.profile.empty() ? options.profile : ValueOf(environment, "YBIS_PROFILE");
  if (input.profile.empty()) input.profile = "dev";
  input.file = !options.config_file.empty() ? options.config_file : ValueOf(environment, "YBIS_CONFIG");
  std::error_code ignored;
  if (input.file.empty() && std::filesystem::exists(folders.ConfigFile(), ignored)) {
    input.file = folders.ConfigFile();
  }
  input.environment = environment;
  return input;
}

Result<control::Config> LoadConfigOf(const BackendOptions& options, const Environment& environment,
                                     const Folders& folders) {
  return control::LoadConfig(ConfigInputOf(options, environment, folders));
}

DatabasePlace PlaceOf(const BackendOptions& options, const Environment& environment) {
  if (!options.database_url.empty()) return {options.database_url, "--database-url"};
  if (const std::string url = ValueOf(environment, "DATABASE_URL"); !url.empty())
    return {url, "DATABASE_URL"};
  return {{}, "private server"};
}

PrivatePostgres PrivateServer(const BackendOptions& options, const Environment& environment,
                              const Folders& folders) {
  return PrivatePostgres(folders.Postgres(), [=] {
    // A mistake in the settings is told by the commands that need them.
    const auto config = LoadConfigOf(options, environment, folders);
    return std::chrono::seconds((config ? *config : control::Config()).local.database_idle_seconds);
  });
}

namespace {

/// Our own database is brought up to date without a word; another's owner decides when.
Status CheckSchema(store::Pool& pool, bool ours, std::stop_token stop) {
  store::Migrator migrator(pool);
  const Status current = migrator.Check(stop);
  if (current || current.error().code == ErrorCode::kUnavailable) return current;
  if (ours) {
    YBIS_TRY(migrator.Up(stop));
    return {};
  }
  YBIS_TRY(migrator.State(stop));  // a history that is not ours cannot be migrated
  Error error = current.error();
  error.message += "; `ybis db migrate` brings it up to date";
  return Fail(std::move(error));
}

}  // namespace

Result<std::unique_ptr<Session>> Session::Open(const BackendOptions& options, const std::string& kubectl,
                                               std::stop_token stop, int connections) {
  YBIS_TRY(CheckBackend(options, kubectl));
  std::unique_ptr<Session> session(new Session);
  session->environment_ = ThisEnvironment();
  session->folders_ = TheseFolders(session->environment_);
  YBIS_TRY(PrepareData(session->folders_));
  const DatabasePlace place = PlaceOf(options, session->environment_);
  session->database_url_ = place.url;
  if (place.url.empty()) {
    const PrivatePostgres server = PrivateServer(options, session->environment_, session->folders_);
    YBIS_ASSIGN(PrivatePostgres::Use use, server.Ensure(stop));
    session->database_url_ = std::move(use.url);
    session->hold_ = std::move(use.hold);
  }
  store::PoolSettings settings{
      .url = session->database_url_, .size = connections, .acquire_timeout = std::chrono::seconds(30)};
  if (place.url.empty()) {
    settings.on_unreachable = [server =
                                   PrivatePostgres(session->folders_.Postgres())](std::stop_token ending) {
      const Status revived = server.Revive(std::move(ending));
      if (revived) return;
      log::Warn("the local database was not started again", {{"error", revived.error().message}});
    };
  }
  session->pool_ = std::make_unique<store::Pool>(std::move(settings));
  YBIS_TRY(EndBrokenRestore({session->folders_, session->database_url_, *session->pool_, NoProgress}, stop));
  YBIS_TRY(CheckSchema(*session->pool_, place.url.empty(), stop));
  return session;
}

std::filesystem::path BackupsFolder(const Folders& folders, const control::Config& config) {
  return config.health.backup_folder.empty() ? folders.data / "backups"
                                             : std::filesystem::path(config.health.backup_folder);
}

}  // namespace ybis::cli
