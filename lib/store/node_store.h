#pragma once
// Table node_executions: one row a finished node with the checkpoint after it, only ever inserted.
#include <chrono>
#include <optional>
#include <string>

#include "store/database.h"
#include "store/learning_store.h"

namespace ybis::store {

struct CheckpointRow {
  int64_t seq = 0;
  std::string next_node;
  std::shared_ptr<const nlohmann::json> visits;
  std::shared_ptr<const nlohmann::json> state;
  std::string base_commit;
  std::string patch;
};

struct NodeRow {
  int64_t epoch = 0;
  std::string node;
  std::string type;
  int64_t visit = 1;
  std::string outcome;
  std::string error;
  TimePoint started;
  TimePoint finished;
  std::shared_ptr<const nlohmann::json> input;
  std::shared_ptr<const nlohmann::json> output;
  CheckpointRow checkpoint;         ///< its seq is the node's
  std::optional<ErrorRow> failure;  ///< recorded with it
};

/// Over an open transaction. Each method is one statement.
class NodeStore {
 public:
  explicit NodeStore(Transaction& transaction) : tx_(transaction) {}

  /// Inserts the row, moves the lease's seq on and renews it. False when the epoch or the seq does not
  /// follow.
  Result<bool> Append(const std::string& run_id, const NodeRow& row, std::chrono::seconds lease);
  Result<std::optional<CheckpointRow>> NewestCheckpoint(const std::string& run_id);

 private:
  Transaction& tx_;
};

}  // namespace ybis::store
