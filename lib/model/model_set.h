#pragma once
// The configured models: each one endpoint with its limits, its retries and its price.
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "http/client.h"
#include "model/provider.h"

namespace ybis::model {

struct ModelSettings {
  std::string name;
  std::string provider = "openai";             ///< openai or replay
  std::string endpoint;                        ///< base URL, e.g. https://models.example.com/v1
  std::string model;                           ///< the endpoint's own name for it; empty = name
  std::string api_key_file;                    ///< read anew for each call; empty = none is sent
  std::string ca_file;                         ///< empty = the system's roots
  std::string replay_dir;                      ///< provider replay
  std::string record_dir;                      ///< when set, every exchange is written there
  std::chrono::milliseconds timeout{300'000};  ///< of one attempt
  int64_t max_attempts = 5;
  int64_t max_output_tokens = 8192;
  std::string max_tokens_parameter = "max_tokens";  ///< see ChatDialect
  std::string response_format = "json_schema";      ///< see ChatDialect
  int64_t max_concurrent = 8;
  int64_t requests_per_minute = 0;  ///< 0 = no limit
  double input_usd_per_million_tokens = 0;
  double output_usd_per_million_tokens = 0;
  std::chrono::milliseconds first_backoff{1'000};
  std::chrono::milliseconds max_backoff{60'000};
  int64_t circuit_failures = 5;  ///< in a row, until the endpoint is left alone
  std::chrono::milliseconds circuit_pause{30'000};
};

/// Told of each attempt that may have been paid for without an answer; `again`: another is about to be made,
/// which an error prevents.
using Unanswered = std::function<Status(bool again)>;

/// One model: waits for its rate limit, asks its provider, retries what may pass. Thread-safe.
class Model final : public Provider {
 public:
  Model(ModelSettings settings, std::unique_ptr<Provider> provider, Clock& clock, ModelObserver& observer);
  ~Model() override;

  const ModelSettings& settings() const { return settings_; }
  /// Asks, with retries. `deadline` bounds it all: kTimeout when no further attempt fits.
  Result<Completion> CompleteBy(const CompletionRequest& request, TimePoint deadline, std::stop_token stop,
                                const Unanswered& unanswered = {});
  /// Within an hour.
  Result<Completion> Complete(const CompletionRequest& request, std::stop_token stop) override;
  double CostUsd(int64_t tokens_in, int64_t tokens_out) const;

 private:
  struct State;
  Result<Completion> Attempt(const CompletionRequest& request, TimePoint deadline, std::stop_token stop,
                             bool& asked);

  ModelSettings settings_;
  std::unique_ptr<Provider> provider_;
  Clock& clock_;
  ModelObserver& observer_;
  std::unique_ptr<State> state_;
};

/// All models by name. Thread-safe.
class ModelSet {
 public:
  /// Makes the providers: reads recordings, checks URLs. Errors name the model and what is wrong.
  static Result<std::unique_ptr<ModelSet>> Make(const std::vector<ModelSettings>& settings, Clock& clock,
                                                ModelObserver& observer);
  /// Of models that are there already; for tests.
  explicit ModelSet(std::vector<std::unique_ptr<Model>> models);
  /// Null when there is none of that name.
  Model* Find(const std::string& name) const;

 private:
  std::vector<std::unique_ptr<http::Client>> clients_;
  std::map<std::string, std::unique_ptr<Model>> models_;
};

/// An observer that does nothing.
ModelObserver& NoObserver();

}  // namespace ybis::model
