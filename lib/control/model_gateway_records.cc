// The gateway's interfaces over Postgres.
#include "control/model_gateway.h"

namespace ybis::control {

Result<LlmCallStart> StoredCallRecords::Begin(const std::string& run_id, int64_t epoch, const LlmCallKey& key,
                                              const LlmBudget& budget, std::chrono::milliseconds timeout,
                                              std::stop_token stop) {
  return calls_.Begin(run_id, epoch, key, budget, timeout, stop);
}

Status StoredCallRecords::Extend(const std::string& run_id, int64_t epoch, const LlmCallKey& key,
                                 const LlmSettlement& settlement, const LlmBudget& budget,
                                 std::chrono::milliseconds timeout, std::stop_token stop) {
  return calls_.Extend(run_id, epoch, key, settlement, budget, timeout, stop);
}

Result<api::ModelResponse> StoredCallRecords::Complete(const std::string& run_id, const LlmCallKey& key,
                                                       const LlmSettlement& settlement,
                                                       const api::ModelResponse& response,
                                                       std::stop_token stop) {
  return calls_.Complete(run_id, key, settlement, response, stop);
}

Status StoredCallRecords::FailCall(const std::string& run_id, const LlmCallKey& key,
                                   const LlmSettlement& settlement, const std::string& error,
                                   std::stop_token stop) {
  return calls_.FailCall(run_id, key, settlement, error, stop);
}

Result<api::Usage> StoredCallRecords::RunUsage(const std::string& run_id, std::stop_token stop) {
  return calls_.RunUsage(run_id, stop);
}

Status StoredCallRecords::Renew(const std::string& run_id, const LlmCallKey& key, int64_t turn,
                                std::chrono::milliseconds timeout, std::stop_token stop) {
  return calls_.Renew(run_id, key, turn, timeout, stop);
}

Result<RunModelTerms> StoredRunTerms::ModelTerms(const std::string& run_id, std::stop_token stop) {
  YBIS_ASSIGN(const api::TaskSpec spec, ledger_.RunSpec(run_id, stop));
  YBIS_ASSIGN(std::string trace_id, ledger_.RunTrace(run_id, stop));
  return RunModelTerms{spec.model, spec.limits.max_tokens, spec.limits.max_cost_usd, std::move(trace_id)};
}

}  // namespace ybis::control
