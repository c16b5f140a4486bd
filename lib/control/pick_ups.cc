#include "control/pick_ups.h"

#include <nlohmann/json.hpp>

namespace ybis::control {
namespace {

using store::InDoubt;

constexpr int64_t kSeconds = PickUps::kPickUpTime.count();

}  // namespace

Result<std::vector<std::string>> PickUps::Take(int64_t max, std::stop_token stop) {
  YBIS_ASSIGN(const auto rows,
              pool_.Execute(
                  "UPDATE leases SET holder = $1, granted = now() WHERE run_id IN (SELECT run_id FROM leases "
                  "WHERE expires IS NULL AND NOT cancel AND (deadline IS NULL OR deadline > now()) "
                  "AND (holder = '' OR granted < now() - make_interval(secs => $3)) "
                  "ORDER BY position LIMIT $2 FOR UPDATE SKIP LOCKED) RETURNING run_id",
                  {starter_, max, kSeconds}, std::move(stop)));
  std::vector<std::string> taken;
  for (size_t i = 0; i < rows.size(); ++i) taken.push_back(rows[i].Text(0));
  return taken;
}

Result<bool> PickUps::TakeRun(const std::string& run_id, std::stop_token stop) {
  YBIS_ASSIGN(
      const auto rows,
      pool_.Execute("UPDATE leases SET holder = $1, granted = now() WHERE run_id = $2 AND expires IS NULL "
                    "AND NOT cancel AND (holder IN ('', $1) OR granted < now() - make_interval(secs => $3)) "
                    "RETURNING 1",
                    {starter_, run_id, kSeconds}, std::move(stop), InDoubt::kRepeat));
  return !rows.empty();
}

Status PickUps::Keep(const std::vector<std::string>& run_ids, std::stop_token stop) {
  if (run_ids.empty()) return {};
  YBIS_TRY(pool_.Execute(
      "UPDATE leases SET granted = now() WHERE holder = $1 AND run_id = ANY($2::text[]) AND expires IS NULL",
      {starter_, run_ids}, std::move(stop), InDoubt::kRepeat));
  return {};
}

Status PickUps::GiveBack(const std::string& run_id, std::stop_token stop) {
  YBIS_TRY(
      pool_.Execute("UPDATE leases SET holder = '' WHERE run_id = $2 AND holder = $1 AND expires IS NULL",
                    {starter_, run_id}, std::move(stop), InDoubt::kRepeat));
  return {};
}

Result<std::vector<PickUps::Lost>> PickUps::FindLost(
    const std::function<bool(const std::string& holder)>& is_gone, std::stop_token stop) {
  YBIS_ASSIGN(const auto rows,
              pool_.Execute("SELECT run_id, holder, expires IS NULL FROM leases WHERE holder <> ''", {}, stop,
                            InDoubt::kRepeat));
  std::vector<Lost> lost;
  for (size_t i = 0; i < rows.size(); ++i) {
    const std::string run_id = rows[i].Text(0);
    const std::string holder = rows[i].Text(1);
    if (!is_gone(holder)) continue;
    if (!rows[i].Bool(2)) {
      YBIS_TRY(pool_.Execute(
          "UPDATE llm_calls SET expires = now() WHERE run_id = $1 AND state = 'pending' AND EXISTS "
          "(SELECT 1 FROM leases WHERE run_id = $1 AND holder = $2 AND expires IS NOT NULL)",
          {run_id, holder}, stop, InDoubt::kRepeat));
      lost.push_back({run_id, holder});
      continue;
    }
    YBIS_TRY(
        pool_.Execute("UPDATE leases SET holder = '' WHERE run_id = $1 AND holder = $2 AND expires IS NULL",
                      {run_id, holder}, stop, InDoubt::kRepeat));
  }
  return lost;
}

}  // namespace ybis::control
