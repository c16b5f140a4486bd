#include "http/server_workers.h"

namespace ybis::http {

ServerWorkers::~ServerWorkers() {
  std::list<std::jthread> threads;
  {
    auto state = state_.Lock();
    state->ending = true;
    threads.swap(state->threads);
  }
  state_.NotifyAll();
  for (std::jthread& thread : threads) thread.join();
}

bool ServerWorkers::Submit(std::function<void()> job) {
  auto state = state_.Lock();
  if (state->ending) return false;
  const bool all_busy = state->idle <= state->queue.size();
  const bool may_grow = static_cast<int>(state->threads.size()) < max_threads_;
  if (all_busy && !may_grow && state->queue.size() >= max_queued_) return false;
  state->queue.push_back(std::move(job));
  if (all_busy && may_grow) state->threads.emplace_back([this] { Run(); });
  state_.NotifyOne();
  return true;
}

void ServerWorkers::Run() {
  while (true) {
    std::function<void()> job;
    {
      auto state = state_.Lock();
      ++state->idle;
      state_.Wait(state, {}, [](const State& now) { return now.ending || !now.queue.empty(); });
      --state->idle;
      if (state->queue.empty()) return;
      job = std::move(state->queue.front());
      state->queue.pop_front();
    }
    job();
  }
}

}  // namespace ybis::http
