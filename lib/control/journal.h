#pragma once
// Reading the journal: what happened to a run, in order.
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <stop_token>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "store/database.h"

namespace ybis::control {

struct JournalEntry {
  int64_t id = 0;  ///< grows with time
  std::string run_id;
  std::string trace_id;  ///< the run's, 32 hexadecimal digits
  std::string type;
  std::string message;
  std::shared_ptr<const nlohmann::json> fields;  ///< or null
  TimePoint time;
};

/// The name under which a run's journal stands among its artifacts.
inline constexpr std::string_view kEventsArtifact = "events.jsonl";

/// The most that is put together at once.
inline constexpr size_t kMaxLines = 32 * 1024 * 1024;

/// Over Postgres. Thread-safe.
class Journal {
 public:
  explicit Journal(store::Pool& pool) : pool_(pool) {}
  /// Entries of a run with an id above `after`, oldest first, at most `limit`.
  Result<std::vector<JournalEntry>> Read(const std::string& run_id, int64_t after, int64_t limit,
                                         std::stop_token stop);
  /// All of them as lines of JSON; kTooLarge past kMaxLines.
  Result<std::string> Lines(const std::string& run_id, std::stop_token stop);

 private:
  store::Pool& pool_;
};

}  // namespace ybis::control
