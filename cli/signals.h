#pragma once
// Turns SIGINT and SIGTERM into a stop request.
#include <csignal>
#include <stop_token>
#include <thread>

namespace ybis::cli {

/// Blocks both signals in this thread and those made after it, and requests a stop when one arrives. Make it
/// before any other thread. It ends with the object.
class StopOnSignals {
 public:
  StopOnSignals();
  ~StopOnSignals();
  StopOnSignals(const StopOnSignals&) = delete;
  StopOnSignals& operator=(const StopOnSignals&) = delete;
  std::stop_token token() const { return source_.get_token(); }

 private:
  sigset_t signals_{};
  std::stop_source source_;
  std::jthread waiter_;
};

}  // namespace ybis::cli
