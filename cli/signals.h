#pragma once
// What verbs that wait listen to.
#include <functional>

#include "base/stop_signals.h"

namespace ybis::cli {

using ybis::StopOnSignals;

/// Asked to stop by `outer`, or here: what is begun for somebody ends with their interest in it. Thread-safe.
class LinkedStop {
 public:
  explicit LinkedStop(std::stop_token outer) : outer_(std::move(outer), [this] { Request(); }) {}
  void Request() { source_.request_stop(); }
  std::stop_token token() const { return source_.get_token(); }

 private:
  std::stop_source source_;
  std::stop_callback<std::function<void()>> outer_;
};

}  // namespace ybis::cli
