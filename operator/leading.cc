#include "operator/leading.h"

#include <nlohmann/json.hpp>

#include "base/log.h"

namespace ybis::op {

struct Leading::Work {
  Periodic certificate;
  Periodic admission;
  Periodic orphans;
  control::WatchdogThread watchdog;
};

Leading::Leading(LeadingParts parts) : parts_(parts) {}
Leading::~Leading() { Stop(std::chrono::milliseconds(0)); }

void Leading::Start() {
  leading_ = true;
  auto work = std::shared_ptr<Work>(new Work{
      Periodic("certificate", std::chrono::hours(1),
               [this](std::stop_token stop) { return parts_.certificate.Ensure(stop); }),
      Periodic("admission", std::chrono::seconds(15), [this](std::stop_token) { return Admit(); }),
      Periodic("orphans", std::chrono::minutes(1),
               [this](std::stop_token stop) { return parts_.orphans.Sweep(stop); }),
      control::WatchdogThread(parts_.pool, parts_.sweep,
                              [this](const std::vector<control::RunRecord>& runs) { Swept(runs); })});
  *work_.Lock() = work;
  parts_.workflows.Start();
  parts_.tasks.Start();
  Resync();
}

void Leading::Stop(std::chrono::milliseconds drain) {
  if (!leading_) return;
  leading_ = false;
  parts_.tasks.Stop(drain);
  parts_.workflows.Stop(drain);
  std::shared_ptr<Work> work;
  std::swap(work, *work_.Lock());
}

void Leading::TaskChanged(const kube::Key& key) {
  if (leading_) parts_.tasks.Queue().Add(key);
}

void Leading::WorkflowChanged(const kube::Key& key) {
  if (leading_) parts_.workflows.Queue().Add(key);
}

void Leading::TaskDeleted() {
  if (const auto work = *work_.Lock()) work->orphans.Wake();
}

void Leading::RecordChanged(const kube::Key& key) {
  TaskChanged(key);
  if (const auto work = *work_.Lock()) work->admission.Wake();
}

void Leading::Resync() {
  if (!leading_) return;
  for (const kube::Key& key : parts_.caches.workflows.Keys()) parts_.workflows.Queue().Add(key);
  for (const kube::Key& key : parts_.caches.tasks.Keys()) parts_.tasks.Queue().Add(key);
}

Status Leading::Admit() {
  YBIS_ASSIGN(const auto runs, parts_.records.Admit());
  for (const auto& run : runs) TaskChanged({run.task_namespace, run.task_name});
  return {};
}

void Leading::Swept(const std::vector<control::RunRecord>& runs) {
  int64_t expired = 0;
  for (const auto& run : runs) {
    const bool late = run.failure && run.failure->failure_class == api::FailureClass::kTimeout;
    if (!late) ++expired;
    log::Warn("lease ended without a finish", {{"run", run.run_id}, {"state", ToString(run.state)}});
    RecordChanged({run.task_namespace, run.task_name});
  }
  parts_.metrics.LeasesExpired(expired);
}

}  // namespace ybis::op
