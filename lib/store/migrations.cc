#include "store/migrations.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/digest.h"
#include "store/system_journal.h"

namespace ybis::store {
namespace {

constexpr std::string_view kDatabase = "the database";

std::string Checksum(const Migration& migration) {
  return Digest(fmt::format("{}\n--\n{}", migration.up, migration.down));
}

/// One at a time; without the time limit of ordinary statements, since tables may be big.
Status Lock(Transaction& transaction) {
  YBIS_TRY(transaction.NoTimeLimit());
  YBIS_TRY(transaction.Exec("SELECT pg_advisory_xact_lock($1)", {kSchemaLock}));
  YBIS_TRY(transaction.ExecScript(kMakeSystemJournal));
  return transaction.ExecScript(
      "CREATE TABLE IF NOT EXISTS _migrations (version bigint PRIMARY KEY, name text NOT NULL, "
      "checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())");
}

}  // namespace

std::string MigrationLabel(int64_t version, std::string_view name) {
  return fmt::format("{:04}_{}", version, name);
}

Result<std::vector<AppliedMigration>> ReadApplied(Transaction& transaction) {
  YBIS_ASSIGN(const auto exists, transaction.Exec("SELECT to_regclass('_migrations') IS NOT NULL"));
  std::vector<AppliedMigration> applied;
  if (!exists[0].Bool(0)) return applied;
  YBIS_ASSIGN(
      const auto rows,
      transaction.Exec("SELECT version, name, checksum, applied_at FROM _migrations ORDER BY version"));
  for (size_t i = 0; i < rows.size(); ++i) {
    applied.push_back({rows[i].Int(0), rows[i].Text(1), rows[i].Text(2), rows[i].Time(3)});
  }
  return applied;
}

Status CheckHistory(std::span<const AppliedMigration> applied, std::span<const Migration> known,
                    std::string_view subject) {
  for (size_t i = 0; i < applied.size(); ++i) {
    const std::string label = MigrationLabel(applied[i].version, applied[i].name);
    if (i >= known.size()) {
      return Fail(
          ErrorCode::kUnsupported,
          fmt::format("{} is newer than this program: it has migration {}, the newest known here "
                      "is {}; use a newer program",
                      subject, label,
                      known.empty() ? "none" : MigrationLabel(known.back().version, known.back().name)));
    }
    if (applied[i].version != known[i].version || applied[i].checksum != Checksum(known[i])) {
      return Fail(
          ErrorCode::kUnsupported,
          fmt::format("migration {} was applied with another text than this program has for {}: use the "
                      "program that applied it, or undo it there first",
                      label, MigrationLabel(known[i].version, known[i].name)));
    }
  }
  return {};
}

namespace {

Result<std::vector<AppliedMigration>> LockedHistory(Transaction& transaction,
                                                    std::span<const Migration> known) {
  YBIS_TRY(Lock(transaction));
  YBIS_ASSIGN(auto applied, ReadApplied(transaction));
  YBIS_TRY(CheckHistory(applied, known, kDatabase));
  return applied;
}

Status Note(Transaction& transaction, std::string type, const Migration& migration) {
  const nlohmann::json fields = {{"version", migration.version}, {"checksum", Checksum(migration)}};
  return SystemJournal(transaction)
      .Append({.type = std::move(type),
               .message = MigrationLabel(migration.version, migration.name),
               .fields = std::make_shared<const nlohmann::json>(fields)});
}

using Step = Result<std::optional<MigrationState>>;

/// Applies the next pending migration, or nothing.
Step UpOnce(Transaction& transaction, std::span<const Migration> known, int64_t to) {
  YBIS_ASSIGN(const auto applied, LockedHistory(transaction, known));
  if (applied.size() >= known.size() || known[applied.size()].version > to) return std::nullopt;
  const Migration& next = known[applied.size()];
  const std::string label = MigrationLabel(next.version, next.name);
  if (auto done = transaction.ExecScript(std::string(next.up)); !done) {
    return FailIn("migration " + label + " up", done.error());
  }
  YBIS_ASSIGN(const auto rows,
              transaction.Exec("INSERT INTO _migrations (version, name, checksum) VALUES ($1, $2, $3) "
                               "RETURNING applied_at",
                               {next.version, next.name, Checksum(next)}));
  YBIS_TRY(Note(transaction, "MIGRATION_APPLIED", next));
  return MigrationState{next.version, std::string(next.name), rows[0].Time(0)};
}

struct Descent {
  int64_t top = 0;    ///< where it begins
  int64_t floor = 0;  ///< where it ends
  const Migrator::MayUndo& may_undo;
};

/// Undoes the newest applied migration when it is above the floor, or nothing.
Step DownOnce(Transaction& transaction, std::span<const Migration> known, const Descent& descent) {
  YBIS_ASSIGN(const auto applied, LockedHistory(transaction, known));
  if (applied.empty() || applied.back().version <= descent.floor) return std::nullopt;
  if (descent.may_undo && applied.back().version == descent.top) YBIS_TRY(descent.may_undo(transaction));
  const Migration& last = known[applied.size() - 1];
  if (auto done = transaction.ExecScript(std::string(last.down)); !done) {
    return FailIn("migration " + MigrationLabel(last.version, last.name) + " down", done.error());
  }
  YBIS_TRY(transaction.Exec("DELETE FROM _migrations WHERE version = $1", {last.version}));
  YBIS_TRY(Note(transaction, "MIGRATION_UNDONE", last));
  return MigrationState{last.version, std::string(last.name), std::nullopt};
}

/// Each step is a transaction; one lost in doubt is run again and finds what is left to do.
template <class Once>
Result<std::vector<MigrationState>> Repeat(Pool& pool, const std::stop_token& stop, Once once) {
  std::vector<MigrationState> done;
  for (;;) {
    YBIS_ASSIGN(auto state, pool.Transact(once, stop, InDoubt::kRepeat));
    if (!state) return done;
    done.push_back(std::move(*state));
  }
}

}  // namespace

std::vector<Relation> MadeRelations(std::span<const Migration> migrations) {
  constexpr std::pair<std::string_view, bool> kMakers[] = {{"CREATE TABLE ", true},
                                                           {"CREATE SEQUENCE ", false}};
  std::vector<Relation> made = {{true, "_migrations"}, {true, "_journal"}};
  for (const Migration& migration : migrations) {
    for (const auto& [words, table] : kMakers) {
      for (size_t at = migration.up.find(words); at != std::string_view::npos;
           at = migration.up.find(words, at + 1)) {
        const std::string_view rest = migration.up.substr(at + words.size());
        made.push_back({table, std::string(rest.substr(0, rest.find_first_of(" (;\n")))});
      }
    }
  }
  return made;
}

Migrator::Migrator(Pool& pool, std::span<const Migration> migrations) : pool_(pool), migrations_(migrations) {
  for (size_t i = 0; i < migrations.size(); ++i) {
    if (migrations[i].version != static_cast<int64_t>(i) + 1 || migrations[i].down.empty()) {
      throw std::logic_error("migrations must be numbered from 1 without gaps, each with up and down: " +
                             MigrationLabel(migrations[i].version, migrations[i].name));
    }
  }
}

Result<std::vector<MigrationState>> Migrator::Up(std::stop_token stop, std::optional<int64_t> to) {
  const int64_t target = to.value_or(std::numeric_limits<int64_t>::max());
  return Repeat(pool_, stop, [&](Transaction& tx) { return UpOnce(tx, migrations_, target); });
}

Result<std::vector<MigrationState>> Migrator::Down(int64_t count, std::stop_token stop,
                                                   const MayUndo& may_undo) {
  YBIS_ASSIGN(const auto applied,
              pool_.Transact([&](Transaction& tx) { return LockedHistory(tx, migrations_); }, stop,
                             InDoubt::kRepeat));
  const auto top = static_cast<int64_t>(applied.size());
  const Descent descent{top, std::max<int64_t>(0, top - count), may_undo};
  return Repeat(pool_, stop, [&](Transaction& tx) { return DownOnce(tx, migrations_, descent); });
}

Result<std::vector<MigrationState>> Migrator::State(std::stop_token stop) {
  YBIS_ASSIGN(const auto applied, pool_.Transact(ReadApplied, stop, InDoubt::kRepeat));
  YBIS_TRY(CheckHistory(applied, migrations_, kDatabase));
  std::vector<MigrationState> states;
  for (size_t i = 0; i < migrations_.size(); ++i) {
    MigrationState state{migrations_[i].version, std::string(migrations_[i].name), std::nullopt};
    if (i < applied.size()) state.applied = applied[i].applied;
    states.push_back(std::move(state));
  }
  return states;
}

Status Migrator::Check(std::stop_token stop) {
  YBIS_ASSIGN(const auto states, State(stop));
  for (const MigrationState& state : states) {
    if (!state.applied) {
      return Fail(ErrorCode::kUnsupported, fmt::format("the database lacks migration {}: migrate it first",
                                                       MigrationLabel(state.version, state.name)));
    }
  }
  return {};
}

}  // namespace ybis::store
