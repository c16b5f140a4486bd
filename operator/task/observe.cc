#include "operator/task/observe.h"

#include <fmt/ranges.h>

#include <nlohmann/json.hpp>

#include "workflow/graph.h"
#include "workflow/loader.h"

namespace ybis::op {
namespace {

using nlohmann::json;

/// Metadata of a task whose spec cannot be read, and of its status whatever can.
Result<api::Task> ParseShell(const json& object) {
  json shell = {{"metadata", object.value("metadata", json::object())},
                {"spec", {{"objective", "-"}, {"repository", {{"url", "https://invalid"}}}}}};
  if (object.contains("status")) shell["status"] = object["status"];
  if (auto task = api::ParseTask(shell)) return task;
  shell.erase("status");
  return api::ParseTask(shell);
}

Status ReadTask(Snapshot& snapshot) {
  auto task = api::ParseTask(*snapshot.object);
  if (task) {
    snapshot.task = std::move(*task);
    return {};
  }
  YBIS_ASSIGN(snapshot.task, ParseShell(*snapshot.object));
  // A status that somebody broke is no fault of the spec's: it is written anew.
  if (!task.error().message.starts_with("status")) snapshot.invalid = task.error();
  return {};
}

}  // namespace

TaskObserver::TaskObserver(Caches caches, control::TaskRecords& records, Waits& waits, kube::Reader& reader,
                           Clock& clock, std::function<std::string()> run_api_ca)
    : caches_(caches),
      records_(records),
      waits_(waits),
      reader_(reader),
      clock_(clock),
      run_api_ca_(std::move(run_api_ca)) {}

Result<Snapshot> TaskObserver::Observe(const kube::Key& key, std::stop_token stop) const {
  Snapshot snapshot;
  snapshot.key = key;
  snapshot.current = caches_.tasks.Current(key);
  snapshot.object = caches_.tasks.Get(key);
  if (!snapshot.object) return snapshot;
  snapshot.exists = true;
  YBIS_TRY(ReadTask(snapshot));
  const std::string& uid = snapshot.task.meta.uid;
  const auto jobs_before = caches_.jobs.ByOwner(uid);
  YBIS_ASSIGN(snapshot.run, records_.LatestRun(uid));
  YBIS_TRY(ObserveWait(snapshot, stop));
  if (snapshot.run) {
    const kube::Key job_key{key.ns, JobName(snapshot.run->run_id)};
    snapshot.current = snapshot.current && caches_.jobs.Current(job_key);
    for (const kube::Object& job : jobs_before) {
      if (kube::KeyOf(*job) == job_key) snapshot.job = ViewJob(*job);
    }
    // One of that name with another owner stands in the way.
    if (const kube::Object other = caches_.jobs.Get(job_key); other && kube::ControllerUid(*other) != uid) {
      snapshot.job = ViewJob(*other);
    }
    ObserveRun(snapshot);
  }
  if (WantsNewRun(snapshot) || WantsEdit(snapshot) || HeldForRefusal(snapshot)) {
    YBIS_TRY(ObserveForSubmission(snapshot, stop));
  }
  snapshot.run_api_ca = run_api_ca_();
  return snapshot;
}

Status TaskObserver::ObserveWait(Snapshot& snapshot, std::stop_token stop) const {
  if (!snapshot.run || snapshot.run->state != control::RunState::kBlocked) return {};
  YBIS_ASSIGN(snapshot.wait, waits_.WaitOf(snapshot.run->run_id, stop));
  if (snapshot.wait) return {};
  // Decided between the two questions.
  YBIS_ASSIGN(snapshot.run, records_.LatestRun(snapshot.task.meta.uid));
  return {};
}

void TaskObserver::ObserveRun(Snapshot& snapshot) const {
  const TimePoint now = clock_.Now();
  if (snapshot.job) {
    for (const kube::Object& pod : caches_.pods.ByOwner(snapshot.job->uid))
      snapshot.pods.push_back(ViewPod(*pod, now));
    return;
  }
  // Pods whose Job has gone matter only while a run is being stopped; a walk over all pods is too dear
  // otherwise.
  if (!snapshot.run->cancel_requested || IsTerminal(snapshot.run->state)) return;
  for (const kube::Object& pod : caches_.pods.List(snapshot.key.ns)) {
    if (HasLabel(*pod, api::kRunIdLabel, snapshot.run->run_id)) snapshot.pods.push_back(ViewPod(*pod, now));
  }
}

Status TaskObserver::ObserveForSubmission(Snapshot& snapshot, std::stop_token stop) const {
  const api::TaskSpec& spec = snapshot.task.spec;
  snapshot.workflow = FindWorkflow(snapshot.key.ns, spec.workflow);
  YBIS_TRY(CheckSecret(snapshot, spec.repository.credentials_secret, "spec.repository.credentialsSecretRef",
                       stop));
  return CheckSecret(snapshot, spec.repository.ca_bundle_secret, "spec.repository.caBundleSecretRef", stop);
}

Status TaskObserver::CheckSecret(Snapshot& snapshot, const std::string& name, const std::string& field,
                                 std::stop_token stop) const {
  if (name.empty()) return {};
  const auto secret = reader_.Get(kube::kSecrets, {snapshot.key.ns, name}, stop);
  if (secret) return {};
  if (secret.error().code == ErrorCode::kNotFound) {
    snapshot.missing_secrets.push_back(fmt::format("Secret {} ({})", name, field));
    return {};
  }
  // An installation that grants us no look at Secrets learns it from the pod instead.
  if (secret.error().code == ErrorCode::kDenied) return {};
  return FailIn("looking for Secret " + name, secret.error());
}

WorkflowChoice TaskObserver::FindWorkflow(const std::string& ns, const std::string& name) const {
  if (const kube::Object object = caches_.workflows.Get({ns, name})) {
    auto parsed = api::ParseWorkflow(*object);
    if (!parsed)
      return {std::nullopt, "WorkflowInvalid",
              fmt::format("YbisWorkflow {}: {}", name, parsed.error().message)};
    if (const auto problems = workflow::Validate(parsed->spec); !problems.empty()) {
      return {std::nullopt, "WorkflowInvalid",
              fmt::format("YbisWorkflow {}: {}", name, fmt::join(problems, "; "))};
    }
    return {std::move(parsed->spec), "", ""};
  }
  auto built_in = workflow::BuiltInWorkflow(name);
  if (built_in) return {std::move(*built_in), "", ""};
  return {std::nullopt, "WorkflowNotFound",
          fmt::format("spec.workflowRef.name: there is no YbisWorkflow '{}' in namespace {}, and the "
                      "built-in ones are: {}",
                      name, ns, fmt::join(workflow::BuiltInWorkflowNames(), ", "))};
}

}  // namespace ybis::op
