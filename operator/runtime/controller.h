#pragma once
// Workers that bring the world to what objects ask for, one key at a time.
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "control/metrics.h"
#include "operator/runtime/work_queue.h"

namespace ybis::op {

struct ReconcileResult {
  std::optional<Duration> requeue_after;  ///< look again then; none = only when something changes
};

/// What a controller does with a key. Called from several threads, but never for one key at a time twice. It
/// may be called at any time, any number of times: it looks at the whole state and does what is missing.
class Reconciler {
 public:
  virtual ~Reconciler() = default;
  virtual Result<ReconcileResult> Reconcile(const kube::Key& key, std::stop_token stop) = 0;
};

struct ControllerSettings {
  std::string name;
  int workers = 4;
  WorkQueueSettings queue;  ///< its name is taken from `name`
};

/// Runs a Reconciler over a queue: failures wait with backoff, exceptions are bugs that are logged and
/// retried. Keys may be queued before Start. Start and Stop are called by one thread, each once; Queue() may
/// be used by any. The references must outlive it.
class Controller {
 public:
  Controller(ControllerSettings settings, Reconciler& reconciler, control::Metrics& metrics);
  ~Controller();
  Controller(const Controller&) = delete;
  Controller& operator=(const Controller&) = delete;

  WorkQueue& Queue() { return queue_; }
  void Start();
  /// Takes no more work, gives what is under way `drain` to end and then interrupts it.
  void Stop(std::chrono::milliseconds drain);

 private:
  struct Instruments;
  void Work(std::stop_token stop);
  void ReconcileOne(const kube::Key& key, std::stop_token stop);
  Result<ReconcileResult> Guarded(const kube::Key& key, std::stop_token stop);
  void Settle(const kube::Key& key, const Result<ReconcileResult>& result);

  ControllerSettings settings_;
  Reconciler& reconciler_;
  std::unique_ptr<Instruments> instruments_;
  WorkQueue queue_;
  std::vector<std::jthread> workers_;
};

/// Stops several within one `drain`: none takes any more, what is under way may end meanwhile. Then
/// `interrupt` ends what their reconcilers wait for without a stop token of theirs, and the rest is stopped.
void StopTogether(const std::vector<Controller*>& controllers, std::chrono::milliseconds drain,
                  const std::function<void()>& interrupt);

}  // namespace ybis::op
