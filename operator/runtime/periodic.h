#pragma once
// Work that is done now and then, and at once when asked.
#include <chrono>
#include <functional>
#include <stop_token>
#include <string>
#include <thread>

#include "base/result.h"
#include "base/sync.h"

namespace ybis::op {

/// Calls `work` on a thread of its own: first at construction, then every `interval` and after each Wake. A
/// failure is logged and tried again at the next turn, in a second at the earliest. Destruction interrupts
/// the work and joins.
class Periodic {
 public:
  using Work = std::function<Status(std::stop_token)>;
  Periodic(std::string name, std::chrono::milliseconds interval, Work work);

  /// Any thread. Wakes during the work make it run once more.
  void Wake();

 private:
  void Run(std::stop_token stop);
  bool DoOnce(std::stop_token stop);

  std::string name_;
  std::chrono::milliseconds interval_;
  Work work_;
  Sync<bool> woken_{true};
  std::jthread thread_;
};

}  // namespace ybis::op
