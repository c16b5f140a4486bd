#include "cli/local/backup/backup_site.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "store/system_journal.h"

namespace ybis::cli {

Result<int64_t> ServerVersion(store::Pool& pool, std::stop_token stop) {
  YBIS_ASSIGN(const auto rows, pool.Execute("SELECT current_setting('server_version_num')::bigint", {},
                                            std::move(stop), store::InDoubt::kRepeat));
  return rows[0].Int(0);
}

Result<std::string> DatabaseOf(store::Pool& pool, std::stop_token stop) {
  YBIS_ASSIGN(const auto rows, pool.Execute("SELECT current_database(), system_identifier::text FROM "
                                            "pg_control_system()",
                                            {}, std::move(stop), store::InDoubt::kRepeat));
  return fmt::format("{} of server {}", rows[0].Text(0), rows[0].Text(1));
}

namespace {

Result<std::optional<std::string>> FindLease(store::Transaction& tx, bool lock) {
  YBIS_ASSIGN(const auto there, tx.Exec("SELECT to_regclass('leases') IS NOT NULL"));
  if (!there[0].Bool(0)) return std::nullopt;
  if (lock) YBIS_TRY(tx.Exec("LOCK TABLE leases IN ACCESS EXCLUSIVE MODE"));
  YBIS_ASSIGN(
      const auto rows,
      tx.Exec("SELECT run_id, holder FROM leases WHERE expires > clock_timestamp() ORDER BY 1 LIMIT 1"));
  if (rows.empty()) return std::nullopt;
  return fmt::format("run {} by {}", rows[0].Text(0), rows[0].Text(1));
}

}  // namespace

Result<std::optional<std::string>> LiveLease(store::Pool& pool, std::stop_token stop) {
  return pool.Transact([](store::Transaction& tx) { return FindLease(tx, false); }, std::move(stop),
                       store::InDoubt::kRepeat);
}

Result<std::optional<std::string>> LockAndFindLease(store::Transaction& tx) { return FindLease(tx, true); }

std::vector<std::string> ConfigRoots(bool secrets) {
  std::vector<std::string> roots = {"config.yaml", "workflows"};
  if (secrets) roots.emplace_back("secrets");
  return roots;
}

Status Record(store::Pool& pool, std::string type, std::string message, const nlohmann::json& fields) {
  const store::SystemEvent event{.type = std::move(type),
                                 .message = std::move(message),
                                 .fields = std::make_shared<const nlohmann::json>(fields)};
  return pool.Transact([&](store::Transaction& tx) { return store::SystemJournal(tx).Append(event); },
                       std::stop_token{});
}

}  // namespace ybis::cli
