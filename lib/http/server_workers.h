#pragma once
// Threads that run a server's handlers.
#include <deque>
#include <functional>
#include <list>
#include <thread>

#include "base/sync.h"

namespace ybis::http {

/// A pool that grows to its bound as work comes. Thread-safe. Its destruction runs what is queued, then
/// joins.
class ServerWorkers {
 public:
  ServerWorkers(int max_threads, size_t max_queued) : max_threads_(max_threads), max_queued_(max_queued) {}
  ~ServerWorkers();
  ServerWorkers(const ServerWorkers&) = delete;
  ServerWorkers& operator=(const ServerWorkers&) = delete;

  /// False when all threads are busy and the queue is full, or the pool is ending.
  bool Submit(std::function<void()> job);

 private:
  struct State {
    std::deque<std::function<void()>> queue;
    std::list<std::jthread> threads;
    size_t idle = 0;
    bool ending = false;
  };
  void Run();

  const int max_threads_;
  const size_t max_queued_;
  Sync<State> state_;
};

}  // namespace ybis::http
