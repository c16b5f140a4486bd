#pragma once
// The reflectors of the operator: what is watched, and whom a change is told.
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "kube/reflector.h"
#include "operator/task/observe.h"
#include "operator/task/owner_index.h"

namespace ybis::op {

struct WatchSettings {
  std::string ns;        ///< of tasks, workflows, approvals, Jobs and pods; "" = all
  std::string instance;  ///< value of the tasks' label ybis.dev/operator; "" = tasks without it
  kube::Key serving_secret;
};

/// Who hears of changes; called on the reflectors' threads, must be quick.
struct WatchSinks {
  std::function<void(const kube::Key& task)> task;
  std::function<void()> task_deleted;
  std::function<void(const kube::Key& workflow)> workflow;
  std::function<void(const kube::Key& approval)> approval;
  std::function<void(const nlohmann::json& secret)> serving_secret;
};

/// Start and Stop by one thread; Caches by any. The references must outlive it.
class Watches {
 public:
  Watches(kube::Reader& reader, kube::Watcher& watcher, Clock& clock, const WatchSettings& settings,
          WatchSinks sinks);

  void Start();
  void Stop();
  /// Everything has been listed once; the error names what has not and why.
  Status Synced();
  /// Waits for it, saying now and then what is missing; false when stopped.
  bool WaitForSync(std::stop_token stop);
  Caches Objects();
  kube::Cache& Approvals() { return approvals_.Objects(); }

 private:
  void OnTask(const kube::Key& key, const kube::Object& object);
  void OnWorkflow(const kube::Key& key);

  WatchSinks sinks_;
  OwnerIndex owners_;
  kube::Reflector tasks_;
  kube::Reflector workflows_;
  kube::Reflector approvals_;
  kube::Reflector jobs_;
  kube::Reflector pods_;
  kube::Reflector secret_;
  std::vector<std::pair<std::string, kube::Reflector*>> all_;
};

}  // namespace ybis::op
