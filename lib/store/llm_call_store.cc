#include "store/llm_call_store.h"

namespace ybis::store {

Result<bool> LlmCallStore::LockLease(const std::string& run_id, int64_t epoch) {
  YBIS_ASSIGN(const auto rows,
              tx_.Exec("SELECT 1 FROM leases WHERE run_id = $1 AND epoch = $2 FOR UPDATE", {run_id, epoch}));
  return !rows.empty();
}

Result<std::optional<LlmCallRow>> LlmCallStore::Find(const LlmCallId& id) {
  YBIS_ASSIGN(
      const auto rows,
      tx_.Exec("SELECT state, answer, greatest(0, ceil(extract(epoch FROM expires - now()) * 1000))::bigint "
               "FROM llm_calls WHERE run_id = $1 AND node = $2 AND visit = $3 AND call = $4 "
               "AND request_digest = $5",
               {id.run_id, id.node, id.visit, id.call, id.request_digest}));
  if (rows.empty()) return std::nullopt;
  return LlmCallRow{rows[0].Text(0), rows[0].Json(1), std::chrono::milliseconds(rows[0].Int(2))};
}

Status LlmCallStore::Begin(const LlmCallId& id, std::chrono::milliseconds timeout, int64_t reserve_tokens,
                           double reserve_usd) {
  YBIS_TRY(tx_.Exec(
      "INSERT INTO llm_calls AS c (run_id, node, visit, call, request_digest, state, tries, expires, "
      "reserve_tokens, reserve_usd) "
      "VALUES ($1, $2, $3, $4, $5, 'pending', 1, now() + make_interval(secs => $6), $7, $8) "
      "ON CONFLICT (run_id, node, visit, call, request_digest) DO UPDATE SET state = 'pending', "
      "tries = c.tries + 1, begun = now(), ended = NULL, expires = EXCLUDED.expires, "
      "reserve_tokens = EXCLUDED.reserve_tokens, reserve_usd = EXCLUDED.reserve_usd "
      "WHERE c.state <> 'done'",
      {id.run_id, id.node, id.visit, id.call, id.request_digest,
       static_cast<double>(timeout.count()) / 1000.0, reserve_tokens, reserve_usd}));
  return {};
}

Result<bool> LlmCallStore::Complete(const LlmCallId& id, const std::string& settlement,
                                    const std::string& model,
                                    const std::shared_ptr<const nlohmann::json>& answer,
                                    const LlmSpending& spent) {
  YBIS_ASSIGN(
      const auto rows,
      tx_.Exec(
          "UPDATE llm_calls SET state = 'done', error = '', "
          "model = CASE WHEN state = 'done' THEN model ELSE $6 END, "
          "answer = CASE WHEN state = 'done' THEN answer ELSE $7::json END, "
          "tokens_in = tokens_in + $8, tokens_out = tokens_out + $9, cost_usd = cost_usd + $10, "
          "paid_calls = paid_calls + $11, reserve_tokens = 0, reserve_usd = 0, ended = now(), settled = $12 "
          "WHERE run_id = $1 AND node = $2 AND visit = $3 AND call = $4 AND request_digest = $5 "
          "AND settled <> $12",
          {id.run_id, id.node, id.visit, id.call, id.request_digest, model, Param::Json(answer),
           spent.tokens_in, spent.tokens_out, spent.cost_usd, spent.calls, settlement}));
  return rows.affected() > 0;
}

Result<bool> LlmCallStore::FailPending(const LlmCallId& id, const std::string& settlement,
                                       const std::string& error, const LlmSpending& spent) {
  YBIS_ASSIGN(const auto rows,
              tx_.Exec("UPDATE llm_calls SET state = CASE WHEN state = 'done' THEN 'done' ELSE 'failed' END, "
                       "error = $6, tokens_in = tokens_in + $7, tokens_out = tokens_out + $8, "
                       "cost_usd = cost_usd + $9, paid_calls = paid_calls + $10, reserve_tokens = 0, "
                       "reserve_usd = 0, ended = now(), settled = $11 "
                       "WHERE run_id = $1 AND node = $2 AND visit = $3 AND call = $4 AND request_digest = $5 "
                       "AND settled <> $11",
                       {id.run_id, id.node, id.visit, id.call, id.request_digest, error, spent.tokens_in,
                        spent.tokens_out, spent.cost_usd, spent.calls, settlement}));
  return rows.affected() > 0;
}

Result<LlmSpending> LlmCallStore::Spending(const std::string& run_id) {
  YBIS_ASSIGN(
      const auto rows,
      tx_.Exec(
          "SELECT coalesce(sum(tokens_in), 0)::bigint, coalesce(sum(tokens_out), 0)::bigint, "
          "coalesce(sum(cost_usd), 0), coalesce(sum(paid_calls), 0)::bigint, "
          "coalesce(sum(reserve_tokens) FILTER (WHERE state = 'pending' AND expires > now()), 0)::bigint, "
          "coalesce(sum(reserve_usd) FILTER (WHERE state = 'pending' AND expires > now()), 0) "
          "FROM llm_calls WHERE run_id = $1",
          {run_id}));
  const Row row = rows[0];
  return LlmSpending{row.Int(0), row.Int(1), row.Double(2), row.Int(3), row.Int(4), row.Double(5)};
}

}  // namespace ybis::store
