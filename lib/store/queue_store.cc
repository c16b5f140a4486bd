#include "store/queue_store.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace ybis::store {
namespace {

constexpr int64_t kAdmissionLock = 0x5942'4953'0002;

bool HintsHold(const QueueHints& hints, const std::string& server, int64_t queue_last, int64_t lease_last) {
  return hints.server == server && std::chrono::steady_clock::now() - hints.since < QueueHints::kLast &&
         hints.active <= lease_last &&
         std::all_of(hints.waiting.begin(), hints.waiting.end(),
                     [&](int64_t at) { return at <= queue_last; });
}

}  // namespace

Status QueueStore::Lock() {
  YBIS_TRY(tx_.Exec("SELECT pg_advisory_xact_lock($1)", {kAdmissionLock}));
  return {};
}

Status QueueStore::CommitLazily() {
  YBIS_TRY(tx_.Exec("SET LOCAL synchronous_commit = off"));
  return {};
}

Status QueueStore::Enqueue(const std::string& run_id, int priority, const std::string& namespace_name,
                           const std::string& lane) {
  YBIS_TRY(
      tx_.Exec("INSERT INTO queue (priority, position, run_id, namespace, lane) "
               "VALUES ($1, nextval('queue_position'), $2, $3, $4)",
               {priority, run_id, namespace_name, lane}));
  return {};
}

Result<bool> QueueStore::Remove(const std::string& run_id) {
  YBIS_ASSIGN(const auto rows, tx_.Exec("DELETE FROM queue WHERE run_id = $1", {run_id}));
  return rows.affected() > 0;
}

Result<bool> QueueStore::Hold(const std::string& run_id, int priority, const HoldRow& hold) {
  std::optional<int64_t> last;
  if (hold.last) last = hold.last->count();
  YBIS_ASSIGN(
      const auto rows,
      tx_.Exec(
          "WITH q AS (DELETE FROM queue WHERE run_id = $1 RETURNING run_id, namespace, lane, 'q' || position "
          "AS was), "
          "l AS (DELETE FROM leases WHERE run_id = $1 AND expires IS NULL RETURNING run_id, namespace, lane, "
          "'l' || position AS was, deadline), "
          "had AS (SELECT run_id, namespace, lane, was FROM q UNION ALL "
          "SELECT run_id, namespace, lane, was FROM l UNION ALL "
          "SELECT run_id, namespace, lane, NULL FROM holds WHERE run_id = $1 LIMIT 1), "
          // One that is only told anew has been refused no more often.
          "n AS (SELECT had.*, r.refused = $3 AS known, CASE WHEN $5::bigint IS NULL THEN 0 "
          "WHEN r.refused <> $3 THEN 1 WHEN was IS NULL THEN r.refusals ELSE r.refusals + 1 END AS refusals "
          "FROM had JOIN runs r ON r.run_id = had.run_id), "
          // The clock of its deadline does not run meanwhile.
          "r AS (UPDATE runs SET state = 'Queued', holder = '', "
          "time_left = coalesce(l.deadline - now(), runs.time_left), "
          "deadline = CASE WHEN l.run_id IS NULL THEN runs.deadline END, "
          "refused = CASE WHEN n.refusals > 0 THEN $3 ELSE '' END, refusals = n.refusals "
          "FROM n LEFT JOIN l ON l.run_id = n.run_id "
          "WHERE runs.run_id = n.run_id AND runs.state IN ('Queued', 'Dispatched')), "
          "h AS (INSERT INTO holds (run_id, priority, namespace, lane, reason, message, until) "
          "SELECT run_id, $2, namespace, lane, $3, $4, CASE WHEN refusals > 0 THEN now() + make_interval("
          "secs => least($5::bigint * 2 ^ least(refusals - 1, 30), greatest($5::bigint, $6::bigint))) END "
          "FROM n ON CONFLICT (run_id) DO UPDATE SET reason = EXCLUDED.reason, message = EXCLUDED.message, "
          "until = EXCLUDED.until RETURNING run_id), "
          "e AS (INSERT INTO events (run_id, key, type, message) SELECT run_id, 'hold:' || was, 'RUN_HELD', "
          "$3 || ': ' || $4 FROM n WHERE was IS NOT NULL AND NOT known ON CONFLICT DO NOTHING) "
          "SELECT 1 FROM h",
          {run_id, priority, hold.reason, hold.message, last, static_cast<int64_t>(kLongestHold.count())}));
  return !rows.empty();
}

