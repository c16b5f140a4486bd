#pragma once
// Keeps the lease alive and hears whether the run shall stop.
#include <functional>
#include <string>
#include <thread>

#include "base/clock.h"
#include "base/sync.h"
#include "runner/report/run_api.h"

namespace ybis::runner {

/// What a heartbeat can tell; called on the heartbeat's thread.
struct HeartbeatEvents {
  std::function<void()> on_cancel;
  std::function<void()> on_stale;
};

/// Beats every `interval` on a thread of its own for as long as it lives. A failed beat is repeated sooner:
/// the control core may be restarting, and nobody else can take the lease while it is down. Ends itself after
/// a cancel or a stale answer. `api` and `clock` must outlive it. SetNode is thread-safe.
class Heartbeat {
 public:
  Heartbeat(RunApi& api, Clock& clock, int64_t epoch, Duration interval, HeartbeatEvents events);

  /// The node that the run is at, sent along.
  void SetNode(const std::string& node) { *node_.Lock() = node; }

 private:
  void Loop(std::stop_token stop);
  /// Whether to go on.
  bool Beat(std::stop_token stop, bool& failed);

  RunApi& api_;
  Clock& clock_;
  int64_t epoch_;
  Duration interval_;
  HeartbeatEvents events_;
  Sync<std::string> node_;
  std::jthread thread_;
};

}  // namespace ybis::runner
