#pragma once
// Tables error_records, error_patterns, metrics and lessons. Failures and metrics are written by the
// statements that end a node or a run (node_store, run_store); lessons and all reading is here.
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "store/database.h"

namespace ybis::store {

/// A failure as it is recorded, with what makes it the same as others.
struct ErrorRow {
  std::string error_class;
  std::string reason;
  std::string message;
  std::string fingerprint;
  std::string pattern;
};

/// Parts of a WITH that record a failure: `source` is a CTE with run_id and node, `seq` an SQL expression,
/// and the five parameters of ErrorParams begin at `first`. `condition` is on `source`.
std::string RecordErrorPart(std::string_view source, std::string_view seq, std::string_view condition,
                            int first);
void AddErrorParams(const ErrorRow& row, Params& params);

struct ErrorPatternRow {
  std::string fingerprint;
  std::string error_class;
  std::string reason;
  std::string pattern;
  int64_t count = 0;
  TimePoint first_seen{};
  TimePoint last_seen{};
  std::string last_run;
};

struct ErrorRecordRow {
  std::string run_id;
  int64_t seq = 0;  ///< 0: the run itself
  std::string node;
  std::string message;
  TimePoint at{};
};

struct MetricsRow {
  std::string run_id;
  std::string outcome;
  double duration_seconds = 0;
  int64_t nodes = 0;
  int64_t repairs = 0;
  int64_t attempts = 0;
  int64_t tokens_in = 0;
  int64_t tokens_out = 0;
  double cost_usd = 0;
  int64_t llm_calls = 0;
};

struct LessonRow {
  std::string run_id;
  int64_t seq = 0;
  std::string fingerprint;
  std::string pattern;
  std::shared_ptr<const nlohmann::json> failed;
  std::string failed_digest;
  std::string mended_digest;
  int64_t repairs = 0;
};

/// The newest verification before a node that was followed by a repair.
struct RepairedVerification {
  std::shared_ptr<const nlohmann::json> state;  ///< after the verification
  int64_t repairs = 0;                          ///< of the run so far
};

/// Over an open transaction. Each method is one statement.
class LearningStore {
 public:
  explicit LearningStore(Transaction& transaction) : tx_(transaction) {}

  Result<std::optional<RepairedVerification>> LastRepaired(const std::string& run_id, int64_t before_seq);
  /// The same run and seq again changes nothing.
  Status AddLesson(const LessonRow& lesson);

  /// Those seen last come first.
  Result<std::vector<ErrorPatternRow>> Patterns(int64_t limit);
  /// Patterns whose fingerprint begins so, at most two.
  Result<std::vector<ErrorPatternRow>> FindPattern(const std::string& prefix);
  /// Newest first.
  /// Keeps the `keep` patterns seen last; deletes at most `limit` of the others, those seen last among them
  /// first, and returns how many.
  Result<int64_t> ForgetPatterns(int64_t keep, int64_t limit);
  Result<std::vector<ErrorRecordRow>> Records(const std::string& fingerprint, int64_t limit);
  Result<std::optional<MetricsRow>> Metrics(const std::string& run_id);
  Result<std::vector<LessonRow>> Lessons(int64_t limit);

 private:
  Transaction& tx_;
};

}  // namespace ybis::store
