#pragma once
// The record of model calls: each answer is kept under its idempotency key before it is given out, so nothing
// is paid twice, and budgets hold because room is reserved before a call and settled after it.
#include <chrono>
#include <optional>
#include <stop_token>
#include <string>

#include "api/run_api.h"
#include "store/database.h"

namespace ybis::control {

/// With the run's id what makes a call the same call.
struct LlmCallKey {
  std::string node;
  int64_t visit = 1;
  int64_t call = 0;
  std::string request_digest;
};

/// What a call may cost at most, and what the run may use in all (0 = no limit).
struct LlmBudget {
  int64_t max_tokens = 0;
  double max_cost_usd = 0;
  int64_t reserve_tokens = 0;
  double reserve_cost_usd = 0;
};

/// What a call has cost since it was last written down.
struct LlmSettlement {
  std::string id;    ///< made once and kept by whoever repeats it: `spent` is added once for each
  int64_t turn = 0;  ///< LlmCallStart::turn
  api::Usage spent;
  /// What is reserved for the ask that it ends. A turn that was taken over meanwhile has been charged with
  /// it, and `spent` takes its place.
  int64_t reserved_tokens = 0;
  double reserved_usd = 0;
};

enum class LlmCallState {
  kNew,         ///< the caller makes the call and then says Complete or Fail
  kDone,        ///< `recorded` is the answer
  kInProgress,  ///< another caller makes it now: ask again later
};

struct LlmCallStart {
  LlmCallState state = LlmCallState::kNew;
  std::optional<api::ModelResponse> recorded;  ///< kDone, with replayed = true
  std::chrono::milliseconds retry_after{0};    ///< kInProgress
  int64_t turn = 0;  ///< kNew: which beginning of the call this is; a takeover makes a new one
};

/// Over Postgres. Thread-safe.
class LlmCalls {
 public:
  explicit LlmCalls(store::Pool& pool) : pool_(pool) {}

  /// Fenced by `epoch` (kStale). A call begun elsewhere that did not end within its `timeout` is taken over;
  /// it may have been paid, so it counts at its most unless its end is told after all.
  /// A recorded answer is given whatever the budget; else kExhausted (not retryable) when the reserved room
  /// is not there.
  Result<LlmCallStart> Begin(const std::string& run_id, int64_t epoch, const LlmCallKey& key,
                             const LlmBudget& budget, std::chrono::milliseconds timeout,
                             std::stop_token stop);
  /// Before a call asks once more: writes down what it has cost so far and reserves room for the next answer
  /// in place of its earlier reservation, for another `timeout`. kStale when the epoch is another, kExhausted
  /// (not retryable) when the room is not there, kUnavailable when somebody has taken the call over. After an
  /// error nothing is written.
  Status Extend(const std::string& run_id, int64_t epoch, const LlmCallKey& key,
                const LlmSettlement& settlement, const LlmBudget& budget, std::chrono::milliseconds timeout,
                std::stop_token stop);
  /// A call that is still under way: nobody takes it over for another `timeout`. Nothing changes when
  /// somebody has.
  Status Renew(const std::string& run_id, const LlmCallKey& key, int64_t turn,
               std::chrono::milliseconds timeout, std::stop_token stop);
  /// Records the answer; it was paid, so it counts even when the epoch has moved on. When somebody recorded
  /// one first, that one is returned (replayed = true) and what this one cost is added.
  Result<api::ModelResponse> Complete(const std::string& run_id, const LlmCallKey& key,
                                      const LlmSettlement& settlement, const api::ModelResponse& response,
                                      std::stop_token stop);
  /// The call ended without an answer; what it cost counts all the same. It may be begun again, unless
  /// somebody has taken it over: then it stays theirs.
  Status FailCall(const std::string& run_id, const LlmCallKey& key, const LlmSettlement& settlement,
                  const std::string& error, std::stop_token stop);
  /// Sums over the run's calls.
  Result<api::Usage> RunUsage(const std::string& run_id, std::stop_token stop);

 private:
  store::Pool& pool_;
};

}  // namespace ybis::control
