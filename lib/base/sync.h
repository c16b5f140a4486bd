#pragma once
// Sync<T>: shared mutable state whose lock is its type, so that it cannot be touched unlocked.
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <stop_token>
#include <utility>

namespace ybis {

/// Holds a T behind a mutex. `auto state = sync.Lock(); state->field = 1;` holds the lock for the handle's
/// life. Wait/Notify give it a condition variable that a stop request interrupts.
template <class T>
class Sync {
 public:
  template <class... Args>
  explicit Sync(Args&&... args) : value_(std::forward<Args>(args)...) {}
  Sync(const Sync&) = delete;
  Sync& operator=(const Sync&) = delete;

  class Locked {
   public:
    T* operator->() { return value_; }
    T& operator*() { return *value_; }

   private:
    friend class Sync;
    Locked(T* value, std::mutex& mutex) : value_(value), lock_(mutex) {}
    T* value_;
    std::unique_lock<std::mutex> lock_;
  };

  Locked Lock() { return Locked(&value_, mutex_); }

  /// Blocks until `ready(value)` holds or `stop` is requested; true when it holds.
  template <class Predicate>
  bool Wait(Locked& locked, std::stop_token stop, Predicate ready) {
    return wake_.wait(locked.lock_, std::move(stop), [&] { return ready(value_); });
  }
  /// The same with a time limit.
  template <class Rep, class Period, class Predicate>
  bool WaitFor(Locked& locked, std::stop_token stop, std::chrono::duration<Rep, Period> limit,
               Predicate ready) {
    return wake_.wait_for(locked.lock_, std::move(stop), limit, [&] { return ready(value_); });
  }
  void NotifyOne() { wake_.notify_one(); }
  void NotifyAll() { wake_.notify_all(); }

 private:
  T value_;
  std::mutex mutex_;
  std::condition_variable_any wake_;
};

}  // namespace ybis
