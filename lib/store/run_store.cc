#include "store/run_store.h"

#include <fmt/format.h>

namespace ybis::store {
namespace {

const std::string kSelectRun =
    "SELECT r.run_id, r.task_uid, t.namespace, t.name, r.number, r.attempt, r.infra_failures, r.state, "
    "r.rerun_token, coalesce(nullif(l.node, ''), r.node), r.epoch, l.expires, r.created, r.started, "
    "r.finished, "
    "r.cancel_requested, r.result, r.verification, r.failure, r.subject_digest, u.tokens_in, u.tokens_out, "
    "u.cost_usd, u.llm_calls, "
    "(SELECT json_agg(json_build_object('name', a.name, 'digest', a.digest, 'size', a.size) ORDER BY a.name) "
    " FROM artifacts a WHERE a.run_id = r.run_id), t.generation, "
    "coalesce(h.reason, ''), coalesce(h.message, ''), ceil(extract(epoch FROM h.until - now()))::bigint "
    "FROM runs r JOIN tasks t ON t.uid = r.task_uid LEFT JOIN leases l ON l.run_id = r.run_id "
    "LEFT JOIN holds h ON h.run_id = r.run_id "
    // Not as the run's end wrote it: a call under way then is paid, and recorded, all the same; so, probably,
    // is one whose maker died.
    "CROSS JOIN LATERAL (SELECT coalesce(sum(c.tokens_in), 0)::bigint tokens_in, "
    "coalesce(sum(c.tokens_out + c.lost * c.reserve_tokens), 0)::bigint tokens_out, "
    "coalesce(sum(c.cost_usd + c.lost * c.reserve_usd), 0) cost_usd, "
    "coalesce(sum(c.paid_calls + c.lost), 0)::bigint llm_calls FROM (SELECT *, "
    "(state = 'pending' AND expires <= now())::int lost FROM llm_calls) c WHERE c.run_id = r.run_id) u ";

RunRow ReadRun(const Row& row) {
  RunRow run;
  run.run_id = row.Text(0);
  run.task_uid = row.Text(1);
  run.namespace_name = row.Text(2);
  run.task_name = row.Text(3);
  run.number = row.Int(4);
  run.attempt = row.Int(5);
  run.infra_failures = row.Int(6);
  run.state = row.Text(7);
  run.rerun_token = row.Text(8);
  run.node = row.Text(9);
  run.epoch = row.Int(10);
  run.lease_expires = row.OptionalTime(11);
  run.created = row.Time(12);
  run.started = row.OptionalTime(13);
  run.finished = row.OptionalTime(14);
  run.cancel_requested = row.Bool(15);
  run.result = row.Json(16);
  run.verification = row.Json(17);
  run.failure = row.Json(18);
  run.subject_digest = row.Text(19);
  run.tokens_in = row.Int(20);
  run.tokens_out = row.Int(21);
  run.cost_usd = row.Double(22);
  run.llm_calls = row.Int(23);
  run.artifacts = row.Json(24);
  run.generation = row.Int(25);
  run.hold_reason = row.Text(26);
  run.hold_message = row.Text(27);
  if (!row.IsNull(28)) run.hold_left = std::chrono::seconds(row.Int(28));
  return run;
}

std::optional<RunRow> FirstRun(const Rows& rows) {
  if (rows.empty()) return std::nullopt;
  return ReadRun(rows[0]);
}

/// Parameters: $1 run, $2 state, $3 result, $4 verification, $5 failure, $6 subject digest, $7 event type,
/// $8 message; `l` gives node and cancel of the lease that ended. Usage comes from the recorded calls alone.
/// {0} is what the epoch moves on by, {1} sets further columns.
constexpr std::string_view kEndParts =
    ", u AS (SELECT coalesce(sum(tokens_in), 0) ti, coalesce(sum(tokens_out), 0) tok, "
    "coalesce(sum(cost_usd), 0) usd, "
    "coalesce(sum(paid_calls), 0) calls FROM llm_calls WHERE run_id = $1), "
    "r AS (UPDATE runs SET state = CASE WHEN l.cancel AND $2 <> 'Completed' THEN 'Cancelled' ELSE $2 END, "
    "finished = CASE WHEN $2 = 'Blocked' AND NOT l.cancel THEN NULL ELSE now() END, "
    "node = coalesce(nullif(l.node, ''), runs.node), "
    "epoch = runs.epoch + {0}, holder = '', result = coalesce($3::json, runs.result), "
    "verification = coalesce($4::json, runs.verification), "
    "failure = CASE WHEN l.cancel AND $2 <> 'Completed' AND $2 <> 'Cancelled' THEN "
    "'{{\"class\":\"Cancelled\",\"reason\":\"Cancelled\",\"message\":\"the task was cancelled\"}}'::json "
    "ELSE $5::json END, subject_digest = $6{1}, "
    "tokens_in = u.ti, tokens_out = u.tok, cost_usd = u.usd, llm_calls = u.calls "
    "FROM l, u WHERE runs.run_id = $1 AND runs.state NOT IN ('Completed', 'Failed', 'Cancelled') "
    "RETURNING runs.run_id, runs.epoch, runs.task_uid, runs.state, runs.node, runs.attempt, "
    "coalesce(runs.started, runs.created) begun), "
    "e AS (INSERT INTO events (run_id, key, type, message) SELECT run_id, 'end:' || epoch, $7, $8 FROM r "
    "ON CONFLICT DO NOTHING), "
    "m AS (INSERT INTO metrics (run_id, outcome, duration_seconds, nodes, repairs, attempts, tokens_in, "
    "tokens_out, cost_usd, llm_calls) SELECT r.run_id, r.state, extract(epoch FROM now() - r.begun), "
    "n.nodes, n.repairs, r.attempt, u.ti, u.tok, u.usd, u.calls FROM r, u, (SELECT count(*) nodes, "
    "count(*) FILTER (WHERE type = 'repair') repairs FROM node_executions WHERE run_id = $1) n "
    "WHERE r.state <> 'Blocked' ON CONFLICT DO NOTHING)";
constexpr std::string_view kEndSelect =
    " SELECT t.namespace || '/' || t.name FROM r JOIN tasks t ON t.uid = r.task_uid";

/// $9 epoch, $10 node, $11 seconds to live, $12 approvals required, $13 seconds between reminders.
constexpr std::string_view kWaitPart =
    ", w AS (INSERT INTO waits (run_id, subject_digest, seq, node, expires, required, reminder_seconds, "
    "next_reminder) SELECT r.run_id, $6, l.seq, coalesce(nullif($10, ''), l.node), "
    "now() + make_interval(secs => $11), $12::bigint, $13::bigint, "
    "CASE WHEN $13::bigint > 0 THEN now() + make_interval(secs => $13::bigint) END FROM r, l WHERE r.state = "
    "'Blocked' "
    "RETURNING run_id, required, node), "
    "a AS (INSERT INTO events (run_id, key, type, message, fields) SELECT w.run_id, 'wait:' || r.epoch, "
    "'APPROVAL_REQUESTED', format('waits at %s for %s of %s approvals', w.node, w.required, w.required), "
    "json_build_object('subjectDigest', $6::text, 'node', w.node, 'required', w.required) FROM w, r "
    "ON CONFLICT DO NOTHING)";

Params EndParams(const std::string& run_id, const RunEnd& end) {
  return {run_id,
          end.state,
          Param::Json(end.result),
          Param::Json(end.verification),
          Param::Json(end.failure),
          end.subject_digest,
          end.event,
          end.message};
}

/// With the failure's record when there is one: the statement of what goes well stays as short as it is.
std::string EndSql(std::string_view lease, int moves_epoch, const RunEnd& end, int parameters) {
  std::string sql = std::string(lease) + fmt::format(kEndParts, moves_epoch, "");
  if (end.error) sql += RecordErrorPart("r", "0", "s.state = 'Failed'", parameters + 1);
  return sql + std::string(kEndSelect);
}

}  // namespace

Result<bool> RunStore::NameTaken(const TaskRow& task) {
  YBIS_ASSIGN(const auto rows,
              tx_.Exec("SELECT 1 FROM tasks WHERE namespace = $1 AND name = $2 AND uid <> $3 LIMIT 1",
                       {task.namespace_name, task.name, task.uid}));
  return !rows.empty();
}

Status RunStore::PutTask(const TaskRow& task) {
  YBIS_TRY(
      tx_.Exec("INSERT INTO tasks (uid, namespace, name, generation) VALUES ($1, $2, $3, $4) "
               "ON CONFLICT (uid) DO UPDATE SET generation = EXCLUDED.generation "
               "WHERE tasks.generation < EXCLUDED.generation RETURNING 1",
               {task.uid, task.namespace_name, task.name, task.generation}));
  return {};
}

Result<std::string> RunStore::AddRun(const TaskRow& task, const std::string& rerun_token,
                                     const OrderRow& order) {
  YBIS_ASSIGN(const auto numbers,
              tx_.Exec("UPDATE tasks SET runs = runs + 1 WHERE uid = $1 RETURNING runs", {task.uid}));
  if (numbers.empty()) return Fail(ErrorCode::kNotFound, "task " + task.uid + " is not recorded");
  const int64_t number = numbers[0].Int(0);
  for (const size_t length : {size_t{8}, size_t{13}, task.uid.size()}) {
    const std::string run_id = fmt::format("{}-{}", task.uid.substr(0, length), number);
    YBIS_ASSIGN(
        const auto rows,
        tx_.Exec(
            "WITH r AS (INSERT INTO runs (run_id, task_uid, number, rerun_token) VALUES ($1, $2, $3, $4) "
            "ON CONFLICT (run_id) DO NOTHING RETURNING run_id), "
            "o AS (INSERT INTO run_orders (run_id, spec, workflow, policy, timeout_seconds, max_infra) "
            "SELECT run_id, $5::json, $6::json, $7::json, $8::bigint, $9::bigint FROM r), "
            "e AS (INSERT INTO events (run_id, key, type) SELECT run_id, 'submitted', 'RUN_QUEUED' FROM r) "
            "SELECT 1 FROM r",
            {run_id, task.uid, number, rerun_token, Param::Json(order.spec), Param::Json(order.workflow),
             Param::Json(order.policy), order.timeout_seconds, order.max_infra}));
    if (!rows.empty()) return run_id;
  }
  return Fail(ErrorCode::kExists, fmt::format("run {} of task {} is there already", number, task.uid));
}

Status RunStore::ReplaceOrder(const std::string& run_id, const OrderRow& order) {
  YBIS_TRY(
      tx_.Exec("UPDATE run_orders SET spec = $2::json, workflow = $3::json, policy = $4::json, "
               "timeout_seconds = $5, max_infra = $6 WHERE run_id = $1",
               {run_id, Param::Json(order.spec), Param::Json(order.workflow), Param::Json(order.policy),
                order.timeout_seconds, order.max_infra}));
  return {};
}

Result<std::optional<RunRow>> RunStore::Find(const std::string& run_id) {
  YBIS_ASSIGN(const auto rows, tx_.Exec(kSelectRun + "WHERE r.run_id = $1", {run_id}));
  return FirstRun(rows);
}

Result<std::vector<RunRow>> RunStore::FindAll(const std::vector<std::string>& run_ids) {
  YBIS_ASSIGN(
      const auto rows,
      tx_.Exec(kSelectRun + "WHERE r.run_id = ANY($1::text[]) ORDER BY array_position($1::text[], r.run_id)",
               {run_ids}));
  std::vector<RunRow> runs;
  for (size_t i = 0; i < rows.size(); ++i) runs.push_back(ReadRun(rows[i]));
  return runs;
}

Result<std::optional<RunRow>> RunStore::Latest(const std::string& task_uid) {
  YBIS_ASSIGN(const auto rows,
              tx_.Exec(kSelectRun + "WHERE r.task_uid = $1 ORDER BY r.number DESC LIMIT 1", {task_uid}));
  return FirstRun(rows);
}

Result<std::optional<RunRow>> RunStore::ByToken(const std::string& task_uid, const std::string& rerun_token) {
  YBIS_ASSIGN(const auto rows,
              tx_.Exec(kSelectRun + "WHERE r.task_uid = $1 AND r.rerun_token = $2", {task_uid, rerun_token}));
  return FirstRun(rows);
}

Result<std::optional<OrderRow>> RunStore::Order(const std::string& run_id) {
  YBIS_ASSIGN(const auto rows, tx_.Exec("SELECT spec, workflow, policy, timeout_seconds, max_infra "
                                        "FROM run_orders WHERE run_id = $1",
                                        {run_id}));
  if (rows.empty()) return std::nullopt;
  const Row row = rows[0];
  return OrderRow{row.Json(0), row.Json(1), row.Json(2), row.Int(3), row.Int(4)};
}

Result<std::string> RunStore::TraceId(const std::string& run_id) {
  YBIS_ASSIGN(const auto rows, tx_.Exec("SELECT trace_id FROM runs WHERE run_id = $1", {run_id}));
  return rows.empty() ? std::string() : rows[0].Text(0);
}

Result<int64_t> RunStore::Generation(const std::string& task_uid) {
  YBIS_ASSIGN(const auto rows, tx_.Exec("SELECT generation FROM tasks WHERE uid = $1", {task_uid}));
  return rows.empty() ? -1 : rows[0].Int(0);
}

Result<bool> RunStore::End(const std::string& run_id, const RunEnd& end) {
  const std::string sql = EndSql(
      "WITH gone AS (DELETE FROM leases WHERE run_id = $1 RETURNING node), "
      "l AS (SELECT coalesce(max(node), '') node, false cancel FROM gone)",
      1, end, 8);
  Params params = EndParams(run_id, end);
  if (end.error) AddErrorParams(*end.error, params);
  YBIS_TRY(tx_.Exec("DELETE FROM queue WHERE run_id = $1", {run_id}));
  YBIS_ASSIGN(const auto rows, tx_.Exec(sql, params));
  // A decision may have queued it again before the statement above had the run's row, and a release may do so
  // until its hold is gone: this waits for the one that is under way.
  YBIS_TRY(tx_.Exec("DELETE FROM holds WHERE run_id = $1", {run_id}));
  YBIS_TRY(tx_.Exec("DELETE FROM queue WHERE run_id = $1", {run_id}));
  YBIS_TRY(tx_.Exec("DELETE FROM waits WHERE run_id = $1", {run_id}));
  return !rows.empty();
}

Result<std::optional<std::string>> RunStore::EndByHolder(const std::string& run_id, int64_t epoch,
                                                         const RunEnd& end) {
  const std::string sql = EndSql(
      "WITH l AS (DELETE FROM leases WHERE run_id = $1 AND epoch = $9 AND expires IS NOT NULL "
      "RETURNING node, cancel)",
      0, end, 9);
  Params params = EndParams(run_id, end);
  params.emplace_back(epoch);
  if (end.error) AddErrorParams(*end.error, params);
  YBIS_ASSIGN(const auto rows, tx_.Exec(sql, params));
  if (rows.empty()) return std::nullopt;
  return rows[0].Text(0);
}

Result<std::optional<std::string>> RunStore::BlockByHolder(const std::string& run_id, int64_t epoch,
                                                           const RunEnd& end, const NewWait& wait) {
  static const std::string sql =
      "WITH l AS (DELETE FROM leases WHERE run_id = $1 AND epoch = $9 AND expires IS NOT NULL "
      "RETURNING node, cancel, seq)" +
      fmt::format(kEndParts, 0, ", time_left = runs.deadline - now(), deadline = NULL") +
      std::string(kWaitPart) + std::string(kEndSelect);
  Params params = EndParams(run_id, end);
  for (const Param& param :
       Params{epoch, wait.node, wait.ttl_seconds, wait.required, wait.reminder_seconds}) {
    params.push_back(param);
  }
  YBIS_ASSIGN(const auto rows, tx_.Exec(sql, params));
  if (rows.empty()) return std::nullopt;
  return rows[0].Text(0);
}

Status RunStore::RequestCancel(const std::string& run_id, const std::string& reason) {
  YBIS_TRY(tx_.Exec("UPDATE leases SET cancel = true WHERE run_id = $1", {run_id}));
  YBIS_TRY(tx_.Exec(
      "WITH r AS (UPDATE runs SET cancel_requested = true WHERE run_id = $1 AND NOT cancel_requested "
      "AND state NOT IN ('Completed', 'Failed', 'Cancelled') "
      "RETURNING run_id) INSERT INTO events (run_id, key, type, message) "
      "SELECT run_id, 'cancel', 'CANCEL_REQUESTED', $2 FROM r ON CONFLICT DO NOTHING",
      {run_id, reason}));
  return {};
}

}  // namespace ybis::store
