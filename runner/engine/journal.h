#pragma once
// The run's own log: standard error, logs.jsonl and the record's journal.
#include <nlohmann/json_fwd.hpp>
#include <stop_token>
#include <string>

#include "base/clock.h"
#include "runner/engine/run_folder.h"

namespace ybis::runner {

/// Lines of logs.jsonl ({time, level, message, attempt, fields}), capped at 4 MiB. Secrets are masked. Not
/// thread-safe.
class Journal {
 public:
  Journal(RunFolder& folder, RunApi& api, Clock& clock) : folder_(folder), api_(api), clock_(clock) {}

  /// Takes up the lines of earlier attempts.
  Outcome<void> Load(std::stop_token stop);
  void Info(std::string_view message, const nlohmann::json& fields);
  void Error(std::string_view message, const nlohmann::json& fields);
  /// A journal event of the record; `key` makes it one however often it is told.
  Outcome<void> Event(const std::string& key, const std::string& type, const std::string& message,
                      const nlohmann::json& fields, std::stop_token stop);
  /// Uploads logs.jsonl.
  Outcome<void> Flush(std::stop_token stop);

 private:
  void Append(std::string_view level, std::string_view message, const nlohmann::json& fields);

  RunFolder& folder_;
  RunApi& api_;
  Clock& clock_;
  std::string lines_;
};

}  // namespace ybis::runner
