#include "control/llm_calls.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "control/run_state_rows.h"
#include "store/llm_call_store.h"

namespace ybis::control {
namespace {

using store::InDoubt;
using store::LlmCallStore;
using store::Transaction;

store::LlmCallId IdOf(const std::string& run_id, const LlmCallKey& key) {
  return {run_id, key.node, key.visit, key.call, key.request_digest};
}

store::LlmSpending SpentOf(const LlmSettlement& settlement) {
  const api::Usage& spent = settlement.spent;
  return {spent.tokens_in, spent.tokens_out,           spent.cost_usd,
          spent.llm_calls, settlement.reserved_tokens, settlement.reserved_usd};
}

Status CheckBudget(const std::string& run_id, const LlmBudget& budget, const store::LlmSpending& spent) {
  const int64_t tokens = spent.tokens_in + spent.tokens_out + spent.reserved_tokens;
  if (budget.max_tokens > 0 && tokens + budget.reserve_tokens > budget.max_tokens) {
    return Fail(
        Error{ErrorCode::kExhausted,
              fmt::format("run {}: its budget of {} tokens does not allow another call: {} are used or "
                          "reserved, the call may take {}",
                          run_id, budget.max_tokens, tokens, budget.reserve_tokens)});
  }
  const double usd = spent.cost_usd + spent.reserved_usd;
  if (budget.max_cost_usd > 0 && usd + budget.reserve_cost_usd > budget.max_cost_usd) {
    return Fail(
        Error{ErrorCode::kExhausted,
              fmt::format("run {}: its budget of {:.4f} USD does not allow another call: {:.4f} are used or "
                          "reserved, the call may cost {:.4f}",
                          run_id, budget.max_cost_usd, usd, budget.reserve_cost_usd)});
  }
  return {};
}

Result<api::ModelResponse> ReadRecorded(const store::LlmCallRow& row) {
  if (!row.answer) return Fail(ErrorCode::kInternal, "a model call is done without an answer");
  YBIS_ASSIGN(auto response, api::ParseModelResponse(*row.answer));
  response.replayed = true;
  return response;
}

Result<LlmCallStart> BeginIn(Transaction& tx, const store::LlmCallId& id, int64_t epoch,
                             const LlmBudget& budget, std::chrono::milliseconds timeout) {
  LlmCallStore calls(tx);
  YBIS_ASSIGN(const bool held, calls.LockLease(id.run_id, epoch));
  if (!held) {
    return Fail(ErrorCode::kStale, "run " + id.run_id + " is not leased under this epoch any more: stop");
  }
  YBIS_ASSIGN(const auto row, calls.Find(id));
  if (row && row->state == "done") {
    YBIS_ASSIGN(auto recorded, ReadRecorded(*row));
    return LlmCallStart{LlmCallState::kDone, std::move(recorded), {}, 0};
  }
  if (row && row->state == "pending" && row->remaining.count() > 0) {
    return LlmCallStart{
        LlmCallState::kInProgress, {}, std::min(row->remaining, std::chrono::milliseconds(1000)), 0};
  }
  YBIS_ASSIGN(const auto spent, calls.Spending(id.run_id));
  YBIS_TRY(CheckBudget(id.run_id, budget, spent));
  YBIS_ASSIGN(const auto turn, calls.Begin(id, timeout, budget.reserve_tokens, budget.reserve_cost_usd));
  // An answer may come without the lease's lock, from a caller that had been given up.
  if (!turn) return Fail(ErrorCode::kUnavailable, "the model call was answered just now; ask again");
  return LlmCallStart{LlmCallState::kNew, {}, {}, *turn};
}

Status ExtendIn(Transaction& tx, const store::LlmCallId& id, int64_t epoch, const LlmSettlement& settlement,
                const LlmBudget& budget, std::chrono::milliseconds timeout) {
  LlmCallStore calls(tx);
  YBIS_ASSIGN(const bool held, calls.LockLease(id.run_id, epoch));
  if (!held) {
    return Fail(ErrorCode::kStale, "run " + id.run_id + " is not leased under this epoch any more: stop");
  }
  YBIS_ASSIGN(const bool ours,
              calls.Extend(id, settlement.turn, settlement.id, SpentOf(settlement), timeout));
  if (!ours) return Fail(ErrorCode::kUnavailable, "another caller has taken this model call over; ask again");
  YBIS_ASSIGN(const auto spent, calls.Spending(id.run_id));
  YBIS_TRY(CheckBudget(id.run_id, budget, spent));
  return calls.Reserve(id, budget.reserve_tokens, budget.reserve_cost_usd);
}

}  // namespace

Result<LlmCallStart> LlmCalls::Begin(const std::string& run_id, int64_t epoch, const LlmCallKey& key,
                                     const LlmBudget& budget, std::chrono::milliseconds timeout,
                                     std::stop_token stop) {
  const store::LlmCallId id = IdOf(run_id, key);
  const auto work = [&](Transaction& tx) { return BeginIn(tx, id, epoch, budget, timeout); };
  return pool_.Transact(work, stop);
}

Status LlmCalls::Extend(const std::string& run_id, int64_t epoch, const LlmCallKey& key,
                        const LlmSettlement& settlement, const LlmBudget& budget,
                        std::chrono::milliseconds timeout, std::stop_token stop) {
  const store::LlmCallId id = IdOf(run_id, key);
  const auto work = [&](Transaction& tx) { return ExtendIn(tx, id, epoch, settlement, budget, timeout); };
  return pool_.Transact(work, stop, InDoubt::kRepeat);
}

Status LlmCalls::Renew(const std::string& run_id, const LlmCallKey& key, int64_t turn,
                       std::chrono::milliseconds timeout, std::stop_token stop) {
  const store::LlmCallId id = IdOf(run_id, key);
  const auto work = [&](Transaction& tx) { return LlmCallStore(tx).Renew(id, turn, timeout); };
  return pool_.Single(work, stop, InDoubt::kRepeat);
}

Result<api::ModelResponse> LlmCalls::Complete(const std::string& run_id, const LlmCallKey& key,
                                              const LlmSettlement& settlement,
                                              const api::ModelResponse& response, std::stop_token stop) {
  const store::LlmCallId id = IdOf(run_id, key);
  const auto answer = std::make_shared<const nlohmann::json>(api::ToJson(response));
  const auto work = [&](Transaction& tx) -> Result<api::ModelResponse> {
    LlmCallStore calls(tx);
    YBIS_ASSIGN(const auto before, calls.Find(id));
    if (!before) return Fail(ErrorCode::kNotFound, "the model call was never begun");
    YBIS_TRY(calls.Complete(id, settlement.turn, settlement.id, Cleaned(response.model, 1024), answer,
                            SpentOf(settlement)));
    if (before->state != "done") return response;
    return ReadRecorded(*before);
  };
  return pool_.Transact(work, stop, InDoubt::kRepeat);
}

Status LlmCalls::FailCall(const std::string& run_id, const LlmCallKey& key, const LlmSettlement& settlement,
                          const std::string& error, std::stop_token stop) {
  const store::LlmCallId id = IdOf(run_id, key);
  const auto work = [&](Transaction& tx) {
    return LlmCallStore(tx).FailPending(id, settlement.turn, settlement.id, Cleaned(error, 4096),
                                        SpentOf(settlement));
  };
  return pool_.Single(work, stop, InDoubt::kRepeat);
}

Result<api::Usage> LlmCalls::RunUsage(const std::string& run_id, std::stop_token stop) {
  YBIS_ASSIGN(const auto spent,
              pool_.Single([&](Transaction& tx) { return LlmCallStore(tx).Spending(run_id); }, stop,
                           InDoubt::kRepeat));
  return api::Usage{spent.tokens_in, spent.tokens_out, spent.cost_usd, spent.calls};
}

}  // namespace ybis::control
