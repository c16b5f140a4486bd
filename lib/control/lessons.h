#pragma once
// What a run learned: a repair that turned a failed verification into an approved gate. And reading what all
// runs have taught.
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "api/run_api.h"
#include "store/database.h"
#include "store/learning_store.h"

namespace ybis::control {

/// Whether a node's report can complete a lesson: a gate that approves on a second or later visit. Everything
/// else is recorded without another look.
bool MayTeach(const api::NodeReport& report);

/// The lesson of a verifier's report (state.verifier) that failed and the gate that approved in the end; none
/// when no check had failed. Pure.
std::optional<store::LessonRow> LessonOf(const nlohmann::json& verifier, const api::NodeReport& gate);

/// Inside the transaction that records the gate.
Status RecordLesson(store::Transaction& transaction, const std::string& run_id, const api::NodeReport& gate);

/// Read only. Thread-safe.
class LearningCatalog {
 public:
  explicit LearningCatalog(store::Pool& pool) : pool_(pool) {}

  /// Kinds of failures, those seen last first.
  Result<std::vector<store::ErrorPatternRow>> Patterns(int64_t limit, std::stop_token stop);
  /// By the beginning of its fingerprint, with or without "sha256:". kNotFound, or kInvalid when two fit.
  Result<store::ErrorPatternRow> Pattern(const std::string& reference, std::stop_token stop);
  Result<std::vector<store::ErrorRecordRow>> Records(const std::string& fingerprint, int64_t limit,
                                                     std::stop_token stop);
  /// None while the run is not over.
  Result<std::optional<store::MetricsRow>> Metrics(const std::string& run_id, std::stop_token stop);
  Result<std::vector<store::LessonRow>> Lessons(int64_t limit, std::stop_token stop);

 private:
  store::Pool& pool_;
};

}  // namespace ybis::control
