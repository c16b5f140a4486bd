#include "cli/local/backup/restore.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/digest.h"
#include "base/file.h"
#include "base/log.h"
#include "cli/local/backup/backup_check.h"
#include "cli/local/backup/create.h"
#include "cli/local/backup/restore_intent.h"
#include "cli/local/backup/restore_scripts.h"
#include "store/conninfo.h"
#include "store/migrations.h"
#include "store/system_journal.h"

namespace ybis::cli {
namespace {

namespace fs = std::filesystem;
using store::InDoubt;

constexpr int kTries = 3;

Unexpected UnderWay(std::string_view who) {
  return Fail(
      ErrorCode::kConflict,
      fmt::format("runs are under way{}: stop the workers (`ybis worker status` shows them), or restore with "
                  "--force, which takes their runs from them; nothing was changed",
                  who));
}

Status CheckLeases(store::Pool& pool, std::stop_token stop) {
  YBIS_ASSIGN(const auto live, LiveLease(pool, std::move(stop)));
  if (live) return UnderWay(fmt::format(" ({})", *live));
  return {};
}

/// Whether the database was restored: its journal came with the same commit. Waits for the lock that a
/// restore holds to its end: the server may still be busy with what a killed psql had asked of it.
Result<bool> WasCommitted(store::Pool& pool, const std::string& id, std::stop_token stop) {
  const auto work = [&](store::Transaction& tx) -> Result<bool> {
    YBIS_TRY(tx.NoTimeLimit());
    YBIS_TRY(tx.Exec("SELECT pg_advisory_xact_lock($1)", {store::kSchemaLock}));
    YBIS_ASSIGN(const auto there, tx.Exec("SELECT to_regclass('_journal') IS NOT NULL"));
    if (!there[0].Bool(0)) return false;
    YBIS_ASSIGN(
        const auto rows,
        tx.Exec("SELECT 1 FROM _journal WHERE type = 'BACKUP_RESTORED' AND fields->>'restore' = $1", {id}));
    return !rows.empty();
  };
  return pool.Transact(work, std::move(stop), InDoubt::kRepeat);
}

/// Only the database that was being restored knows whether it was: another's answer would throw away what is
/// staged. Empty when it is this one.
Result<std::string> AboutAnother(const BackupSite& site, const RestoreIntent& intent, std::stop_token stop) {
  if (!intent.database || intent.database_id.empty()) return std::string();
  YBIS_ASSIGN(const std::string here, DatabaseOf(site.pool, std::move(stop)));
  if (here == intent.database_id) return std::string();
  return fmt::format(
      "the restore of {} into database {} was broken off, and this is {}: the next command with that "
      "database "
      "(--database-url, DATABASE_URL) ends it; when it is gone for good, remove {}; nothing was changed",
      intent.backup, intent.database_id, here, RestoreIntentFile(site.folders).string());
}

/// Sessions that others opened meanwhile may know the schema before its migration.
Status EndOtherSessions(store::Pool& pool) {
  YBIS_TRY(
      pool.Execute("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = "
                   "current_database() AND pid <> pg_backend_pid() AND usename = current_user AND "
                   "backend_type = 'client backend' AND application_name <> 'ybis backup'",
                   {}, std::stop_token{}, InDoubt::kRepeat));
  return {};
}

/// What is left to do after the deciding moment; may be repeated.
Result<std::vector<std::string>> CarryThrough(const BackupSite& site, const RestoreIntent& intent) {
  YBIS_TRY(ApplyMoves(intent));
  std::vector<std::string> migrated;
  if (intent.database) {
    YBIS_ASSIGN(const auto applied, store::Migrator(site.pool).Up({}));
    for (const auto& migration : applied)
      migrated.push_back(store::MigrationLabel(migration.version, migration.name));
    if (Status ended = EndOtherSessions(site.pool); !ended)
      log::Warn("other sessions were not ended", {{"error", ended.error().message}});
  } else {
    YBIS_TRY(Record(site.pool, "BACKUP_RESTORED", intent.backup,
                    {{"restore", intent.id}, {"backup", intent.backup}}));
  }
  YBIS_TRY(ForgetIntent(site.folders));
  return migrated;
}

class Restoration {
 public:
  Restoration(const BackupSite& site, const BackupFolder& folder, const RestoreRequest& request,
              std::stop_token stop)
      : site_(site), folder_(folder), request_(request), stop_(std::move(stop)) {}

