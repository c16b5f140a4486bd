#include "store/lease_store.h"

namespace ybis::store {
namespace {

/// The run's order and newest checkpoint come from the statement's snapshot, taken before the lease row was
/// locked: the caller compares seq and reads the checkpoint again when a report came between.
constexpr std::string_view kClaim =
    "WITH l AS (UPDATE leases l SET epoch = l.epoch + 1, holder = $2, granted = now(), "
    "expires = now() + make_interval(secs => $3), "
    "deadline = coalesce(l.deadline, now() + make_interval(secs => o.timeout_seconds)), "
    "infra = l.infra + CASE WHEN l.expires <= now() THEN 1 ELSE 0 END "
    "FROM run_orders o WHERE l.run_id = $1 AND o.run_id = l.run_id AND NOT l.cancel "
    "AND (l.deadline IS NULL OR l.deadline > now()) "
    "AND (l.expires IS NULL OR (l.expires > now() AND l.holder = $2) "
    "OR (l.expires <= now() AND l.infra < o.max_infra)) "
    "RETURNING l.run_id, l.epoch, l.seq, l.deadline, l.infra, o.spec, o.workflow, o.policy), "
    "r AS (UPDATE runs SET state = 'Running', attempt = runs.attempt + 1, epoch = l.epoch, holder = $2, "
    "infra_failures = l.infra, started = coalesce(runs.started, now()), deadline = l.deadline, "
    "refused = '', refusals = 0 "
    "FROM l WHERE runs.run_id = l.run_id RETURNING runs.run_id, runs.attempt, runs.number, runs.task_uid, "
    "runs.trace_id), "
    "e AS (INSERT INTO events (run_id, key, type, message) SELECT run_id, 'claim:' || epoch, 'RUN_CLAIMED', "
    "$2 "
    "FROM l ON CONFLICT DO NOTHING) "
    "SELECT l.epoch, r.attempt, r.number, l.seq, l.deadline, t.uid, t.namespace, t.name, t.generation, "
    "l.spec, l.workflow, l.policy, n.seq, n.next_node, n.visits, n.state, n.base_commit, n.patch, "
    "r.trace_id, l.infra "
    "FROM l JOIN r ON r.run_id = l.run_id JOIN tasks t ON t.uid = r.task_uid "
    "LEFT JOIN LATERAL (SELECT n.* FROM node_executions n WHERE n.run_id = l.run_id "
    "ORDER BY n.seq DESC LIMIT 1) n ON true";

CheckpointRow ReadCheckpoint(const Row& row, int at) {
  return {row.Int(at),      row.Text(at + 1), row.Json(at + 2),
          row.Json(at + 3), row.Text(at + 4), row.Text(at + 5)};
}

ClaimedRow ReadClaim(const Row& row) {
  ClaimedRow claim;
  claim.epoch = row.Int(0);
  claim.attempt = row.Int(1);
  claim.number = row.Int(2);
  claim.seq = row.Int(3);
  claim.deadline = row.OptionalTime(4);
  claim.task = {row.Text(5), row.Text(6), row.Text(7), row.Int(8)};
  claim.order.spec = row.Json(9);
  claim.order.workflow = row.Json(10);
  claim.order.policy = row.Json(11);
  if (!row.IsNull(12)) claim.checkpoint = ReadCheckpoint(row, 12);
  claim.trace_id = row.Text(18);
  claim.infra = row.Int(19);
  return claim;
}

}  // namespace

Result<std::optional<ClaimedRow>> LeaseStore::Claim(const std::string& run_id, const std::string& holder,
                                                    std::chrono::seconds lease) {
  YBIS_ASSIGN(const auto rows, tx_.Exec(kClaim, {run_id, holder, static_cast<int64_t>(lease.count())}));
  if (rows.empty()) return std::nullopt;
  return ReadClaim(rows[0]);
}

Result<std::optional<bool>> LeaseStore::Renew(const std::string& run_id, int64_t epoch,
                                              const std::string& node, std::chrono::seconds lease) {
  YBIS_ASSIGN(const auto rows,
              tx_.Exec("UPDATE leases SET expires = now() + make_interval(secs => $3), "
                       "node = coalesce(nullif($4, ''), node) WHERE run_id = $1 AND epoch = $2 "
                       "RETURNING cancel OR deadline <= now()",
                       {run_id, epoch, static_cast<int64_t>(lease.count()), node}));
  if (rows.empty()) return std::nullopt;
  return rows[0].Bool(0);
}

Result<std::optional<std::string>> LeaseStore::Release(const std::string& run_id, int64_t epoch,
                                                       const std::string& reason, bool failed) {
  YBIS_ASSIGN(
      const auto rows,
      tx_.Exec(
          "WITH l AS (UPDATE leases SET epoch = epoch + 1, holder = '', expires = NULL, granted = now(), "
          "infra = infra + CASE WHEN $4 THEN 1 ELSE 0 END "
          "WHERE run_id = $1 AND epoch = $2 AND NOT cancel RETURNING run_id, epoch, infra), "
          "r AS (UPDATE runs SET state = 'Dispatched', epoch = l.epoch, holder = '', "
          "infra_failures = l.infra FROM l "
          "WHERE runs.run_id = l.run_id RETURNING runs.task_uid), "
          "e AS (INSERT INTO events (run_id, key, type, message) "
          "SELECT run_id, 'release:' || epoch, 'RUN_RELEASED', $3 FROM l ON CONFLICT DO NOTHING) "
          "SELECT t.namespace || '/' || t.name FROM r JOIN tasks t ON t.uid = r.task_uid",
          {run_id, epoch, reason, failed}));
  if (rows.empty()) return std::nullopt;
  return rows[0].Text(0);
}

Result<std::optional<LeaseView>> LeaseStore::View(const std::string& run_id) {
  YBIS_ASSIGN(
      const auto rows,
      tx_.Exec(
          "SELECT r.state, r.epoch, r.cancel_requested OR coalesce(l.cancel, false), "
          "l.run_id IS NOT NULL, l.epoch, l.seq, l.events, coalesce(l.deadline <= now(), false), "
          "coalesce(l.expires <= now() AND l.infra >= o.max_infra, false), "
          "greatest(0, ceil(extract(epoch FROM l.expires - now()) * 1000))::bigint "
          "FROM runs r JOIN run_orders o ON o.run_id = r.run_id LEFT JOIN leases l ON l.run_id = r.run_id "
          "WHERE r.run_id = $1",
          {run_id}));
  if (rows.empty()) return std::nullopt;
  const Row row = rows[0];
  return LeaseView{row.Text(0), row.Int(1), row.Bool(2), row.Bool(3), row.Int(4),
                   row.Int(5),  row.Int(6), row.Bool(7), row.Bool(8), std::chrono::milliseconds(row.Int(9))};
}

Result<std::vector<OverdueRow>> LeaseStore::Overdue(const std::string& run_id, int64_t limit) {
  YBIS_ASSIGN(
      const auto rows,
      tx_.Exec("SELECT l.run_id, l.holder, l.cancel, coalesce(l.deadline <= now(), false), "
               "l.infra >= o.max_infra, l.infra FROM leases l JOIN run_orders o ON o.run_id = l.run_id "
               "WHERE (l.expires <= now() OR l.deadline <= now() OR (l.cancel AND l.expires IS NULL)) AND "
               "($1 = '' OR l.run_id = $1) "
               "ORDER BY l.position LIMIT $2 FOR UPDATE OF l SKIP LOCKED",
               {run_id, limit}));
  std::vector<OverdueRow> overdue;
  for (size_t i = 0; i < rows.size(); ++i) {
    const Row row = rows[i];
    overdue.push_back({row.Text(0), row.Text(1), row.Bool(2), row.Bool(3), row.Bool(4), row.Int(5)});
  }
  return overdue;
}

Status LeaseStore::Requeue(const std::string& run_id, const std::string& message) {
  YBIS_TRY(tx_.Exec(
      "WITH l AS (UPDATE leases SET epoch = epoch + 1, holder = '', expires = NULL, infra = infra + 1, "
      "granted = now() WHERE run_id = $1 RETURNING run_id, epoch, infra), "
      "r AS (UPDATE runs SET state = 'Dispatched', epoch = l.epoch, holder = '', "
      "infra_failures = l.infra FROM l WHERE runs.run_id = l.run_id) "
      "INSERT INTO events (run_id, key, type, message) "
      "SELECT run_id, 'expire:' || epoch, 'LEASE_EXPIRED', $2 FROM l ON CONFLICT DO NOTHING",
      {run_id, message}));
  return {};
}

Result<bool> LeaseStore::Expire(const std::string& run_id, const std::string& holder) {
  YBIS_ASSIGN(const auto rows,
              tx_.Exec("UPDATE leases SET expires = now() WHERE run_id = $1 AND holder = $2 AND "
                       "expires IS NOT NULL RETURNING 1",
                       {run_id, holder}));
  return !rows.empty();
}

}  // namespace ybis::store
