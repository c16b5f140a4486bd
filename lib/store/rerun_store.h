#pragma once
// What a run that begins at a node takes over from an earlier one: rows of node_executions and artifacts.
#include <optional>
#include <string>
#include <vector>

#include "store/database.h"

namespace ybis::store {

/// Over an open transaction. Every checkpoint of a run is kept with its node's row, so nothing is written
/// while nodes run to make this possible.
class RerunStore {
 public:
  explicit RerunStore(Transaction& transaction) : tx_(transaction) {}

  /// How many nodes had finished when the run last came to `node`; none when it never did (it began there, or
  /// did not come that far).
  Result<std::optional<int64_t>> ReachedAt(const std::string& run_id, const std::string& node);
  /// The nodes that a run came to, each once, in order.
  Result<std::vector<std::string>> NodesReached(const std::string& run_id);
  /// Gives the new run the first `nodes` nodes of the earlier one with their checkpoints, the base that it
  /// started from, and the artifacts that those nodes left, by digest; notes it in the journal.
  Status Copy(const std::string& from_run, const std::string& to_run, int64_t nodes, const std::string& node);

 private:
  Transaction& tx_;
};

}  // namespace ybis::store
