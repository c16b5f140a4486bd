#include "store/llm_call_store.h"

namespace ybis::store {
namespace {

const std::string kOfCall =
    "WHERE run_id = $1 AND node = $2 AND visit = $3 AND call = $4 AND request_digest = $5 ";

/// What a settlement adds: what was spent, in place of what a takeover has charged its turn ($11) with.
const std::string kSpentOut = "$8 - (tries <> $11)::int * $12::bigint ";
const std::string kSpentUsd = "$9 - (tries <> $11)::int * $13::double precision ";
const std::string kSpentCalls = "$10 - (tries <> $11)::int ";

/// A settlement that is told twice, since nobody knew whether the first telling had been heard, adds once.
const std::string kAddSpent =
    "tokens_in = CASE WHEN settled = $6 THEN tokens_in ELSE tokens_in + $7 END, "
    "tokens_out = CASE WHEN settled = $6 THEN tokens_out ELSE tokens_out + " +
    kSpentOut + "END, cost_usd = CASE WHEN settled = $6 THEN cost_usd ELSE cost_usd + " + kSpentUsd +
    "END, paid_calls = CASE WHEN settled = $6 THEN paid_calls ELSE paid_calls + " + kSpentCalls +
    "END, settled = $6 ";

/// `update` of a call that adds what was spent, and the same for the metrics of a run that has ended
/// meanwhile.
std::string WithMetrics(const std::string& update) {
  return "WITH before AS (SELECT settled, tries FROM llm_calls " + kOfCall + "), c AS (" + update +
         ") UPDATE metrics m SET tokens_in = m.tokens_in + $7, tokens_out = m.tokens_out + " + kSpentOut +
         ", cost_usd = m.cost_usd + " + kSpentUsd + ", llm_calls = m.llm_calls + " + kSpentCalls +
         "FROM before WHERE m.run_id = $1 AND before.settled <> $6";
}

/// Whoever makes the call has not been heard of for too long: it was probably paid all the same.
const std::string kLost = "(state = 'pending' AND expires <= now())::int ";

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
          "tokens_out = c.tokens_out + (c.state = 'pending')::int * c.reserve_tokens, "
          "cost_usd = c.cost_usd + (c.state = 'pending')::int * c.reserve_usd, "
          "paid_calls = c.paid_calls + (c.state = 'pending')::int, "
          "reserve_tokens = EXCLUDED.reserve_tokens, reserve_usd = EXCLUDED.reserve_usd "
          "WHERE c.state <> 'done' RETURNING tries",
          {id.run_id, id.node, id.visit, id.call, id.request_digest, SecondsOf(timeout), reserve_tokens,
           reserve_usd}));
  if (rows.empty()) return std::nullopt;
  return rows[0].Int(0);
}

Result<bool> LlmCallStore::Extend(const LlmCallId& id, int64_t turn, const std::string& settlement,
                                  const LlmSpending& spent, std::chrono::milliseconds timeout) {
  YBIS_ASSIGN(const auto rows, tx_.Exec("UPDATE llm_calls SET reserve_tokens = 0, reserve_usd = 0, "
                                        "expires = now() + make_interval(secs => $14), " +
                                            kAddSpent + kOfCall + "AND state = 'pending' AND tries = $11",
                                        {id.run_id, id.node, id.visit, id.call, id.request_digest, settlement,
                                         spent.tokens_in, spent.tokens_out, spent.cost_usd, spent.calls, turn,
                                         spent.reserved_tokens, spent.reserved_usd, SecondsOf(timeout)}));
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

Status LlmCallStore::Complete(const LlmCallId& id, int64_t turn, const std::string& settlement,
                              const std::string& model, const std::shared_ptr<const nlohmann::json>& answer,
                              const LlmSpending& spent) {
  static const std::string sql = WithMetrics(
      "UPDATE llm_calls SET state = 'done', error = '', "
      "model = CASE WHEN state = 'done' THEN model ELSE $14 END, "
      "answer = CASE WHEN state = 'done' THEN answer ELSE $15::json END, "
      "reserve_tokens = 0, reserve_usd = 0, ended = now(), " +
      kAddSpent + kOfCall);
  YBIS_TRY(tx_.Exec(sql, {id.run_id, id.node, id.visit, id.call, id.request_digest, settlement,
                          spent.tokens_in, spent.tokens_out, spent.cost_usd, spent.calls, turn,
                          spent.reserved_tokens, spent.reserved_usd, model, Param::Json(answer)}));
  return {};
}

Status LlmCallStore::FailPending(const LlmCallId& id, int64_t turn, const std::string& settlement,
                                 const std::string& error, const LlmSpending& spent) {
  static const std::string ours = "CASE WHEN state = 'pending' AND tries = $11 THEN ";
  static const std::string sql =
      WithMetrics("UPDATE llm_calls SET state = " + ours + "'failed' ELSE state END, " + "error = " + ours +
                  "$14 ELSE error END, " +                                      //
                  "reserve_tokens = " + ours + "0 ELSE reserve_tokens END, " +  //
                  "reserve_usd = " + ours + "0 ELSE reserve_usd END, " +        //
                  "ended = " + ours + "now() ELSE ended END, " + kAddSpent + kOfCall);
  YBIS_TRY(tx_.Exec(sql, {id.run_id, id.node, id.visit, id.call, id.request_digest, settlement,
                          spent.tokens_in, spent.tokens_out, spent.cost_usd, spent.calls, turn,
                          spent.reserved_tokens, spent.reserved_usd, error}));
  return {};
}

Result<LlmSpending> LlmCallStore::Spending(const std::string& run_id) {
  YBIS_ASSIGN(
      const auto rows,
      tx_.Exec("SELECT coalesce(sum(tokens_in), 0)::bigint, "
               "coalesce(sum(tokens_out + lost * reserve_tokens), 0)::bigint, "
               "coalesce(sum(cost_usd + lost * reserve_usd), 0), "
               "coalesce(sum(paid_calls + lost), 0)::bigint, "
               "coalesce(sum(reserve_tokens) FILTER (WHERE state = 'pending' AND lost = 0), 0)::bigint, "
               "coalesce(sum(reserve_usd) FILTER (WHERE state = 'pending' AND lost = 0), 0) "
               "FROM (SELECT *, " +
                   kLost + "AS lost FROM llm_calls WHERE run_id = $1) c",
               {run_id}));
  const Row row = rows[0];
  return LlmSpending{row.Int(0), row.Int(1), row.Double(2), row.Int(3), row.Int(4), row.Double(5)};
}

}  // namespace ybis::store
