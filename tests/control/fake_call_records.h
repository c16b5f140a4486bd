#pragma once
// The record of model calls in memory, with the rules of LlmCalls.
#include <map>
#include <set>
#include <tuple>

#include "base/sync.h"
#include "control/model_gateway.h"

namespace ybis::testing {

class FakeCallRecords final : public control::CallRecords {
 public:
  using Key = std::tuple<std::string, std::string, int64_t, int64_t, std::string>;
  struct Row {
    std::string state;
    api::ModelResponse response;
    std::string error;
    int64_t turn = 0;
    int64_t reserved_tokens = 0;
    double reserved_usd = 0;
  };
  struct State {
    std::map<Key, Row> rows;
    api::Usage usage;
    std::set<std::string> settled;  ///< ids: what is told twice counts once
    int outages = 0;                ///< so many writes of an end are heard, but their caller is not told
    std::vector<control::LlmBudget> budgets;
    std::vector<control::LlmSettlement> settlements;
    int64_t epoch = 1;
    int in_progress_answers = 0;
    int renewals = 0;
  };

  Result<control::LlmCallStart> Begin(const std::string& run_id, int64_t epoch,
                                      const control::LlmCallKey& key, const control::LlmBudget& budget,
                                      std::chrono::milliseconds, std::stop_token) override {
    auto state = state_.Lock();
    if (epoch != state->epoch) return Fail(ErrorCode::kStale, "stale epoch");
    state->budgets.push_back(budget);
    Row& row = state->rows[KeyOf(run_id, key)];
    if (row.state == "done") {
      api::ModelResponse recorded = row.response;
      recorded.replayed = true;
      return control::LlmCallStart{control::LlmCallState::kDone, recorded, {}, 0};
    }
    if (row.state == "pending") {
      ++state->in_progress_answers;
      return control::LlmCallStart{control::LlmCallState::kInProgress, {}, std::chrono::milliseconds(5), 0};
    }
    YBIS_TRY(Reserve(*state, row, budget));
    row.state = "pending";
    return control::LlmCallStart{control::LlmCallState::kNew, {}, {}, ++row.turn};
  }
  Status Extend(const std::string& run_id, int64_t epoch, const control::LlmCallKey& key,
                const control::LlmSettlement& settlement, const control::LlmBudget& budget,
                std::chrono::milliseconds, std::stop_token) override {
    auto state = state_.Lock();
    if (epoch != state->epoch) return Fail(ErrorCode::kStale, "stale epoch");
    state->budgets.push_back(budget);
    const State before = *state;
    Row& row = state->rows[KeyOf(run_id, key)];
    Settle(*state, settlement);
    const Status reserved = Reserve(*state, row, budget);
    if (!reserved) *state = before;
    return reserved;
  }
  Result<api::ModelResponse> Complete(const std::string& run_id, const control::LlmCallKey& key,
                                      const control::LlmSettlement& settlement,
                                      const api::ModelResponse& response, std::stop_token) override {
    auto state = state_.Lock();
    Row& row = state->rows[KeyOf(run_id, key)];
    Settle(*state, settlement);
    row.state = "done";
    row.reserved_tokens = 0;
    row.reserved_usd = 0;
    row.response = response;
    YBIS_TRY(Outage(*state));
    return response;
  }
  Status FailCall(const std::string& run_id, const control::LlmCallKey& key,
                  const control::LlmSettlement& settlement, const std::string& error,
                  std::stop_token) override {
    auto state = state_.Lock();
    Row& row = state->rows[KeyOf(run_id, key)];
    Settle(*state, settlement);
    if (row.turn == settlement.turn) {
      row.state = "failed";
      row.reserved_tokens = 0;
      row.reserved_usd = 0;
      row.error = error;
    }
    return Outage(*state);
  }
  Result<api::Usage> RunUsage(const std::string&, std::stop_token) override { return state_.Lock()->usage; }
  Status Renew(const std::string&, const control::LlmCallKey&, int64_t, std::chrono::milliseconds,
               std::stop_token) override {
    ++state_.Lock()->renewals;
    return {};
  }

  Sync<State>::Locked Lock() { return state_.Lock(); }

 private:
  static Key KeyOf(const std::string& run_id, const control::LlmCallKey& key) {
    return {run_id, key.node, key.visit, key.call, key.request_digest};
  }
  /// As LlmCalls does: what is used and what calls under way may take, this row's earlier claim aside.
  static Status Reserve(State& state, Row& row, const control::LlmBudget& budget) {
    row.reserved_tokens = 0;
    row.reserved_usd = 0;
    int64_t tokens = state.usage.tokens_in + state.usage.tokens_out + budget.reserve_tokens;
    double usd = state.usage.cost_usd + budget.reserve_cost_usd;
    for (const auto& [key, other] : state.rows) {
      tokens += other.reserved_tokens;
      usd += other.reserved_usd;
    }
    if ((budget.max_tokens > 0 && tokens > budget.max_tokens) ||
        (budget.max_cost_usd > 0 && usd > budget.max_cost_usd)) {
      return Fail(Error{ErrorCode::kExhausted, "no room", false, {}});
    }
    row.reserved_tokens = budget.reserve_tokens;
    row.reserved_usd = budget.reserve_cost_usd;
    return {};
  }
  static void Settle(State& state, const control::LlmSettlement& settlement) {
    state.settlements.push_back(settlement);
    if (state.settled.insert(settlement.id).second) Add(state.usage, settlement.spent);
  }
  static Status Outage(State& state) {
    if (state.outages <= 0) return {};
    --state.outages;
    return Fail(ErrorCode::kUnavailable, "the record is away");
  }
  static void Add(api::Usage& to, const api::Usage& what) {
    to.tokens_in += what.tokens_in;
    to.tokens_out += what.tokens_out;
    to.cost_usd += what.cost_usd;
    to.llm_calls += what.llm_calls;
  }
  Sync<State> state_;
};

class FakeRunTerms final : public control::RunTerms {
 public:
  Result<control::RunModelTerms> ModelTerms(const std::string&, std::stop_token) override { return terms; }
  control::RunModelTerms terms;
};

}  // namespace ybis::testing
