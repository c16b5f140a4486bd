#include "store/llm_call_store.h"

namespace ybis::store {
namespace {

const std::string kOfCall =
    "WHERE run_id = $1 AND node = $2 AND visit = $3 AND call = $4 AND request_digest = $5 ";

/// A settlement that is told twice, since nobody knew whether the first telling had been heard, adds once.
const std::string kAddSpent =
    "tokens_in = CASE WHEN settled = $6 THEN tokens_in ELSE tokens_in + $7 END, "
    "tokens_out = CASE WHEN settled = $6 THEN tokens_out ELSE tokens_out + $8 END, "
    "cost_usd = CASE WHEN settled = $6 THEN cost_usd ELSE cost_usd + $9 END, "
    "paid_calls = CASE WHEN settled = $6 THEN paid_calls ELSE paid_calls + $10 END, settled = $6 ";

/// `update` of a call that adds what was spent, and the same for the metrics of a run that has ended
/// meanwhile.
std::string WithMetrics(const std::string& update) {
  return "WITH before AS (SELECT settled FROM llm_calls " + kOfCall + "), c AS (" + update +
         ") UPDATE metrics m SET tokens_in = m.tokens_in + $7, tokens_out = m.tokens_out + $8, "
         "cost_usd = m.cost_usd + $9, llm_calls = m.llm_calls + $10 "
         "FROM before WHERE m.run_id = $1 AND before.settled <> $6";
}

double SecondsOf(std::chrono::milliseconds time) { return static_cast<double>(time.count()) / 1000.0; }

}  // namespace

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

Result<std::optional<int64_t>> LlmCallStore::Begin(const LlmCallId& id, std::chrono::milliseconds timeout,
                                                   int64_t reserve_tokens, double reserve_usd) {
  YBIS_ASSIGN(
      const auto rows,
      tx_.Exec(
          "INSERT INTO llm_calls AS c (run_id, node, visit, call, request_digest, state, tries, expires, "
          "reserve_tokens, reserve_usd) "
          "VALUES ($1, $2, $3, $4, $5, 'pending', 1, now() + make_interval(secs => $6), $7, $8) "
          "ON CONFLICT (run_id, node, visit, call, request_digest) DO UPDATE SET state = 'pending', "
          "tries = c.tries + 1, begun = now(), ended = NULL, expires = EXCLUDED.expires, "
          "reserve_tokens = EXCLUDED.reserve_tokens, reserve_usd = EXCLUDED.reserve_usd "
          "WHERE c.state <> 'done' RETURNING tries",
          {id.run_id, id.node, id.visit, id.call, id.request_digest, SecondsOf(timeout), reserve_tokens,
           reserve_usd}));
  if (rows.empty()) return std::nullopt;
  return rows[0].Int(0);
}

Result<bool> LlmCallStore::Extend(const LlmCallId& id, int64_t turn, const std::string& settlement,
                                  const LlmSpending& spent, std::chrono::milliseconds timeout) {
  YBIS_ASSIGN(const auto rows,
              tx_.Exec("UPDATE llm_calls SET reserve_tokens = 0, reserve_usd = 0, "
                       "expires = now() + make_interval(secs => $12), " +
                           kAddSpent + kOfCall + "AND state = 'pending' AND tries = $11",
                       {id.run_id, id.node, id.visit, id.call, id.request_digest, settlement, spent.tokens_in,
                        spent.tokens_out, spent.cost_usd, spent.calls, turn, SecondsOf(timeout)}));
  return rows.affected() > 0;
}

Status LlmCallStore::Reserve(const LlmCallId& id, int64_t reserve_tokens, double reserve_usd) {
  YBIS_TRY(tx_.Exec("UPDATE llm_calls SET reserve_tokens = $6, reserve_usd = $7 " + kOfCall,
                    {id.run_id, id.node, id.visit, id.call, id.request_digest, reserve_tokens, reserve_usd}));
  return {};
}

Status LlmCallStore::Renew(const LlmCallId& id, int64_t turn, std::chrono::milliseconds timeout) {
  YBIS_TRY(tx_.Exec("UPDATE llm_calls SET expires = now() + make_interval(secs => $7) " + kOfCall +
                        "AND state = 'pending' AND tries = $6",
                    {id.run_id, id.node, id.visit, id.call, id.request_digest, turn, SecondsOf(timeout)}));
  return {};
}

Status LlmCallStore::Complete(const LlmCallId& id, const std::string& settlement, const std::string& model,
                              const std::shared_ptr<const nlohmann::json>& answer, const LlmSpending& spent) {
  static const std::string sql = WithMetrics(
      "UPDATE llm_calls SET state = 'done', error = '', "
      "model = CASE WHEN state = 'done' THEN model ELSE $11 END, "
      "answer = CASE WHEN state = 'done' THEN answer ELSE $12::json END, "
      "reserve_tokens = 0, reserve_usd = 0, ended = now(), " +
      kAddSpent + kOfCall);
  YBIS_TRY(
      tx_.Exec(sql, {id.run_id, id.node, id.visit, id.call, id.request_digest, settlement, spent.tokens_in,
                     spent.tokens_out, spent.cost_usd, spent.calls, model, Param::Json(answer)}));
  return {};
}

Status LlmCallStore::FailPending(const LlmCallId& id, int64_t turn, const std::string& settlement,
                                 const std::string& error, const LlmSpending& spent) {
  static const std::string ours = "CASE WHEN state = 'pending' AND tries = $11 THEN ";
  static const std::string sql =
      WithMetrics("UPDATE llm_calls SET state = " + ours + "'failed' ELSE state END, " + "error = " + ours +
                  "$12 ELSE error END, " +                                      //
                  "reserve_tokens = " + ours + "0 ELSE reserve_tokens END, " +  //
                  "reserve_usd = " + ours + "0 ELSE reserve_usd END, " +        //
                  "ended = " + ours + "now() ELSE ended END, " + kAddSpent + kOfCall);
  YBIS_TRY(tx_.Exec(sql, {id.run_id, id.node, id.visit, id.call, id.request_digest, settlement,
                          spent.tokens_in, spent.tokens_out, spent.cost_usd, spent.calls, turn, error}));
  return {};
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
