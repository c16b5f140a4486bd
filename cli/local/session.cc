#include "cli/local/session.h"

#include <unistd.h>

#include <CLI/CLI.hpp>

#include "store/migrations.h"

namespace ybis::cli {

void AddBackendOptions(CLI::App& verb, BackendOptions& options, bool config) {
  verb.add_option("--backend", options.backend, "local (the default): on this machine; cluster: use kubectl")
      ->check(CLI::IsMember({"local", "cluster"}));
  verb.add_option("--database-url", options.database_url,
                  "Postgres to use; default: DATABASE_URL, else a private server");
  if (!config) return;
  verb.add_option("--profile", options.profile, "dev (the default), staging or prod; also YBIS_PROFILE");
  verb.add_option("--config", options.config_file,
                  "Settings laid over the profile; default: YBIS_CONFIG, else ~/.config/ybis/config.yaml");
}

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

Status CheckBackend(const BackendOptions& options, const std::string& kubectl) {
  if (options.backend == "local") return {};
  return Fail(
      ErrorCode::kInvalid,
      fmt::format("--backend cluster: this command works on the local backend only; in a cluster use\n  {}",
                  kubectl));
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
  Error error = current.error();
  if (error.code != ErrorCode::kUnsupported) error.message += "; `ybis db migrate` brings it up to date";
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
    YBIS_ASSIGN(session->database_url_, PrivatePostgres(session->folders_.Postgres()).Ensure(stop));
  }
  session->pool_ = std::make_unique<store::Pool>(store::PoolSettings{
      .url = session->database_url_, .size = connections, .acquire_timeout = std::chrono::seconds(30)});
  YBIS_TRY(CheckSchema(*session->pool_, place.url.empty(), stop));
  return session;
}

}  // namespace ybis::cli