Result<std::vector<std::string>> QueueStore::Abandoned(const std::vector<std::string>& run_ids,
                                                       std::chrono::seconds idle) {
  // One past its deadline is the watchdog's.
  YBIS_ASSIGN(const auto rows,
              tx_.Exec("SELECT run_id FROM leases WHERE run_id = ANY ($1::text[]) AND expires IS NULL "
                       "AND holder = '' AND NOT cancel AND granted <= now() - make_interval(secs => $2) "
                       "AND (deadline IS NULL OR deadline > now()) ORDER BY position FOR UPDATE",
                       {run_ids, static_cast<int64_t>(idle.count())}));
  std::vector<std::string> found;
  for (size_t i = 0; i < rows.size(); ++i) found.push_back(rows[i].Text(0));
  return found;
}

Status QueueStore::PutBack(const std::string& run_id, int priority) {
  YBIS_TRY(tx_.Exec(
      "WITH l AS (DELETE FROM leases WHERE run_id = $1 RETURNING run_id, namespace, lane, deadline), "
      // The clock of its deadline does not run meanwhile.
      "r AS (UPDATE runs SET state = 'Queued', time_left = coalesce(l.deadline - now(), "
      "runs.time_left), deadline = NULL FROM l WHERE runs.run_id = l.run_id), "
      "q AS (INSERT INTO queue (priority, position, run_id, namespace, lane) "
      "SELECT $2, nextval('queue_position'), run_id, namespace, lane FROM l "
      "RETURNING run_id, position) "
      "INSERT INTO events (run_id, key, type) SELECT run_id, 'queue:' || position, 'RUN_QUEUED' "
      "FROM q ON CONFLICT DO NOTHING",
      {run_id, priority}));
  return {};
}

Result<bool> QueueStore::Release(const std::string& run_id) {
  YBIS_ASSIGN(const auto rows,
              tx_.Exec("WITH h AS (DELETE FROM holds WHERE run_id = $1 RETURNING *), "
                       "q AS (INSERT INTO queue (priority, position, run_id, namespace, lane) "
                       "SELECT h.priority, nextval('queue_position'), h.run_id, h.namespace, h.lane "
                       "FROM h JOIN runs r ON r.run_id = h.run_id WHERE r.state = 'Queued' "
                       "RETURNING run_id, position), "
                       "e AS (INSERT INTO events (run_id, key, type) SELECT q.run_id, 'queue:' || position, "
                       "'RUN_QUEUED' FROM q JOIN runs r ON r.run_id = q.run_id WHERE r.refusals = 0 "
                       "ON CONFLICT DO NOTHING) SELECT 1 FROM q",
                       {run_id}));
  return !rows.empty();
}

Result<bool> QueueStore::MoveHeld(const std::string& run_id, int priority, const std::string& namespace_name,
                                  const std::string& lane) {
  YBIS_ASSIGN(const auto rows,
              tx_.Exec("UPDATE holds SET priority = $2, namespace = $3, lane = $4, "
                       "until = CASE WHEN until IS NOT NULL THEN now() END WHERE run_id = $1 RETURNING 1",
                       {run_id, priority, namespace_name, lane}));
  return !rows.empty();
}

Result<std::vector<ActiveRow>> QueueStore::Active(QueueHints& hints) {
  for (;;) {
    YBIS_ASSIGN(
        const auto rows,
        tx_.Exec(
            "SELECT s.start, s.queue_last, s.lease_last, l.position, l.run_id, l.namespace, l.lane, "
            "l.admission FROM (SELECT pg_postmaster_start_time()::text || ' ' || "
            "'queue_position'::regclass::oid AS start, "
            "(SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM queue_position) AS queue_last, "
            "(SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM lease_position) AS lease_last) s "
            "LEFT JOIN leases l ON l.position > $1 ORDER BY l.position",
            {hints.active}));
    const std::string start = rows[0].Text(0);
    if (!HintsHold(hints, start, rows[0].Int(1), rows[0].Int(2))) {
      hints = QueueHints{start, {}, 0, std::chrono::steady_clock::now()};
      continue;
    }
    std::vector<ActiveRow> active;
    for (size_t i = 0; i < rows.size() && !rows[i].IsNull(3); ++i) {
      active.push_back({rows[i].Int(3), rows[i].Text(4), rows[i].Text(5), rows[i].Text(6), rows[i].Text(7)});
    }
    hints.active = active.empty() ? rows[0].Int(2) : active.front().position - 1;
    return active;
  }
}

