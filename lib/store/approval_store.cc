#include "store/approval_store.h"

#include <nlohmann/json.hpp>

namespace ybis::store {
namespace {

const std::string kSelectWait =
    "SELECT w.run_id, t.namespace, t.name, t.uid, w.subject_digest, w.node, w.seq, w.since, w.expires, "
    "w.next_reminder, w.required, coalesce(r.failure->>'reason', ''), coalesce(r.failure->>'message', ''), "
    "w.expires <= now(), extract(epoch FROM now() - w.since)::double precision, "
    "(SELECT json_agg(a.approver ORDER BY a.created, a.key) FROM approvals a WHERE a.run_id = w.run_id "
    "AND a.seq = w.seq AND a.subject_digest = w.subject_digest AND a.decision = 'Approve' "
    "AND a.verdict IN ('Counted', 'Decided')) "
    "FROM waits w JOIN runs r ON r.run_id = w.run_id JOIN tasks t ON t.uid = r.task_uid ";

WaitRow ReadWait(const Row& row) {
  WaitRow wait;
  wait.run_id = row.Text(0);
  wait.namespace_name = row.Text(1);
  wait.task_name = row.Text(2);
  wait.task_uid = row.Text(3);
  wait.subject_digest = row.Text(4);
  wait.node = row.Text(5);
  wait.seq = row.Int(6);
  wait.since = row.Time(7);
  wait.expires = row.Time(8);
  wait.next_reminder = row.OptionalTime(9);
  wait.required = row.Int(10);
  wait.reason = row.Text(11);
  wait.message = row.Text(12);
  wait.expired = row.Bool(13);
  wait.waited_seconds = row.Double(14);
  if (const auto approvers = row.Json(15)) wait.approvers = approvers->get<std::vector<std::string>>();
  return wait;
}

const std::string kSelectDecision =
    "SELECT key, run_id, seq, subject_digest, decision, reason, feedback, approver, verdict, message, "
    "approvals, required, created FROM approvals ";

std::vector<ApprovalRow> ReadDecisions(const Rows& rows) {
  std::vector<ApprovalRow> out;
  for (size_t i = 0; i < rows.size(); ++i) {
    const Row row = rows[i];
    out.push_back({row.Text(0), row.Text(1), row.Int(2), row.Text(3), row.Text(4), row.Text(5), row.Text(6),
                   row.Text(7), row.Text(8), row.Text(9), row.Int(10), row.Int(11), row.Time(12)});
  }
  return out;
}

}  // namespace

Result<std::optional<LockedRun>> ApprovalStore::Lock(const std::string& run_id) {
  YBIS_ASSIGN(const auto rows,
              tx_.Exec("SELECT r.state, r.cancel_requested, t.namespace, t.name, r.task_uid FROM runs r "
                       "JOIN tasks t ON t.uid = r.task_uid WHERE r.run_id = $1 FOR UPDATE OF r",
                       {run_id}));
  if (rows.empty()) return std::nullopt;
  return LockedRun{rows[0].Text(0), rows[0].Bool(1), rows[0].Text(2), rows[0].Text(3), rows[0].Text(4)};
}

Result<std::optional<WaitRow>> ApprovalStore::FindWait(const std::string& run_id) {
  YBIS_ASSIGN(const auto rows, tx_.Exec(kSelectWait + "WHERE w.run_id = $1", {run_id}));
  if (rows.empty()) return std::nullopt;
  return ReadWait(rows[0]);
}

Result<std::vector<WaitRow>> ApprovalStore::Waits(int64_t limit) {
  YBIS_ASSIGN(const auto rows, tx_.Exec(kSelectWait + "ORDER BY w.since, w.run_id LIMIT $1", {limit}));
  std::vector<WaitRow> waits;
  for (size_t i = 0; i < rows.size(); ++i) waits.push_back(ReadWait(rows[i]));
  return waits;
}

Result<int64_t> ApprovalStore::CountWaits() {
  YBIS_ASSIGN(const auto rows, tx_.Exec("SELECT count(*) FROM waits"));
  return rows[0].Int(0);
}

Status ApprovalStore::Resume(const std::string& run_id) {
  YBIS_TRY(
      tx_.Exec("UPDATE runs SET state = 'Queued', epoch = epoch + 1, subject_digest = '', failure = NULL, "
               "result = NULL WHERE run_id = $1 AND state = 'Blocked'",
               {run_id}));
  YBIS_TRY(tx_.Exec("DELETE FROM waits WHERE run_id = $1", {run_id}));
  return {};
}

Result<std::optional<ApprovalRow>> ApprovalStore::FindDecision(const std::string& key) {
  YBIS_ASSIGN(const auto rows, tx_.Exec(kSelectDecision + "WHERE key = $1", {key}));
  if (rows.empty()) return std::nullopt;
  return std::move(ReadDecisions(rows).front());
}

Result<bool> ApprovalStore::AddDecision(const ApprovalRow& row) {
  YBIS_ASSIGN(
      const auto rows,
      tx_.Exec(
          "INSERT INTO approvals (key, run_id, seq, subject_digest, decision, reason, feedback, approver, "
          "verdict, message, approvals, required) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, "
          "$12) ON CONFLICT (key) DO NOTHING",
          {row.key, row.run_id, row.seq, row.subject_digest, row.decision, row.reason, row.feedback,
           row.approver, row.verdict, row.message, row.approvals, row.required}));
  return rows.affected() > 0;
}

Result<std::vector<ApprovalRow>> ApprovalStore::Decisions(const std::string& run_id) {
  YBIS_ASSIGN(const auto rows,
              tx_.Exec(kSelectDecision + "WHERE run_id = $1 ORDER BY created, key", {run_id}));
  return ReadDecisions(rows);
}

Result<std::vector<ApprovalRow>> ApprovalStore::DecisionsOf(const std::string& run_id, int64_t seq) {
  YBIS_ASSIGN(
      const auto rows,
      tx_.Exec(kSelectDecision + "WHERE run_id = $1 AND seq = $2 AND verdict IN ('Counted', 'Decided') "
                                 "ORDER BY created, key",
               {run_id, seq}));
  return ReadDecisions(rows);
}

Result<std::vector<DueWait>> ApprovalStore::Due(int64_t limit) {
  YBIS_ASSIGN(const auto rows,
              tx_.Exec("SELECT w.run_id, w.expires <= now() FROM waits w JOIN runs r ON r.run_id = w.run_id "
                       "WHERE least(w.expires, w.next_reminder) <= now() "
                       "ORDER BY least(w.expires, w.next_reminder) LIMIT $1 FOR UPDATE OF w, r SKIP LOCKED",
                       {limit}));
  std::vector<DueWait> due;
  for (size_t i = 0; i < rows.size(); ++i) due.push_back({rows[i].Text(0), rows[i].Bool(1)});
  return due;
}

Result<TimePoint> ApprovalStore::Remind(const std::string& run_id) {
  YBIS_ASSIGN(const auto rows,
              tx_.Exec("UPDATE waits w SET next_reminder = w.next_reminder + make_interval(secs => "
                       "w.reminder_seconds * (1 + floor(extract(epoch FROM now() - w.next_reminder) / "
                       "w.reminder_seconds))::double precision) "
                       "FROM waits old WHERE w.run_id = $1 AND old.run_id = w.run_id "
                       "RETURNING old.next_reminder",
                       {run_id}));
  if (rows.empty()) return Fail(ErrorCode::kInternal, "run " + run_id + " waits no longer");
  return rows[0].Time(0);
}

}  // namespace ybis::store