  Result<RestoreReport> Run() {
    YBIS_ASSIGN(backup_, CheckBackup(request_.path, site_.progress, stop_));
    YBIS_TRY(Choose());
    intent_ = {.id = RandomHex(8), .backup = backup_.manifest.name, .database = Has("database")};
    Status done = Prepare();
    if (done) done = TakeSafety();
    if (done) done = Commit();
    if (!done && !in_doubt_) {
      [[maybe_unused]] const Status cleared = ForgetIntent(site_.folders);
      if (!report_.safety.empty()) {
        [[maybe_unused]] const Status removed = folder_.Remove(report_.safety.filename());
      }
    }
    if (!done) return Fail(std::move(done).error());
    YBIS_ASSIGN(report_.migrated, CarryThrough(site_, intent_));
    return std::move(report_);
  }

 private:
  bool Has(std::string_view component) const {
    return std::find(report_.components.begin(), report_.components.end(), component) !=
           report_.components.end();
  }

  Status Choose() {
    report_.backup = backup_.manifest.name;
    for (const std::string_view component : control::kBackupComponents) {
      const bool asked = request_.components.empty() ||
                         std::find(request_.components.begin(), request_.components.end(), component) !=
                             request_.components.end();
      const bool there = backup_.manifest.Find(component) != nullptr;
      if (asked && there) report_.components.emplace_back(component);
      if (asked && !there && !request_.components.empty())
        return Fail(ErrorCode::kNotFound,
                    fmt::format("{}: the backup has none; nothing was changed", component));
    }
    return {};
  }

  /// Everything that can be refused is refused here: nothing is replaced yet.
  Status Prepare() {
    YBIS_TRY(CheckUnderWay());
    for (const std::string& component : report_.components) {
      if (component == "database") {
        YBIS_TRY(PrepareDatabase());
        continue;
      }
      site_.progress("unpacking " + component, 0);
      YBIS_ASSIGN(const auto moves, StageFiles(backup_, component, site_.folders, intent_.id, stop_));
      intent_.moves.insert(intent_.moves.end(), moves.begin(), moves.end());
    }
    return {};
  }

  /// Neither rows nor folders are replaced under a living runner.
  Status CheckUnderWay() {
    if (request_.force || !(Has("database") || Has("workspaces"))) return {};
    return CheckLeases(site_.pool, stop_);
  }

  Status PrepareDatabase() {
    const auto relations = store::MadeRelations();
    YBIS_ASSIGN(const int64_t version, ServerVersion(site_.pool, stop_));
    YBIS_ASSIGN(const PgTools tools, PgTools::Find(version));
    tools_.emplace(tools);
    const fs::path dump = backup_.path / control::BackupFile("database");
    YBIS_TRY(tools_->CheckDump(dump, relations, stop_));
    const auto read = [](store::Transaction& tx) { return store::ReadApplied(tx); };
    YBIS_ASSIGN(const auto applied, site_.pool.Transact(read, stop_, InDoubt::kRepeat));
    YBIS_TRY(store::CheckHistory(applied, store::BuiltInMigrations(), "the database"));
    migrated_before_ = !applied.empty();
    YBIS_ASSIGN(intent_.database_id, DatabaseOf(site_.pool, stop_));
    const fs::path staging = StagingInData(site_.folders, intent_.id);
    std::error_code error;
    fs::create_directories(staging, error);
    fs::permissions(staging, fs::perms::owner_all, error);
    scripts_ = {staging / "before.sql", staging / "database.sql", staging / "after.sql"};
    YBIS_TRY(tools_->WriteScript(dump, scripts_[1], site_.progress, stop_));
    YBIS_TRY(WriteFileAtomic(scripts_[0], BeforeRestore(relations, request_.force), 0600));
    return WriteFileAtomic(
        scripts_[2], AfterRestore(backup_.manifest.migrations, backup_.manifest.name, intent_.id), 0600);
  }

