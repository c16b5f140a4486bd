#pragma once
// Turns SIGINT and SIGTERM into a stop request.
#include <csignal>
#include <stop_token>
#include <thread>

namespace ybis {

struct StopSignalSettings {
  bool second_ends = false;     ///< a second signal ends the process at once, with 128 + its number
  bool ignore_sigpipe = false;  ///< for programs that write to sockets of libraries
};

/// Blocks both signals in this thread and those made after it; a thread of its own takes them, so that no
/// handler runs in the middle of anything. Make it before any other thread. It ends with the object.
class StopOnSignals {
 public:
  explicit StopOnSignals(StopSignalSettings settings = {});
  ~StopOnSignals();
  StopOnSignals(const StopOnSignals&) = delete;
  StopOnSignals& operator=(const StopOnSignals&) = delete;
  std::stop_token token() const { return source_.get_token(); }

 private:
  sigset_t signals_{};
  std::stop_source source_;
  std::jthread waiter_;
};

}  // namespace ybis
