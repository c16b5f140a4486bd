#pragma once
// Model calls of one visit of a node: numbered, so that a replayed node asks the same questions again and is
// answered from the record.
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "runner/engine/fault.h"
#include "runner/report/run_api.h"

namespace ybis::runner {

/// A prompt filled in: what is asked of the model first.
struct PreparedPrompt {
  std::string name;
  std::string version;
  std::string system;
  std::string user;
};

/// An answer's shape: the name and text of one of configs/schemas.
struct AnswerSchema {
  std::string name;
  std::shared_ptr<const nlohmann::json> schema;
};

/// Not thread-safe; lives for one visit. The API must outlive it.
class ModelCaller {
 public:
  ModelCaller(RunApi& api, int64_t epoch, std::string node, int64_t visit)
      : api_(api), epoch_(epoch), node_(std::move(node)), visit_(visit) {}

  /// Asks, and asks again with what is wrong for as long as `check` objects, at most `max_reasks` times.
  /// `check` returns "" when the answer is good. What still is not is a Fault with `reason`.
  Outcome<nlohmann::json> Ask(const PreparedPrompt& prompt, const AnswerSchema& schema, int max_reasks,
                              const std::string& reason,
                              const std::function<Outcome<std::string>(const nlohmann::json&)>& check,
                              std::stop_token stop);

  /// Tokens, cost and calls of this visit.
  const api::Usage& usage() const { return usage_; }
  /// Whether some answer came from the record.
  bool replayed() const { return replayed_; }
  const std::string& model() const { return model_; }

 private:
  Outcome<api::ModelResponse> Call(const PreparedPrompt& prompt, const AnswerSchema& schema,
                                   const std::vector<api::ModelMessage>& messages, std::stop_token stop);

  RunApi& api_;
  int64_t epoch_;
  std::string node_;
  int64_t visit_;
  int64_t calls_ = 0;
  api::Usage usage_;
  bool replayed_ = false;
  std::string model_;
};

}  // namespace ybis::runner