  Status TakeSafety() {
    const CreateRequest request{.database = Has("database") && migrated_before_,
                                .configs = Has("configs"),
                                .workspaces = Has("workspaces"),
                                .index = Has("index"),
                                .secrets = backup_.manifest.secrets && Has("configs"),
                                .safety = true};
    const auto made = CreateBackup(site_, folder_, request, stop_);
    if (made) report_.safety = made->path;
    if (made || made.error().code == ErrorCode::kNotFound) return {};  // there was nothing yet
    return FailIn("no safety backup could be made, so nothing was changed", made.error());
  }

  /// The deciding moment.
  Status Commit() {
    if (!intent_.database) YBIS_TRY(CheckUnderWay());  // unpacking takes its time; the script looks itself
    YBIS_TRY(WriteIntent(site_.folders, intent_));
    if (!intent_.database) return {};
    YBIS_ASSIGN(const auto environment, store::ClientEnvironment(site_.database_url));
    for (int attempt = 1;; ++attempt) {
      const Status run = tools_->RunScripts(environment, scripts_, site_.progress, stop_);
      if (run) return {};
      // The connection may have been lost after the commit: the database itself says what happened.
      const auto committed = WasCommitted(site_.pool, intent_.id, {});
      if (committed && *committed) return {};
      if (!committed) {
        in_doubt_ = true;
        return FailIn("the server was lost during the restore; the next command ends or undoes it",
                      run.error());
      }
      const std::string& why = run.error().message;
      if (why.find("runs are under way") != std::string::npos) return UnderWay("");
      const bool again =
          why.find("deadlock") != std::string::npos || why.find("lock timeout") != std::string::npos;
      if (!again || attempt == kTries || stop_.stop_requested())
        return FailIn("database: was not restored, nothing was changed", run.error());
    }
  }

  const BackupSite& site_;
  const BackupFolder& folder_;
  const RestoreRequest& request_;
  std::stop_token stop_;
  CheckedBackup backup_;
  RestoreIntent intent_;
  RestoreReport report_;
  std::optional<PgTools> tools_;
  std::vector<fs::path> scripts_;
  bool migrated_before_ = false;
  bool in_doubt_ = false;
};

}  // namespace

Result<RestoreReport> RestoreBackup(const BackupSite& site, const BackupFolder& folder,
                                    const RestoreRequest& request, std::stop_token stop) {
  return Restoration(site, folder, request, std::move(stop)).Run();
}

Result<std::optional<std::string>> RecoverRestore(const BackupSite& site, std::stop_token stop) {
  YBIS_ASSIGN(const auto intent, ReadIntent(site.folders));
  bool committed = intent.has_value();
  if (intent && intent->database) {
    YBIS_ASSIGN(const std::string about_another, AboutAnother(site, *intent, stop));
    if (!about_another.empty()) return Fail(ErrorCode::kConflict, about_another);
    YBIS_ASSIGN(committed, WasCommitted(site.pool, intent->id, std::move(stop)));
  }
  if (!committed) {
    YBIS_TRY(ForgetIntent(site.folders));
    return std::nullopt;
  }
  YBIS_TRY(CarryThrough(site, *intent));
  return intent->backup;
}

Status EndBrokenRestore(const BackupSite& site, std::stop_token stop, OtherDatabase other) {
  std::error_code ignored;
  if (!fs::exists(RestoreIntentFile(site.folders), ignored)) return {};
  const auto folder = BackupFolder::Open(site.Backups());
  if (!folder && folder.error().code == ErrorCode::kConflict) return {};  // it is still under way
  if (!folder) return Fail(folder.error());
  if (other == OtherDatabase::kLeave) {
    YBIS_ASSIGN(const auto intent, ReadIntent(site.folders));
    if (!intent) return {};
    YBIS_ASSIGN(const std::string about_another, AboutAnother(site, *intent, stop));
    if (!about_another.empty()) return {};
  }
  YBIS_TRY(RecoverRestore(site, std::move(stop)));
  return {};
}

}  // namespace ybis::cli
