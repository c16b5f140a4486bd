#pragma once
// The schema's history: numbered SQL files lib/store/migrations/NNNN_name.{up,down}.sql, embedded at build.
#include <functional>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "store/database.h"

namespace ybis::store {

struct Migration {
  int64_t version = 0;
  std::string_view name;
  std::string_view up;
  std::string_view down;
};

/// Those this binary was built with, by version, without gaps from 1.
std::span<const Migration> BuiltInMigrations();

/// A row of `_migrations`: what was applied, and the digest of its text.
struct AppliedMigration {
  int64_t version = 0;
  std::string name;
  std::string checksum;
  TimePoint applied{};
};

/// What was applied, in order; nothing where the database was never migrated.
Result<std::vector<AppliedMigration>> ReadApplied(Transaction& transaction);
/// kUnsupported, naming the migration, unless `applied` is a beginning of what is known, unchanged. `subject`
/// stands in the message: "the database".
Status CheckHistory(std::span<const AppliedMigration> applied, std::span<const Migration> known,
                    std::string_view subject);
/// "0003_nodes".
std::string MigrationLabel(int64_t version, std::string_view name);

/// The tables and sequences that the migrations make, those that keep the history among them. A database may
/// be shared with others: backups take, and a restore replaces, these alone.
struct Relation {
  bool table = true;  ///< else a sequence
  std::string name;
};
std::vector<Relation> MadeRelations(std::span<const Migration> migrations = BuiltInMigrations());

struct MigrationState {
  int64_t version = 0;
  std::string name;
  std::optional<TimePoint> applied;  ///< none: pending
};

/// Brings a database to a version. Every call takes an advisory lock first, so that two starts at once apply
/// once; each migration is a transaction of its own together with its row in `_migrations` and its entry in
/// the system journal. Refused with kUnsupported, the migration named: an applied migration whose text has
/// changed since, and a database that is newer than this binary. Thread-safe.
class Migrator {
 public:
  explicit Migrator(Pool& pool, std::span<const Migration> migrations = BuiltInMigrations());

  /// Applies what is pending up to `to` (all when none); returns what was applied, in order.
  Result<std::vector<MigrationState>> Up(std::stop_token stop, std::optional<int64_t> to = {});
  /// Asked in the transaction of the first step, under the advisory lock, before anything is undone.
  using MayUndo = std::function<Status(Transaction&)>;
  /// Undoes the newest `count`, newest first; nothing when `may_undo` fails.
  Result<std::vector<MigrationState>> Down(int64_t count, std::stop_token stop, const MayUndo& may_undo = {});
  /// Every migration known to this binary, applied or pending.
  Result<std::vector<MigrationState>> State(std::stop_token stop);
  /// Ok when the database is exactly at this binary's newest version.
  Status Check(std::stop_token stop);

 private:
  Pool& pool_;
  std::span<const Migration> migrations_;
};

}  // namespace ybis::store
