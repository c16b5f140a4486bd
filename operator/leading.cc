#include "operator/leading.h"

#include <nlohmann/json.hpp>

#include "base/log.h"
#include "operator/task/waiting.h"

namespace ybis::op {

struct Leading::Work {
  Periodic certificate;
  Periodic api_service;
  Periodic admission;
  Periodic orphans;
  control::WatchdogThread watchdog;
};

Leading::Leading(LeadingParts parts) : parts_(std::move(parts)) {}
Leading::~Leading() { Stop(std::chrono::milliseconds(0)); }

void Leading::Start() {
  leading_ = true;
  auto work = std::unique_ptr<Work>(new Work{
      Periodic("certificate", std::chrono::hours(1),
               [this](std::stop_token stop) { return parts_.certificate.Ensure(stop); }),
      Periodic("apiservice", std::chrono::seconds(15), parts_.keep_api_service),
      Periodic("admission", std::chrono::seconds(15), [this](std::stop_token) { return Admit(); }),
      Periodic("orphans", std::chrono::minutes(1),
               [this](std::stop_token stop) { return parts_.orphans.Sweep(stop); }),
      control::WatchdogThread(parts_.pool, parts_.sweep,
                              {[this](const std::vector<control::RunRecord>& runs) { Swept(runs); },
                               [this](const std::vector<control::RunRecord>& runs) { Expired(runs); },
                               [this](const std::vector<control::Wait>& waits) { Remind(waits); }},
                              &parts_.metrics)});
  *work_.Lock() = std::move(work);
  parts_.workflows.Start();
  parts_.approvals.Start();
  parts_.tasks.Start();
  Resync();
}

void Leading::Stop(std::chrono::milliseconds drain) {
  if (!leading_) return;
  leading_ = false;
  StopTogether({&parts_.approvals, &parts_.tasks, &parts_.workflows}, drain, parts_.interrupt_records);
  std::unique_ptr<Work> work;
  std::swap(work, *work_.Lock());
}

void Leading::TaskChanged(const kube::Key& key) {
  if (leading_) parts_.tasks.Queue().Add(key);
}

void Leading::WorkflowChanged(const kube::Key& key) {
  if (leading_) parts_.workflows.Queue().Add(key);
}

void Leading::ApprovalChanged(const kube::Key& key) {
  if (leading_) parts_.approvals.Queue().Add(key);
}

void Leading::TaskDeleted() {
  auto work = work_.Lock();
  if (*work) (*work)->orphans.Wake();
}

void Leading::RecordChanged(const kube::Key& key) {
  TaskChanged(key);
  auto work = work_.Lock();
  if (*work) (*work)->admission.Wake();
}

void Leading::Resync() {
  if (!leading_) return;
  for (const kube::Key& key : parts_.caches.workflows.Keys()) parts_.workflows.Queue().Add(key);
  for (const kube::Key& key : parts_.approval_objects.Keys()) parts_.approvals.Queue().Add(key);
  for (const kube::Key& key : parts_.caches.tasks.Keys()) parts_.tasks.Queue().Add(key);
}

Status Leading::Admit() {
  YBIS_ASSIGN(const auto runs, parts_.records.Admit());
  for (const auto& run : runs) TaskChanged({run.task_namespace, run.task_name});
  return {};
}

void Leading::Swept(const std::vector<control::RunRecord>& runs) {
  for (const auto& run : runs) {
    log::Warn("lease ended without a finish", {{"run", run.run_id}, {"state", ToString(run.state)}});
    RecordChanged({run.task_namespace, run.task_name});
  }
  parts_.metrics.LeasesExpired(control::CountExpired(runs));
}

void Leading::Expired(const std::vector<control::RunRecord>& runs) {
  for (const auto& run : runs) {
    log::Warn("nobody decided in time", {{"run", run.run_id}, {"state", ToString(run.state)}});
    RecordChanged({run.task_namespace, run.task_name});
  }
}

void Leading::Remind(const std::vector<control::Wait>& waits) {
  for (const control::Wait& wait : waits) {
    const kube::Object task = parts_.caches.tasks.Get({wait.task_namespace, wait.task_name});
    if (!task || kube::MetaString(*task, "uid") != wait.task_uid) continue;
    parts_.events.Record(*task, kube::EventType::kWarning, "AwaitingApproval", "Remind",
                         Reminder(wait, parts_.clock.Now()));
  }
}

}  // namespace ybis::op
