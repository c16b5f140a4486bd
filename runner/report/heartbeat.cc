#include "runner/report/heartbeat.h"

#include <nlohmann/json.hpp>

#include "base/log.h"

namespace ybis::runner {

namespace {
constexpr Duration kRetryAfter{std::chrono::seconds(5)};
}

Heartbeat::Heartbeat(RunApi& api, Clock& clock, int64_t epoch, Duration interval, HeartbeatEvents events)
    : api_(api),
      clock_(clock),
      epoch_(epoch),
      interval_(interval),
      events_(std::move(events)),
      thread_([this](std::stop_token stop) { Loop(std::move(stop)); }) {}

void Heartbeat::Loop(std::stop_token stop) {
  bool failed = false;
  while (clock_.SleepFor(failed ? std::min(interval_, kRetryAfter) : interval_, stop)) {
    if (!Beat(stop, failed)) return;
  }
}

bool Heartbeat::Beat(std::stop_token stop, bool& failed) {
  const auto answer = api_.Heartbeat({.epoch = epoch_, .node = *node_.Lock()}, stop);
  failed = !answer;
  if (answer) {
    if (answer->cancel) events_.on_cancel();
    return !answer->cancel;
  }
  if (answer.error().code == ErrorCode::kStale) {
    events_.on_stale();
    return false;
  }
  if (!stop.stop_requested()) log::Warn("heartbeat failed", {{"error", answer.error().message}});
  return true;
}

}  // namespace ybis::runner
