#include "cli/local/backup/backup_site.h"

#include <nlohmann/json.hpp>

#include "store/system_journal.h"

namespace ybis::cli {

Result<int64_t> ServerVersion(store::Pool& pool, std::stop_token stop) {
  YBIS_ASSIGN(const auto rows, pool.Execute("SELECT current_setting('server_version_num')::bigint", {},
                                            std::move(stop), store::InDoubt::kRepeat));
  return rows[0].Int(0);
}

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
