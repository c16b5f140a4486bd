#include "base/stop_signals.h"

#include <cstdlib>
#include <ctime>

namespace ybis {

StopOnSignals::StopOnSignals(StopSignalSettings settings) {
  sigemptyset(&signals_);
  sigaddset(&signals_, SIGINT);
  sigaddset(&signals_, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
  if (settings.ignore_sigpipe) std::signal(SIGPIPE, SIG_IGN);
  waiter_ = std::jthread([this, settings](std::stop_token ending) {
    while (!ending.stop_requested()) {
      const timespec tick{.tv_sec = 0, .tv_nsec = 100'000'000};
      const int signal = sigtimedwait(&signals_, nullptr, &tick);
      if (signal <= 0) continue;
      if (settings.second_ends && source_.stop_requested()) std::_Exit(128 + signal);
      source_.request_stop();
    }
  });
}

StopOnSignals::~StopOnSignals() = default;

}  // namespace ybis