Result<std::vector<WaitingRow>> QueueStore::Waiting(const std::array<int64_t, kPriorities>& after,
                                                    int64_t limit, const std::vector<std::string>& but_lanes,
                                                    const std::vector<std::string>& but_namespaces) {
  static const std::string sql = [] {
    std::vector<std::string> parts;
    for (int priority = 0; priority < kPriorities; ++priority) {
      parts.push_back(
          fmt::format("(SELECT priority, position, run_id, namespace, lane FROM queue "
                      "WHERE priority = {} AND position > ${} "
                      "AND lane <> ALL ($5::text[]) AND namespace <> ALL ($6::text[]) "
                      "ORDER BY priority, position LIMIT $4)",
                      priority, priority + 1));
    }
    return fmt::format("{}", fmt::join(parts, " UNION ALL "));
  }();
  YBIS_ASSIGN(const auto rows,
              tx_.Exec(sql, {after[0], after[1], after[2], limit, but_lanes, but_namespaces}));
  std::vector<WaitingRow> waiting;
  for (size_t i = 0; i < rows.size(); ++i) {
    waiting.push_back({static_cast<int>(rows[i].Int(0)), rows[i].Int(1), rows[i].Text(2), rows[i].Text(3),
                       rows[i].Text(4)});
  }
  std::sort(waiting.begin(), waiting.end(), [](const WaitingRow& left, const WaitingRow& right) {
    return std::tie(left.priority, left.position) < std::tie(right.priority, right.position);
  });
  return waiting;
}

Result<std::optional<WaitingRow>> QueueStore::Find(const std::string& run_id) {
  YBIS_ASSIGN(
      const auto rows,
      tx_.Exec("SELECT priority, position, run_id, namespace, lane FROM queue WHERE run_id = $1", {run_id}));
  if (rows.empty()) return std::nullopt;
  return WaitingRow{static_cast<int>(rows[0].Int(0)), rows[0].Int(1), rows[0].Text(2), rows[0].Text(3),
                    rows[0].Text(4)};
}

Status QueueStore::Admit(const std::vector<WaitingRow>& rows, const std::string& admission) {
  std::vector<std::string> priorities, positions;
  for (const WaitingRow& row : rows) {
    priorities.push_back(std::to_string(row.priority));
    positions.push_back(std::to_string(row.position));
  }
  YBIS_TRY(tx_.Exec(
      "WITH q AS (DELETE FROM queue q USING unnest($1::text[]::smallint[], $2::text[]::bigint[]) "
      "AS pick (priority, position) WHERE q.priority = pick.priority AND q.position = pick.position "
      "RETURNING q.run_id, q.namespace, q.lane, q.priority, q.position), "
      "l AS (INSERT INTO leases (run_id, position, namespace, lane, epoch, seq, events, infra, deadline, "
      "admission, "
      "cancel) "
      "SELECT q.run_id, nextval('lease_position'), q.namespace, q.lane, r.epoch, "
      "coalesce((SELECT max(n.seq) FROM node_executions n WHERE n.run_id = q.run_id), 0), "
      "(SELECT count(*) FROM events e WHERE e.run_id = q.run_id AND e.key LIKE 'runner:%'), "
      "r.infra_failures, "
      "coalesce(r.deadline, now() + r.time_left), $3, r.cancel_requested FROM q JOIN runs r ON r.run_id = "
      "q.run_id WHERE r.state = 'Queued' RETURNING run_id, position), "
      "s AS (UPDATE runs SET state = 'Dispatched' FROM l WHERE runs.run_id = l.run_id "
      "AND runs.state = 'Queued') "
      "INSERT INTO events (run_id, key, type) SELECT l.run_id, 'admit:' || position, 'RUN_DISPATCHED' "
      "FROM l JOIN runs r ON r.run_id = l.run_id WHERE r.refusals = 0 ON CONFLICT DO NOTHING",
      {priorities, positions, admission}));
  return {};
}

Result<int64_t> QueueStore::Depth() {
  YBIS_ASSIGN(const auto rows, tx_.Exec("SELECT count(*) FROM queue"));
  return rows[0].Int(0);
}

}  // namespace ybis::store
