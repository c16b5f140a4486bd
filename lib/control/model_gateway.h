#pragma once
// The one way to a model: idempotent, budgeted, recorded before it is answered.
#include <chrono>
#include <optional>
#include <stop_token>
#include <string>

#include "api/run_api.h"
#include "base/clock.h"
#include "control/config.h"
#include "control/llm_calls.h"
#include "control/run_ledger.h"
#include "model/model_set.h"

namespace ybis::control {

/// What the gateway needs of the record of calls; LlmCalls over Postgres, a fake in tests. See LlmCalls for
/// the meaning.
class CallRecords {
 public:
  virtual ~CallRecords() = default;
  virtual Result<LlmCallStart> Begin(const std::string& run_id, int64_t epoch, const LlmCallKey& key,
                                     const LlmBudget& budget, std::chrono::milliseconds timeout,
                                     std::stop_token stop) = 0;
  virtual Status Extend(const std::string& run_id, int64_t epoch, const LlmCallKey& key,
                        const LlmSettlement& settlement, const LlmBudget& budget,
                        std::chrono::milliseconds timeout, std::stop_token stop) = 0;
  virtual Result<api::ModelResponse> Complete(const std::string& run_id, const LlmCallKey& key,
                                              const LlmSettlement& settlement,
                                              const api::ModelResponse& response, std::stop_token stop) = 0;
  virtual Status FailCall(const std::string& run_id, const LlmCallKey& key, const LlmSettlement& settlement,
                          const std::string& error, std::stop_token stop) = 0;
  virtual Result<api::Usage> RunUsage(const std::string& run_id, std::stop_token stop) = 0;
  virtual Status Renew(const std::string& run_id, const LlmCallKey& key, int64_t turn,
                       std::chrono::milliseconds timeout, std::stop_token stop) = 0;
};

/// What a run's task says about models: spec.model and spec.limits.
struct RunModelTerms {
  api::ModelSpec model;
  int64_t max_tokens = 0;   ///< 0 = the operator's
  double max_cost_usd = 0;  ///< 0 = the operator's
  std::string trace_id;     ///< sent along to the endpoint; empty = none
};

/// Finds the terms of a run.
class RunTerms {
 public:
  virtual ~RunTerms() = default;
  virtual Result<RunModelTerms> ModelTerms(const std::string& run_id, std::stop_token stop) = 0;
};

/// Answers a run's model requests; what the Run API needs.
class ModelCalls {
 public:
  virtual ~ModelCalls() = default;
  virtual Result<api::ModelResponse> Call(const std::string& run_id, const api::ModelRequest& request,
                                          std::stop_token stop) = 0;
};

struct GatewaySettings {
  std::string default_model;
  int64_t max_tokens_per_run = 2'000'000;
  double max_cost_usd_per_run = 20;
  int max_reasks = 2;  ///< answers that do not fit go back this often
  /// After a crash another process takes a call over when this is past; renewed while the call is under way.
  std::chrono::milliseconds call_lease{60'000};
  /// Of one call with all its retries, re-asks and fallbacks: less than the runner waits for its answer.
  std::chrono::milliseconds call_timeout{570'000};
  /// How long the end of a call is told to a record that cannot be reached; 10 s once we are to stop.
  std::chrono::milliseconds settle_patience{300'000};
};

/// Thread-safe; the references must outlive it.
///
/// A call is begun in the record before the model is asked, and its answer is recorded before it is given
/// out: the same request again, at the same time or after a crash, gets the recorded answer. A record that is
/// away is waited for. The one window in which a call can be paid twice: this process dies, or the record
/// stays away for longer than it is waited for, after the model has answered and before that is committed.
///
/// Errors: kStale (epoch), kExhausted and not retryable (the run's budget), kUnavailable and retryable (no
/// model could be reached within the bounded retries), kUnavailable and not retryable (every model refuses
/// us: key or name is wrong), kNotFound (no such model is configured), kUnsupported (the endpoint refuses the
/// request as it stands), kInvalid (the model refused it, or its answers did not fit the schema), kCancelled.
class ModelGateway final : public ModelCalls {
 public:
  ModelGateway(const model::ModelSet& models, CallRecords& records, RunTerms& terms, Clock& clock,
               model::ModelObserver& observer, GatewaySettings settings);

  Result<api::ModelResponse> Call(const std::string& run_id, const api::ModelRequest& request,
                                  std::stop_token stop) override;

 private:
  struct Job;
  class CallLease;
  Result<Job> Prepare(const std::string& run_id, const api::ModelRequest& request, std::stop_token stop);
  model::CompletionRequest RequestFor(const Job& job, const model::Model& model) const;
  Status FitBudget(const Job& job, const model::Model& model, const api::Usage& used,
                   model::CompletionRequest& request) const;
  Result<LlmCallStart> BeginOrWait(Job& job, std::stop_token stop);
  Result<api::ModelResponse> Ask(Job& job, std::stop_token stop);
  Result<api::ModelResponse> AskModel(Job& job, model::Model& model, std::stop_token stop);
  Status Prepay(Job& job, const model::Model& model, model::CompletionRequest& request, std::stop_token stop);
  Status Reserve(Job& job, const model::Model& model, const model::CompletionRequest& request,
                 std::stop_token stop);
  void Charge(Job& job, const model::Model& model, int64_t tokens_in, int64_t tokens_out);
  Result<model::Completion> Exchange(Job& job, model::Model& model, const model::CompletionRequest& request,
                                     std::stop_token stop);
  Result<api::ModelResponse> Settle(const Job& job, Result<api::ModelResponse> outcome,
                                    const std::stop_token& stop);

  const model::ModelSet& models_;
  CallRecords& records_;
  RunTerms& terms_;
  Clock& clock_;
  model::ModelObserver& observer_;
  GatewaySettings settings_;
};

/// CallRecords over Postgres.
class StoredCallRecords final : public CallRecords {
 public:
  explicit StoredCallRecords(LlmCalls& calls) : calls_(calls) {}
  Result<LlmCallStart> Begin(const std::string& run_id, int64_t epoch, const LlmCallKey& key,
                             const LlmBudget& budget, std::chrono::milliseconds timeout,
                             std::stop_token stop) override;
  Status Extend(const std::string& run_id, int64_t epoch, const LlmCallKey& key,
                const LlmSettlement& settlement, const LlmBudget& budget, std::chrono::milliseconds timeout,
                std::stop_token stop) override;
  Result<api::ModelResponse> Complete(const std::string& run_id, const LlmCallKey& key,
                                      const LlmSettlement& settlement, const api::ModelResponse& response,
                                      std::stop_token stop) override;
  Status FailCall(const std::string& run_id, const LlmCallKey& key, const LlmSettlement& settlement,
                  const std::string& error, std::stop_token stop) override;
  Result<api::Usage> RunUsage(const std::string& run_id, std::stop_token stop) override;
  Status Renew(const std::string& run_id, const LlmCallKey& key, int64_t turn,
               std::chrono::milliseconds timeout, std::stop_token stop) override;

 private:
  LlmCalls& calls_;
};

/// RunTerms over Postgres: the spec that the run was ordered with.
class StoredRunTerms final : public RunTerms {
 public:
  explicit StoredRunTerms(RunLedger& ledger) : ledger_(ledger) {}
  Result<RunModelTerms> ModelTerms(const std::string& run_id, std::stop_token stop) override;

 private:
  RunLedger& ledger_;
};

/// The configuration's models and limits in the gateway's own words.
std::vector<model::ModelSettings> ModelSettingsOf(const Config& config);
GatewaySettings GatewaySettingsOf(const Config& config);

}  // namespace ybis::control
