#include "store/node_store.h"

namespace ybis::store {

namespace {

constexpr std::string_view kLease =
    "WITH l AS (UPDATE leases SET seq = $3, node = coalesce(nullif($13, ''), $4), "
    "expires = now() + make_interval(secs => $18) WHERE run_id = $1 AND epoch = $2 AND seq = $3 - 1 "
    "RETURNING run_id, epoch, $4::text AS node)";
constexpr std::string_view kInsert =
    " INSERT INTO node_executions (run_id, epoch, seq, node, type, visit, outcome, error, started, finished, "
    "input, output, next_node, visits, state, base_commit, patch) "
    "SELECT l.run_id, l.epoch, $3, $4, $5, $6::bigint, $7, $8, $9::timestamptz, $10::timestamptz, "
    "$11::json, $12::json, $13, $14::json, $15::json, $16, $17 FROM l";

}  // namespace

Result<bool> NodeStore::Append(const std::string& run_id, const NodeRow& row, std::chrono::seconds lease) {
  static const std::string plain = std::string(kLease) + std::string(kInsert);
  static const std::string failing =
      std::string(kLease) + RecordErrorPart("l", "$3::bigint", "true", 19) + std::string(kInsert);
  Params params = {run_id,
                   row.epoch,
                   row.checkpoint.seq,
                   row.node,
                   row.type,
                   row.visit,
                   row.outcome,
                   row.error,
                   row.started,
                   row.finished,
                   Param::Json(row.input),
                   Param::Json(row.output),
                   row.checkpoint.next_node,
                   Param::Json(row.checkpoint.visits),
                   Param::Json(row.checkpoint.state),
                   row.checkpoint.base_commit,
                   row.checkpoint.patch,
                   static_cast<int64_t>(lease.count())};
  if (row.failure) AddErrorParams(*row.failure, params);
  YBIS_ASSIGN(const auto rows, tx_.Exec(row.failure ? failing : plain, params));
  return rows.affected() > 0;
}

Result<std::optional<CheckpointRow>> NodeStore::NewestCheckpoint(const std::string& run_id) {
  YBIS_ASSIGN(const auto rows,
              tx_.Exec("SELECT seq, next_node, visits, state, base_commit, patch FROM node_executions "
                       "WHERE run_id = $1 ORDER BY seq DESC LIMIT 1",
                       {run_id}));
  if (rows.empty()) return std::nullopt;
  const Row row = rows[0];
  return CheckpointRow{row.Int(0), row.Text(1), row.Json(2), row.Json(3), row.Text(4), row.Text(5)};
}

}  // namespace ybis::store
