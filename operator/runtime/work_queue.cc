#include "operator/runtime/work_queue.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>

namespace ybis::op {
namespace {

double ToSeconds(SteadyDuration duration) { return std::chrono::duration<double>(duration).count(); }

}  // namespace

/// Names, labels and help texts are controller-runtime's, so that existing dashboards fit.
struct WorkQueue::Instruments {
  Instruments(control::Metrics& metrics, const std::string& name)
      : depth(metrics.GaugeOf("workqueue_depth", "Current depth of workqueue",
                              {{"name", name}, {"controller", name}})),
        adds(metrics.CounterOf("workqueue_adds_total", "Total number of adds handled by workqueue",
                               {{"name", name}, {"controller", name}})),
        retries(metrics.CounterOf("workqueue_retries_total", "Total number of retries handled by workqueue",
                                  {{"name", name}, {"controller", name}})),
        unfinished(
            metrics.GaugeOf("workqueue_unfinished_work_seconds",
                            "How many seconds of work has been done that is in progress and hasn't been "
                            "observed by work_duration.",
                            {{"name", name}, {"controller", name}})),
        longest(
            metrics.GaugeOf("workqueue_longest_running_processor_seconds",
                            "How many seconds has the longest running processor for workqueue been running.",
                            {{"name", name}, {"controller", name}})),
        waited(metrics.HistogramOf("workqueue_queue_duration_seconds",
                                   "How long in seconds an item stays in workqueue before being requested",
                                   {{"name", name}, {"controller", name}},
                                   control::ExponentialBounds(1e-8, 10, 12))),
        worked(metrics.HistogramOf(
            "workqueue_work_duration_seconds", "How long in seconds processing an item from workqueue takes.",
            {{"name", name}, {"controller", name}}, control::ExponentialBounds(1e-8, 10, 12))) {}

  prometheus::Gauge& depth;
  prometheus::Counter& adds;
  prometheus::Counter& retries;
  prometheus::Gauge& unfinished;
  prometheus::Gauge& longest;
  prometheus::Histogram& waited;
  prometheus::Histogram& worked;
};

WorkQueue::WorkQueue(WorkQueueSettings settings, control::Metrics& metrics)
    : settings_(std::move(settings)),
      instruments_(std::make_shared<Instruments>(metrics, settings_.name)),
      state_(settings_.limits) {
  // The registry outlives the queue: it must not call into a queue that has gone.
  metrics.OnCollect([this, alive = std::weak_ptr<Instruments>(instruments_)] {
    if (const auto held = alive.lock()) Collect();
  });
}

void WorkQueue::Add(const kube::Key& key) {
  {
    auto state = state_.Lock();
    AddLocked(*state, key, settings_.monotonic());
  }
  state_.NotifyOne();
}

void WorkQueue::AddLocked(State& state, const kube::Key& key, SteadyTime now) {
  if (state.shut_down) return;
  state.due.erase(key);
  if (!state.dirty.emplace(key, now).second) return;
  instruments_->adds.Increment();
  if (!state.processing.contains(key)) state.ready.push_back(key);
}

void WorkQueue::AddAfter(const kube::Key& key, SteadyDuration delay) {
  {
    auto state = state_.Lock();
    const SteadyTime now = settings_.monotonic();
    if (delay <= SteadyDuration::zero()) {
      AddLocked(*state, key, now);
    } else {
      ScheduleLocked(*state, key, now + delay);
    }
  }
  // All: each sleeps until what was the next time, and whoever woke for this one may be busy when it comes.
  state_.NotifyAll();
}

void WorkQueue::AddRateLimited(const kube::Key& key, SteadyDuration at_least) {
  {
    auto state = state_.Lock();
    const SteadyTime now = settings_.monotonic();
    instruments_->retries.Increment();
    ScheduleLocked(*state, key, now + std::max(state->limiter.Delay(key, now), at_least));
  }
  state_.NotifyAll();
}

void WorkQueue::ScheduleLocked(State& state, const kube::Key& key, SteadyTime at) {
  if (state.shut_down) return;
  const auto known = state.due.find(key);
  if (known != state.due.end() && known->second <= at) return;
  state.due[key] = at;
  state.schedule.emplace(at, key);
}

void WorkQueue::Forget(const kube::Key& key) { state_.Lock()->limiter.Forget(key); }

int WorkQueue::Failures(const kube::Key& key) { return state_.Lock()->limiter.Failures(key); }

std::optional<SteadyTime> WorkQueue::NextDueLocked(State& state) {
  while (!state.schedule.empty()) {
    const auto& [at, key] = *state.schedule.begin();
    const auto due = state.due.find(key);
    if (due != state.due.end() && due->second == at) return at;
    state.schedule.erase(state.schedule.begin());
  }
  return std::nullopt;
}

void WorkQueue::PromoteLocked(State& state, SteadyTime now) {
  for (auto at = NextDueLocked(state); at && *at <= now; at = NextDueLocked(state)) {
    const kube::Key key = state.schedule.begin()->second;
    state.schedule.erase(state.schedule.begin());
    AddLocked(state, key, now);
  }
}

kube::Key WorkQueue::TakeLocked(State& state, SteadyTime now) {
  kube::Key key = std::move(state.ready.front());
  state.ready.pop_front();
  const auto since = state.dirty.extract(key);
  instruments_->waited.Observe(ToSeconds(now - since.mapped()));
  state.processing.emplace(key, now);
  return key;
}

std::optional<kube::Key> WorkQueue::Get(std::stop_token stop) {
  auto state = state_.Lock();
  while (!state->shut_down) {
    const SteadyTime now = settings_.monotonic();
    PromoteLocked(*state, now);
    if (!state->ready.empty()) return TakeLocked(*state, now);
    if (stop.stop_requested()) break;
    const auto next = NextDueLocked(*state);
    const SteadyDuration wait = next ? *next - now : SteadyDuration(std::chrono::hours(1));
    // Woken too when an earlier wait is scheduled than the one slept for.
    state_.WaitFor(state, stop, wait, [this, next](State& seen) {
      return seen.shut_down || !seen.ready.empty() || NextDueLocked(seen) != next;
    });
  }
  return std::nullopt;
}

void WorkQueue::Done(const kube::Key& key) {
  {
    auto state = state_.Lock();
    const auto started = state->processing.extract(key);
    if (started.empty()) return;
    instruments_->worked.Observe(ToSeconds(settings_.monotonic() - started.mapped()));
    if (state->dirty.contains(key) && !state->shut_down) state->ready.push_back(key);
  }
  state_.NotifyAll();
}

void WorkQueue::ShutDown() {
  {
    auto state = state_.Lock();
    state->shut_down = true;
    state->ready.clear();
    state->dirty.clear();
    state->due.clear();
    state->schedule.clear();
  }
  state_.NotifyAll();
}

bool WorkQueue::WaitIdle(std::chrono::milliseconds timeout) {
  auto state = state_.Lock();
  return state_.WaitFor(state, std::stop_token(), timeout,
                        [](const State& seen) { return seen.processing.empty(); });
}

size_t WorkQueue::Depth() { return state_.Lock()->ready.size(); }

void WorkQueue::Collect() {
  auto state = state_.Lock();
  const SteadyTime now = settings_.monotonic();
  double total = 0;
  double longest = 0;
  for (const auto& [key, since] : state->processing) {
    total += ToSeconds(now - since);
    longest = std::max(longest, ToSeconds(now - since));
  }
  instruments_->depth.Set(static_cast<double>(state->ready.size()));
  instruments_->unfinished.Set(total);
  instruments_->longest.Set(longest);
}

}  // namespace ybis::op
