#include "operator/watches.h"

#include <nlohmann/json.hpp>

#include "api/meta.h"
#include "base/log.h"

namespace ybis::op {
namespace {

std::string OurTasks(const std::string& instance) {
  return instance.empty() ? "!ybis.dev/operator" : "ybis.dev/operator=" + instance;
}

std::string ManagedByUs() { return fmt::format("{}={}", api::kManagedByLabel, api::kManagedBy); }

kube::ReflectorSettings Settings(const kube::Resource& resource, const std::string& ns,
                                 const std::string& labels = {}, const std::string& fields = {}) {
  kube::ReflectorSettings settings;
  settings.resource = resource;
  settings.ns = ns;
  settings.label_selector = labels;
  settings.field_selector = fields;
  return settings;
}

/// The workflow that a task names, defaults filled in by the API server.
std::string WorkflowOf(const nlohmann::json& task) {
  static const nlohmann::json::json_pointer path("/spec/workflowRef/name");
  return task.contains(path) && task.at(path).is_string() ? task.at(path).get<std::string>() : std::string();
}

}  // namespace

Watches::Watches(kube::Reader& reader, kube::Watcher& watcher, Clock& clock, const WatchSettings& settings,
                 WatchSinks sinks)
    : sinks_(std::move(sinks)),
      tasks_(reader, watcher, clock, Settings(kube::kTasks, settings.ns, OurTasks(settings.instance)),
             [this](const kube::Key& key, const kube::Object& object) { OnTask(key, object); }),
      workflows_(reader, watcher, clock, Settings(kube::kWorkflows, settings.ns),
                 [this](const kube::Key& key, const kube::Object&) { OnWorkflow(key); }),
      approvals_(reader, watcher, clock, Settings(kube::kApprovals, settings.ns),
                 [this](const kube::Key& key, const kube::Object& object) {
                   if (object) sinks_.approval(key);
                 }),
      jobs_(reader, watcher, clock, Settings(kube::kJobs, settings.ns, ManagedByUs()),
            [this](const kube::Key& key, const kube::Object& object) {
              if (const auto task = owners_.OnJob(key, object)) sinks_.task(*task);
            }),
      pods_(reader, watcher, clock, Settings(kube::kPods, settings.ns, ManagedByUs()),
            [this](const kube::Key& key, const kube::Object& object) {
              if (const auto task = owners_.OnPod(key, object)) sinks_.task(*task);
            }),
      secret_(reader, watcher, clock,
              Settings(kube::kSecrets, settings.serving_secret.ns, "",
                       "metadata.name=" + settings.serving_secret.name),
              [this](const kube::Key&, const kube::Object& object) {
                if (object) sinks_.serving_secret(*object);
              }),
      all_{{"tasks", &tasks_}, {"workflows", &workflows_}, {"approvals", &approvals_},
           {"jobs", &jobs_},   {"pods", &pods_},           {"certificate", &secret_}} {}

void Watches::OnTask(const kube::Key& key, const kube::Object& object) {
  sinks_.task(key);
  if (!object) sinks_.task_deleted();
}

/// Tasks that name the workflow may have been waiting for it.
void Watches::OnWorkflow(const kube::Key& key) {
  sinks_.workflow(key);
  for (const kube::Object& task : tasks_.Objects().List(key.ns)) {
    if (WorkflowOf(*task) == key.name) sinks_.task(kube::KeyOf(*task));
  }
}

void Watches::Start() {
  for (auto& [name, reflector] : all_) reflector->Start();
}

void Watches::Stop() {
  for (auto& [name, reflector] : all_) reflector->Stop();
}

Status Watches::Synced() {
  for (auto& [name, reflector] : all_) {
    if (reflector->HasSynced()) continue;
    const std::string error = reflector->LastError();
    return Fail(ErrorCode::kUnavailable,
                fmt::format("{} not listed yet{}{}", name, error.empty() ? "" : ": ", error));
  }
  return {};
}

bool Watches::WaitForSync(std::stop_token stop) {
  for (auto& [name, reflector] : all_) {
    while (!reflector->WaitForSync(std::chrono::seconds(10), stop)) {
      if (stop.stop_requested()) return false;
      log::Warn("still waiting for the first list", {{"what", name}, {"error", reflector->LastError()}});
    }
  }
  return true;
}

Caches Watches::Objects() {
  return {tasks_.Objects(), workflows_.Objects(), jobs_.Objects(), pods_.Objects()};
}

}  // namespace ybis::op
