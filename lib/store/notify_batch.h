#pragma once
// NOTIFY of callers that come at the same time, in one statement. Internal to lib/store.
#include <functional>
#include <memory>
#include <set>
#include <stop_token>
#include <string>
#include <utility>

#include "base/result.h"
#include "base/sync.h"

namespace ybis::store {

/// Whoever finds nobody sending sends for all who have come by then; the others wait for that. A lone
/// caller's message goes out at once. Thread-safe.
class NotifyBatch {
 public:
  /// (channel, payload), each once.
  using Messages = std::set<std::pair<std::string, std::string>>;
  using Send = std::function<Status(const Messages&)>;

  /// Returns when the messages are sent. `send` may be given those of others besides.
  Status Tell(const Messages& messages, const Send& send, std::stop_token stop);

 private:
  struct Batch {
    Messages messages;
    bool sent = false;
    Status status;
  };
  struct State {
    std::shared_ptr<Batch> gathering = std::make_shared<Batch>();
    bool sending = false;
  };
  std::shared_ptr<Batch> Join(const Messages& messages, std::stop_token stop);
  Sync<State> state_;
};

}  // namespace ybis::store
