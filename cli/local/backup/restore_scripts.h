#pragma once
// The SQL around a database's dump when it is restored, all of it one transaction. Pure text.
#include <string>
#include <vector>

#include "store/migrations.h"

namespace ybis::cli {

/// Marks errors that our own scripts raise.
inline constexpr const char* kRestoreMark = "YBIS: ";

/// Refuses while leases live (unless `force`), ends the other sessions of this role, notes the epochs given
/// out so far, and drops what the migrations make. A database whose tables of those names are another's is
/// refused.
std::string BeforeRestore(const std::vector<store::Relation>& relations, bool force);

/// Checks that the schema is the one that the manifest tells, fences off runners of the replaced database,
/// and journals BACKUP_RESTORED with `restore_id`, by which a later command sees that it was committed.
std::string AfterRestore(const std::vector<store::AppliedMigration>& migrations, const std::string& backup,
                         const std::string& restore_id);

}  // namespace ybis::cli
