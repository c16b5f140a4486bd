#include "tests/operator/world.h"

#include "workflow/loader.h"

namespace ybis::op::testing {

using control::RunState;
using nlohmann::json;

json TaskObject(const json& spec, const std::string& name) {
  json object = {
      {"apiVersion", "ybis.dev/v1alpha1"},
      {"kind", "YbisTask"},
      {"metadata",
       {{"name", name},
        {"namespace", "team"},
        {"uid", kUid},
        {"resourceVersion", "7"},
        {"generation", 3},
        {"creationTimestamp", "2026-03-01T11:59:00Z"}}},
      {"spec", {{"objective", "Mend it"}, {"repository", {{"url", "https://git.example.com/r.git"}}}}}};
  object["spec"].merge_patch(spec);
  return object;
}

json JobObject(const json& more) {
  json job = {
      {"apiVersion", "batch/v1"},
      {"kind", "Job"},
      {"metadata",
       {{"name", std::string("ybis-") + kRun},
        {"namespace", "team"},
        {"uid", "job-uid"},
        {"resourceVersion", "8"},
        {"labels", {{"ybis.dev/run-id", kRun}, {"ybis.dev/task-uid", kUid}}},
        {"ownerReferences",
         json::array({{{"kind", "YbisTask"}, {"name", "fix"}, {"uid", kUid}, {"controller", true}}})}}},
      {"spec", {{"suspend", false}}},
      {"status", {{"active", 1}}}};
  job.merge_patch(more);
  return job;
}

json PodObject(const json& status, const std::string& name) {
  return {{"apiVersion", "v1"},
          {"kind", "Pod"},
          {"metadata",
           {{"name", name},
            {"namespace", "team"},
            {"uid", name + "-uid"},
            {"resourceVersion", "9"},
            {"creationTimestamp", "2026-03-01T11:59:58Z"},
            {"labels", {{"ybis.dev/run-id", kRun}}},
            {"ownerReferences", json::array({{{"kind", "Job"},
                                              {"name", std::string("ybis-") + kRun},
                                              {"uid", "job-uid"},
                                              {"controller", true}}})}}},
          {"status", status}};
}

control::RunRecord RunIn(RunState state) {
  control::RunRecord run;
  run.run_id = kRun;
  run.task_uid = kUid;
  run.task_namespace = "team";
  run.task_name = "fix";
  run.generation = 3;  // as TaskObject has it
  run.state = state;
  run.created = kNow;
  if (state == RunState::kRunning || IsTerminal(state) || state == RunState::kBlocked) {
    run.attempt = 1;
    run.started = kNow;
    run.node = "planner";
  }
  if (IsTerminal(state)) run.finished = kNow + std::chrono::seconds(90);
  return run;
}

control::Wait SomeWait() {
  control::Wait wait;
  wait.run_id = kRun;
  wait.task_namespace = "team";
  wait.task_name = "fix";
  wait.task_uid = kUid;
  wait.subject_digest = "sha256:5ub";
  wait.node = "gate";
  wait.since = kNow;
  wait.expires = kNow + std::chrono::hours(1);
  wait.reason = "ProtectedPath";
  wait.message = "changes ci.yml";
  return wait;
}

control::Config SomeConfig() {
  control::Config config;
  config.models.push_back({.name = "small", .endpoint = "https://models.example.com/v1"});
  config.models.push_back({.name = "large", .endpoint = "https://models.example.com/v1"});
  config.default_model = "small";
  config.runner.image = "registry.example.com/ybis-runner:1";
  config.runner.image_allow = {"registry.example.com/team/*", "registry.example.com/exact:2"};
  return config;
}

TaskSettings SomeSettings() { return {SomeConfig(), "https://ybis-operator.ybis-system.svc:8443"}; }

Snapshot SnapshotOf(const json& object) {
  Snapshot snapshot;
  snapshot.key = kube::KeyOf(object);
  snapshot.exists = true;
  snapshot.object = std::make_shared<const json>(object);
  snapshot.task = api::ParseTask(object).value();
  snapshot.workflow.spec = workflow::BuiltInWorkflow("ybis-native").value();
  snapshot.run_api_ca = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
  return snapshot;
}

control::RunRecord* FakeRecords::Find(const std::string& run_id) {
  for (auto& [uid, of_task] : runs) {
    for (auto& run : of_task) {
      if (run.run_id == run_id) return &run;
    }
  }
  return nullptr;
}

Result<std::optional<control::RunRecord>> FakeRecords::LatestRun(const std::string& task_uid) {
  if (broken) return ybis::Fail(*broken);
  const auto found = runs.find(task_uid);
  if (found == runs.end() || found->second.empty()) return std::optional<control::RunRecord>();
  return std::optional<control::RunRecord>(found->second.back());
}

Result<control::RunRecord> FakeRecords::Submit(const control::TaskSubmission& submission) {
  if (broken) return ybis::Fail(*broken);
  ++submits;
  if (no_rerun && !submission.spec.rerun_from.empty()) return ybis::Fail(*no_rerun);
  begun_at = submission.spec.rerun_from;
  auto& of_task = runs[submission.uid];
  for (auto& run : of_task) {
    if (run.rerun_token != submission.spec.rerun_token) continue;
    run.generation = std::max(run.generation, submission.generation);
    return of_task.back();
  }
  control::RunRecord run;
  run.number = static_cast<int64_t>(of_task.size()) + 1;
  run.run_id = submission.uid.substr(0, 8) + "-" + std::to_string(run.number);
  run.task_uid = submission.uid;
  run.task_namespace = submission.namespace_name;
  run.task_name = submission.name;
  run.rerun_token = submission.spec.rerun_token;
  run.generation = submission.generation;
  run.created = kNow;
  if (has_room) run.state = RunState::kDispatched;
  of_task.push_back(run);
  return run;
}

Result<std::vector<control::RunRecord>> FakeRecords::Admit() {
  ++admissions;
  std::vector<control::RunRecord> admitted;
  for (auto& [uid, of_task] : runs) {
    if (!has_room || of_task.empty() || of_task.back().state != RunState::kQueued) continue;
    if (of_task.back().hold) continue;
    of_task.back().state = RunState::kDispatched;
    admitted.push_back(of_task.back());
  }
  return admitted;
}

Result<std::optional<control::Wait>> FakeRecords::WaitOf(const std::string& run_id, std::stop_token) {
  if (before_wait) before_wait();
  const auto found = waits.find(run_id);
  if (found == waits.end()) return std::optional<control::Wait>();
  return std::optional<control::Wait>(found->second);
}

Status FakeRecords::HoldBack(const std::string& run_id, const std::string& reason, const std::string& message,
                             std::optional<std::chrono::seconds> retry_after) {
  auto* run = Find(run_id);
  if (run == nullptr) return ybis::Fail(ErrorCode::kNotFound, "no run " + run_id);
  if (run->state != RunState::kQueued && run->state != RunState::kDispatched) return {};
  run->state = RunState::kQueued;
  run->hold = control::Hold{reason, message, retry_after};
  if (retry_after && holds_end_at_once) run->hold->left = std::chrono::seconds(0);
  return {};
}

Status FakeRecords::Release(const std::string& run_id) {
  auto* run = Find(run_id);
  if (run == nullptr) return ybis::Fail(ErrorCode::kNotFound, "no run " + run_id);
  run->hold.reset();
  return {};
}

Status FakeRecords::Cancel(const std::string& run_id, const std::string& reason) {
  auto* run = Find(run_id);
  if (run == nullptr) return ybis::Fail(ErrorCode::kNotFound, "no run " + run_id);
  run->cancel_requested = true;
  if (run->state != RunState::kRunning)
    return Fail(run_id, {api::FailureClass::kCancelled, "Cancelled", reason});
  return {};
}

Status FakeRecords::Fail(const std::string& run_id, const api::Failure& failure) {
  auto* run = Find(run_id);
  if (run == nullptr) return ybis::Fail(ErrorCode::kNotFound, "no run " + run_id);
  if (IsTerminal(run->state)) return {};
  run->state =
      failure.failure_class == api::FailureClass::kCancelled ? RunState::kCancelled : RunState::kFailed;
  run->failure = failure;
  run->finished = kNow;
  return {};
}

Status FakeRecords::RecordEvent(const std::string&, const std::string&, const std::string& type,
                                const std::string&) {
  journal.push_back(type);
  return {};
}

Status FakeRecords::HolderLost(const std::string&, const std::string& holder, std::stop_token) {
  lost.push_back(holder);
  return {};
}

Result<std::vector<OpenRun>> FakeRecords::List(std::stop_token) {
  if (broken) return ybis::Fail(*broken);
  std::vector<OpenRun> open;
  for (const auto& [uid, of_task] : runs) {
    for (const auto& run : of_task) {
      if (IsTerminal(run.state)) continue;
      open.push_back({run.run_id, uid, run.task_namespace, run.task_name, run.state, run.cancel_requested});
    }
  }
  return open;
}

}  // namespace ybis::op::testing
