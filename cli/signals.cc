#include "cli/signals.h"

#include <ctime>

namespace ybis::cli {

StopOnSignals::StopOnSignals() {
  sigemptyset(&signals_);
  sigaddset(&signals_, SIGINT);
  sigaddset(&signals_, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
  waiter_ = std::jthread([this](std::stop_token ending) {
    while (!ending.stop_requested()) {
      const timespec tick{.tv_sec = 0, .tv_nsec = 100'000'000};
      if (sigtimedwait(&signals_, nullptr, &tick) > 0) source_.request_stop();
    }
  });
}

StopOnSignals::~StopOnSignals() = default;

}  // namespace ybis::cli
