#include "operator/runtime/periodic.h"

#include <nlohmann/json.hpp>

#include "base/log.h"

namespace ybis::op {

Periodic::Periodic(std::string name, std::chrono::milliseconds interval, Work work)
    : name_(std::move(name)),
      interval_(interval),
      work_(std::move(work)),
      thread_([this](std::stop_token stop) { Run(stop); }) {}

void Periodic::Wake() {
  *woken_.Lock() = true;
  woken_.NotifyOne();
}

void Periodic::Run(std::stop_token stop) {
  while (!stop.stop_requested()) {
    {
      auto woken = woken_.Lock();
      woken_.WaitFor(woken, stop, interval_, [](bool seen) { return seen; });
      *woken = false;
    }
    if (stop.stop_requested() || DoOnce(stop)) continue;
    auto woken = woken_.Lock();
    woken_.WaitFor(woken, stop, std::chrono::seconds(1), [](bool) { return false; });
    *woken = true;
  }
}

bool Periodic::DoOnce(std::stop_token stop) {
  Status status;
  try {
    status = work_(stop);
  } catch (const std::exception& exception) {
    status = Fail(ErrorCode::kInternal, fmt::format("unexpected: {}", exception.what()));
  }
  if (status || status.error().code == ErrorCode::kCancelled) return true;
  log::Warn("periodic work failed", {{"work", name_}, {"error", status.error().message}});
  return false;
}

}  // namespace ybis::op
