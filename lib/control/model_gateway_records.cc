// The gateway's interfaces over Postgres.
#include "control/model_gateway.h"

namespace ybis::control {

Result<LlmCallStart> StoredCallRecords::Begin(const std::string& run_id, int64_t epoch, const LlmCallKey& key,
                                              const LlmBudget& budget, std::chrono::milliseconds timeout,
                                              std::stop_token stop) {
  return calls_.Begin(run_id, epoch, key, budget, timeout, stop);
}

Result<api::ModelResponse> StoredCallRecords::Complete(const std::string& run_id, const LlmCallKey& key,
                                                       const api::ModelResponse& response,
                                                       std::stop_token stop) {
  return calls_.Complete(run_id, key, response, stop);
}

Status StoredCallRecords::FailCall(const std::string& run_id, const LlmCallKey& key, const api::Usage& spent,
                                   const std::string& error, std::stop_token stop) {
  return calls_.FailCall(run_id, key, spent, error, stop);
}

Result<api::Usage> StoredCallRecords::RunUsage(const std::string& run_id, std::stop_token stop) {
  return calls_.RunUsage(run_id, stop);
}

Status StoredCallRecords::Renew(const std::string& run_id, const LlmCallKey& key,
                                std::chrono::milliseconds timeout, std::stop_token stop) {
  YBIS_TRY(
      pool_.Execute("UPDATE llm_calls SET expires = now() + make_interval(secs => $6) "
                    "WHERE run_id = $1 AND node = $2 AND visit = $3 AND call = $4 AND request_digest = $5 "
                    "AND state = 'pending'",
                    {run_id, key.node, key.visit, key.call, key.request_digest,
                     static_cast<double>(timeout.count()) / 1000.0},
                    stop, store::InDoubt::kRepeat));
  return {};
}

Result<RunModelTerms> StoredRunTerms::ModelTerms(const std::string& run_id, std::stop_token stop) {
  YBIS_ASSIGN(const api::TaskSpec spec, ledger_.RunSpec(run_id, stop));
  YBIS_ASSIGN(std::string trace_id, ledger_.RunTrace(run_id, stop));
  return RunModelTerms{spec.model, spec.limits.max_tokens, spec.limits.max_cost_usd, std::move(trace_id)};
}

}  // namespace ybis::control
