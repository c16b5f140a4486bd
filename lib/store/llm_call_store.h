#pragma once
// Table llm_calls: model calls by idempotency key, what they answered and what they cost.
#include <chrono>
#include <optional>
#include <string>

#include "store/database.h"

namespace ybis::store {

struct LlmCallId {
  std::string run_id;
  std::string node;
  int64_t visit = 1;
  int64_t call = 0;
  std::string request_digest;
};

struct LlmSpending {
  int64_t tokens_in = 0;
  int64_t tokens_out = 0;
  double cost_usd = 0;
  int64_t calls = 0;
  int64_t reserved_tokens = 0;  ///< by calls under way; of a settlement: by the turn that it settles
  double reserved_usd = 0;
};

struct LlmCallRow {
  std::string state;  ///< pending, done or failed
  std::shared_ptr<const nlohmann::json> answer;
  std::chrono::milliseconds remaining{0};  ///< until a pending call may be taken over
};

/// Over an open transaction.
class LlmCallStore {
 public:
  explicit LlmCallStore(Transaction& transaction) : tx_(transaction) {}

  /// Locks the run's lease, so that one call of a run is begun at a time. False when the epoch is another.
  Result<bool> LockLease(const std::string& run_id, int64_t epoch);
  Result<std::optional<LlmCallRow>> Find(const LlmCallId& id);
  /// Makes or takes over a pending row: which turn it is, counted from 1. Nothing when it is done already.
  /// Whoever is taken over is charged with what it had reserved, until its own settlement comes.
  Result<std::optional<int64_t>> Begin(const LlmCallId& id, std::chrono::milliseconds timeout,
                                       int64_t reserve_tokens, double reserve_usd);
  /// Adds what was spent, once for each `settlement`, and lets go of the reservation, for a pending row that
  /// is still at `turn`; false when it is not.
  Result<bool> Extend(const LlmCallId& id, int64_t turn, const std::string& settlement,
                      const LlmSpending& spent, std::chrono::milliseconds timeout);
  Status Reserve(const LlmCallId& id, int64_t reserve_tokens, double reserve_usd);
  /// Another `timeout` for a pending row that is still at `turn`.
  Status Renew(const LlmCallId& id, int64_t turn, std::chrono::milliseconds timeout);
  /// Adds what was spent, once for each `settlement`; the first answer stays.
  Status Complete(const LlmCallId& id, int64_t turn, const std::string& settlement, const std::string& model,
                  const std::shared_ptr<const nlohmann::json>& answer, const LlmSpending& spent);
  /// Adds what was spent, likewise; the row fails only while it is pending and at `turn`.
  Status FailPending(const LlmCallId& id, int64_t turn, const std::string& settlement,
                     const std::string& error, const LlmSpending& spent);
  /// With what calls had reserved whose maker is not heard of any more.
  Result<LlmSpending> Spending(const std::string& run_id);

 private:
  Transaction& tx_;
};

}  // namespace ybis::store
