#pragma once
// One model endpoint behind a small interface: chat messages in, one answer out.
#include <chrono>
#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "api/run_api.h"
#include "base/result.h"

namespace ybis::model {

/// What is asked of a model. The provider adds what is its own (its name for the model, its key).
struct CompletionRequest {
  std::string group;     ///< the run; sent along as a header, and what recordings count their occurrences by
  std::string trace_id;  ///< the run's, for the header `traceparent`; empty = none is sent
  std::vector<api::ModelMessage> messages;
  std::string schema_name;                       ///< empty: free text
  std::shared_ptr<const nlohmann::json> schema;  ///< JSON Schema of the answer, or null
  std::optional<double> temperature;
  int64_t max_output_tokens = 0;               ///< 0 = the endpoint's own default
  std::chrono::milliseconds timeout{300'000};  ///< of one attempt
};

enum class FinishReason { kStop, kLength, kContentFilter, kOther };

struct Completion {
  std::string content;
  std::string model;  ///< as the endpoint names it
  int64_t tokens_in = 0;
  int64_t tokens_out = 0;
  FinishReason finish = FinishReason::kStop;
};

/// Asks one endpoint once. Errors: kUnavailable (connection, 5xx), kExhausted (429, with retry_after),
/// kTimeout (retryable all); kDenied (401, 403), kNotFound (no such model), kUnsupported (the endpoint
/// refuses the request as it stands: nothing was paid), kInvalid (an answer that is not of the protocol),
/// kTooLarge (an answer larger than is taken), kCancelled. No message holds the key. Implementations are
/// thread-safe.
class Provider {
 public:
  virtual ~Provider() = default;
  virtual Result<Completion> Complete(const CompletionRequest& request, std::stop_token stop) = 0;
};

/// Told what happened to each attempt; for metrics. Implementations are quick and thread-safe.
class ModelObserver {
 public:
  virtual ~ModelObserver() = default;
  /// One attempt at one endpoint. `outcome` is "ok" or the error code's name.
  virtual void OnAttempt(std::string_view model, std::string_view outcome,
                         std::chrono::milliseconds took) = 0;
  virtual void OnRetry(std::string_view model) = 0;
  virtual void OnFallback(std::string_view from, std::string_view to) = 0;
  virtual void OnCircuit(std::string_view model, bool open) = 0;
  /// An answer that did not fit its schema and was sent back.
  virtual void OnReask(std::string_view model) = 0;
  virtual void OnUsage(std::string_view model, const api::Usage& usage) = 0;
  /// A call of a run: "answered", "replayed" (from the record), "failed" or "refused" (budget).
  virtual void OnCall(std::string_view model, std::string_view outcome) = 0;
};

}  // namespace ybis::model
