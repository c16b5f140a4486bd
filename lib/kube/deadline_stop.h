#pragma once
// A stop token that is also requested when a time has passed.
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <stop_token>
#include <thread>

namespace ybis::kube {

/// Bounds calls whose own deadline is too long: `Token()` stops with the parent or after `limit`. Ends its
/// timer thread on destruction.
class DeadlineStop {
 public:
  DeadlineStop(std::stop_token parent, std::chrono::milliseconds limit)
      : forward_(std::move(parent), [this] { source_.request_stop(); }),
        timer_([this, limit](std::stop_token ended) {
          std::unique_lock lock(mutex_);
          wake_.wait_for(lock, ended, limit, [] { return false; });
          if (!ended.stop_requested()) source_.request_stop();
        }) {}

  std::stop_token Token() const { return source_.get_token(); }

 private:
  std::stop_source source_;
  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::stop_callback<std::function<void()>> forward_;
  std::jthread timer_;
};

}  // namespace ybis::kube
