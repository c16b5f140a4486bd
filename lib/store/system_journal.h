#pragma once
// Table _journal: what happened to the database as a whole — migrations, backups, restores. The migrator
// makes it beside _migrations: it is there before the first migration and outlives the rollback of all of
// them.
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "store/database.h"

namespace ybis::store {

/// "YBIS" and what is locked, so that other programs' locks in the same database are not met by chance. Held
/// by whoever changes the schema.
inline constexpr int64_t kSchemaLock = 0x5942'4953'0001;

/// Makes the table; hold kSchemaLock, since two that make it at once would meet.
inline constexpr const char* kMakeSystemJournal =
    "CREATE TABLE IF NOT EXISTS _journal (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "
    "type text NOT NULL, message text NOT NULL DEFAULT '', fields json, at timestamptz NOT NULL DEFAULT "
    "now())";

struct SystemEvent {
  int64_t id = 0;
  std::string type;  ///< MIGRATION_APPLIED, MIGRATION_UNDONE, BACKUP_CREATED, BACKUP_RESTORED
  std::string message;
  std::shared_ptr<const nlohmann::json> fields;
  TimePoint at{};
};

/// Over an open transaction (not a single statement).
class SystemJournal {
 public:
  explicit SystemJournal(Transaction& transaction) : tx_(transaction) {}

  /// Makes the table where it is missing. The time is the database's.
  Status Append(const SystemEvent& event);
  /// The newest `limit`, oldest first.
  Result<std::vector<SystemEvent>> Newest(int64_t limit);

 private:
  Transaction& tx_;
};

}  // namespace ybis::store
