#include "store/learning_store.h"

#include <fmt/format.h>

namespace ybis::store {
namespace {

constexpr std::string_view kSelectPatterns =
    "SELECT fingerprint, class, reason, pattern, count, first_seen, last_seen, last_run FROM error_patterns ";

std::vector<ErrorPatternRow> ReadPatterns(const Rows& rows) {
  std::vector<ErrorPatternRow> patterns;
  for (size_t i = 0; i < rows.size(); ++i) {
    const Row row = rows[i];
    patterns.push_back({row.Text(0), row.Text(1), row.Text(2), row.Text(3), row.Int(4), row.Time(5),
                        row.Time(6), row.Text(7)});
  }
  return patterns;
}

}  // namespace

std::string RecordErrorPart(std::string_view source, std::string_view seq, std::string_view condition,
                            int first) {
  return fmt::format(
      ", er AS (INSERT INTO error_records (run_id, seq, node, class, reason, message, fingerprint) "
      "SELECT s.run_id, {1}, s.node, ${3}, ${4}, ${5}, ${6} FROM {0} s WHERE {2}), "
      "ep AS (INSERT INTO error_patterns (fingerprint, class, reason, pattern, last_run) "
      "SELECT ${6}, ${3}, ${4}, ${7}, s.run_id FROM {0} s WHERE {2} "
      "ON CONFLICT (fingerprint) DO UPDATE SET count = error_patterns.count + 1, last_seen = now(), "
      "last_run = EXCLUDED.last_run)",
      source, seq, condition, first, first + 1, first + 2, first + 3, first + 4);
}

void AddErrorParams(const ErrorRow& row, Params& params) {
  for (const std::string* text :
       {&row.error_class, &row.reason, &row.message, &row.fingerprint, &row.pattern})
    params.emplace_back(*text);
}

// The state is read whole: Postgres' own operators refuse documents with \u0000 in them.
Result<std::optional<RepairedVerification>> LearningStore::LastRepaired(const std::string& run_id,
                                                                        int64_t before_seq) {
  YBIS_ASSIGN(const auto rows,
              tx_.Exec("SELECT v.state, (SELECT count(*) FROM node_executions r WHERE r.run_id = $1 AND "
                       "r.type = 'repair') FROM node_executions v WHERE v.run_id = $1 AND v.seq < $2 AND "
                       "v.type = 'verifier' AND v.outcome = 'ok' AND EXISTS (SELECT 1 FROM node_executions r "
                       "WHERE r.run_id = $1 AND r.type = 'repair' AND r.outcome = 'ok' AND r.seq > v.seq) "
                       "ORDER BY v.seq DESC LIMIT 1",
                       {run_id, before_seq}));
  if (rows.empty() || rows[0].IsNull(0)) return std::nullopt;
  return RepairedVerification{rows[0].Json(0), rows[0].Int(1)};
}

Status LearningStore::AddLesson(const LessonRow& lesson) {
  YBIS_TRY(tx_.Exec(
      "INSERT INTO lessons (run_id, seq, fingerprint, pattern, failed, failed_digest, mended_digest, "
      "repairs) VALUES ($1, $2, $3, $4, $5::json, $6, $7, $8) ON CONFLICT DO NOTHING",
      {lesson.run_id, lesson.seq, lesson.fingerprint, lesson.pattern, Param::Json(lesson.failed),
       lesson.failed_digest, lesson.mended_digest, lesson.repairs}));
  return {};
}

Result<std::vector<ErrorPatternRow>> LearningStore::Patterns(int64_t limit) {
  YBIS_ASSIGN(
      const auto rows,
      tx_.Exec(std::string(kSelectPatterns) + "ORDER BY last_seen DESC, fingerprint LIMIT $1", {limit}));
  return ReadPatterns(rows);
}

Result<std::vector<ErrorPatternRow>> LearningStore::FindPattern(const std::string& prefix) {
  YBIS_ASSIGN(
      const auto rows,
      tx_.Exec(std::string(kSelectPatterns) + "WHERE starts_with(fingerprint, $1) LIMIT 2", {prefix}));
  return ReadPatterns(rows);
}

// One that is seen again meanwhile has another time when its row is locked, and stays.
Result<int64_t> LearningStore::ForgetPatterns(int64_t keep, int64_t limit) {
  YBIS_ASSIGN(
      const auto rows,
      tx_.Exec("DELETE FROM error_patterns WHERE fingerprint IN (SELECT p.fingerprint FROM "
               "(SELECT fingerprint, last_seen FROM error_patterns ORDER BY last_seen DESC, fingerprint "
               "OFFSET $1 LIMIT $2) old JOIN error_patterns p ON p.fingerprint = old.fingerprint "
               "AND p.last_seen = old.last_seen FOR UPDATE OF p SKIP LOCKED)",
               {keep, limit}));
  return rows.affected();
}

Result<std::vector<ErrorRecordRow>> LearningStore::Records(const std::string& fingerprint, int64_t limit) {
  YBIS_ASSIGN(const auto rows, tx_.Exec("SELECT run_id, seq, node, message, at FROM error_records "
                                        "WHERE fingerprint = $1 ORDER BY id DESC LIMIT $2",
                                        {fingerprint, limit}));
  std::vector<ErrorRecordRow> records;
  for (size_t i = 0; i < rows.size(); ++i) {
    const Row row = rows[i];
    records.push_back({row.Text(0), row.Int(1), row.Text(2), row.Text(3), row.Time(4)});
  }
  return records;
}

Result<std::optional<MetricsRow>> LearningStore::Metrics(const std::string& run_id) {
  YBIS_ASSIGN(const auto rows,
              tx_.Exec("SELECT run_id, outcome, duration_seconds, nodes, repairs, attempts, "
                       "tokens_in, tokens_out, cost_usd, llm_calls FROM metrics WHERE run_id = $1",
                       {run_id}));
  if (rows.empty()) return std::nullopt;
  const Row row = rows[0];
  return MetricsRow{row.Text(0), row.Text(1), row.Double(2), row.Int(3),    row.Int(4),
                    row.Int(5),  row.Int(6),  row.Int(7),    row.Double(8), row.Int(9)};
}

Result<std::vector<LessonRow>> LearningStore::Lessons(int64_t limit) {
  YBIS_ASSIGN(const auto rows,
              tx_.Exec("SELECT run_id, seq, fingerprint, pattern, failed, failed_digest, "
                       "mended_digest, repairs FROM lessons ORDER BY at DESC, run_id LIMIT $1",
                       {limit}));
  std::vector<LessonRow> lessons;
  for (size_t i = 0; i < rows.size(); ++i) {
    const Row row = rows[i];
    lessons.push_back({row.Text(0), row.Int(1), row.Text(2), row.Text(3), row.Json(4), row.Text(5),
                       row.Text(6), row.Int(7)});
  }
  return lessons;
}

}  // namespace ybis::store
