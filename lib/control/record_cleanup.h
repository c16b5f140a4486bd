#pragma once
// Deletes from the record what nobody can reach any more, and what would grow without end.
#include <chrono>
#include <stop_token>
#include <string>

#include "control/metrics.h"
#include "store/database.h"

namespace ybis::control {

/// What one sweep deleted.
struct CleanedUp {
  int64_t blobs = 0;     ///< contents of artifacts that have newer ones under their names
  int64_t bytes = 0;     ///< of them
  int64_t patterns = 0;  ///< of failures
};

/// Over Postgres; the database's clock decides. Any number of processes may sweep at once. Not thread-safe.
class RecordCleanUp {
 public:
  /// Contents younger than this stay: somebody may be about to name them.
  static constexpr std::chrono::hours kMinAge{1};
  /// Contents that one sweep looks at.
  static constexpr int64_t kLooks = 1'000;
  /// Patterns of failures that are kept: those seen last.
  static constexpr int64_t kPatterns = 10'000;

  /// `metrics` may be null; it must outlive this.
  explicit RecordCleanUp(store::Pool& pool, Metrics* metrics = nullptr);

  /// Looks at the next kLooks contents, from the first again after the last, and deletes those that no run
  /// names; forgets some of the patterns beyond kPatterns. Says so in log and metrics.
  Result<CleanedUp> Sweep(std::stop_token stop);

 private:
  Status SweepBlobs(CleanedUp& cleaned, const std::stop_token& stop);

  store::Pool& pool_;
  Metrics* metrics_;
  std::string after_;  ///< digest looked at last
  int64_t batch_;      ///< contents that the next transaction looks at
};

}  // namespace ybis::control
