#pragma once
// Table events: the journal, append-only; a key makes an entry of a run once.
#include <optional>
#include <string>
#include <vector>

#include "store/database.h"

namespace ybis::store {

struct EventRow {
  int64_t id = 0;
  std::string run_id;
  std::string key;
  std::string type;
  std::string message;
  std::shared_ptr<const nlohmann::json> fields;
  TimePoint at;
  std::string trace_id;  ///< its run's; only read
};

/// Over an open transaction. Each method is one statement.
class EventStore {
 public:
  explicit EventStore(Transaction& transaction) : tx_(transaction) {}

  /// False when there is no such run. The same key again changes nothing.
  Result<bool> Append(const EventRow& event);
  /// By the runner that holds `epoch`, which may write `max_events`. False when it does not hold it or has
  /// written that many.
  Result<bool> AppendByHolder(const EventRow& event, int64_t epoch, int64_t max_events);
  Result<std::vector<EventRow>> Read(const std::string& run_id, int64_t after, int64_t limit);

 private:
  Transaction& tx_;
};

}  // namespace ybis::store
