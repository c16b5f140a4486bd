#include "cli/local/backup/restore_scripts.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/json.h"
#include "store/system_journal.h"

namespace ybis::cli {
namespace {

std::string Quoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("''") : std::string(1, c);
  return out + "'";
}

std::string Names(const std::vector<store::Relation>& relations, bool tables, bool quoted) {
  std::string out;
  for (const store::Relation& relation : relations) {
    if (relation.table != tables) continue;
    out += fmt::format("{}{}", out.empty() ? "" : ", ", quoted ? Quoted(relation.name) : relation.name);
  }
  return out;
}

std::string Raise(std::string_view why) { return fmt::format("RAISE EXCEPTION '{}{}'; ", kRestoreMark, why); }

constexpr std::string_view kEndSessions =
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND "
    "pid <> pg_backend_pid() AND usename = current_user AND backend_type = 'client backend';\n";

std::string CheckLeases() {
  return "DO $$ BEGIN IF to_regclass('leases') IS NOT NULL THEN "
         "IF EXISTS (SELECT 1 FROM leases WHERE expires > now()) THEN " +
         Raise("runs are under way") + "END IF; END IF; END $$;\n";
}

/// What workers are told to obey only counts while nobody can take a lease.
constexpr std::string_view kLockLeases =
    "DO $$ BEGIN IF to_regclass('leases') IS NOT NULL THEN LOCK TABLE leases IN ACCESS EXCLUSIVE MODE; "
    "END IF; END $$;\n";

constexpr std::string_view kNoteEpochs =
    "CREATE TEMP TABLE ybis_epochs (run_id text PRIMARY KEY, epoch bigint NOT NULL) ON COMMIT DROP;\n"
    "DO $$ BEGIN IF to_regclass('runs') IS NOT NULL AND to_regclass('leases') IS NOT NULL THEN "
    "INSERT INTO ybis_epochs SELECT r.run_id, greatest(r.epoch, coalesce(l.epoch, 0)) FROM runs r "
    "LEFT JOIN leases l ON l.run_id = r.run_id WHERE r.epoch > 0 OR l.epoch > 0; END IF; END $$;\n";

/// A runner of the replaced database may still live: no epoch it was given may be current or be given out
/// again.
constexpr std::string_view kFence =
    "DO $$ BEGIN IF to_regclass('runs') IS NOT NULL AND to_regclass('leases') IS NOT NULL THEN "
    "UPDATE runs r SET epoch = greatest(r.epoch, e.epoch) + 1 FROM ybis_epochs e WHERE e.run_id = r.run_id "
    "AND r.state NOT IN ('Completed', 'Failed', 'Cancelled'); "
    "UPDATE leases l SET epoch = r.epoch, expires = least(l.expires, now()) FROM runs r, ybis_epochs e "
    "WHERE r.run_id = l.run_id AND e.run_id = l.run_id; END IF; END $$;\n";

}  // namespace

std::string BeforeRestore(const std::vector<store::Relation>& relations, bool force) {
  std::string sql =
      "SET client_min_messages = error;\nSET statement_timeout = 0;\nSET lock_timeout = '60s';\n"
      "SET idle_in_transaction_session_timeout = 0;\n";
  sql += fmt::format("SELECT pg_advisory_xact_lock({});\n", store::kSchemaLock);
  sql += fmt::format(
      "DO $$ BEGIN IF to_regclass('_migrations') IS NULL AND EXISTS (SELECT 1 FROM pg_class WHERE "
      "pg_table_is_visible(oid) AND relname IN ({}, {}) AND relname <> '_journal') THEN ",
      Names(relations, true, true), Names(relations, false, true));
  sql += Raise("the database has tables of the same names that are not of ybis") + "END IF; END $$;\n";
  if (!force) sql += CheckLeases();
  sql += kEndSessions;
  sql += kLockLeases;
  if (!force) sql += CheckLeases();
  sql += kNoteEpochs;
  sql += fmt::format("DROP TABLE IF EXISTS {};\n", Names(relations, true, false));
  sql += fmt::format("DROP SEQUENCE IF EXISTS {};\n", Names(relations, false, false));
  return sql;
}

std::string AfterRestore(const std::vector<store::AppliedMigration>& migrations, const std::string& backup,
                         const std::string& restore_id) {
  std::string history;
  for (const auto& migration : migrations)
    history += fmt::format("{}{} {} {}", history.empty() ? "" : ",", migration.version, migration.name,
                           migration.checksum);
  std::string sql = "RESET search_path;\n";
  sql += fmt::format(
      "DO $$ BEGIN IF (SELECT coalesce(string_agg(version || ' ' || name || ' ' || checksum, ',' ORDER BY "
      "version), "
      "'') FROM _migrations) <> {} THEN ",
      Quoted(history));
  sql += Raise("the dump has another schema than the manifest tells") + "END IF; END $$;\n";
  sql += kFence;
  sql += fmt::format("{};\n", store::kMakeSystemJournal);
  const std::string fields = DumpJson({{"restore", restore_id}, {"backup", backup}});
  sql +=
      fmt::format("INSERT INTO _journal (type, message, fields) VALUES ('BACKUP_RESTORED', {}, {}::json);\n",
                  Quoted(backup), Quoted(fields));
  return sql;
}

}  // namespace ybis::cli
