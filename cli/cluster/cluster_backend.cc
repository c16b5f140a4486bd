#include "cli/cluster/cluster_backend.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/digest.h"
#include "cli/cluster/decisions.h"
#include "cli/cluster/pod_logs.h"
#include "cli/cluster/task_objects.h"

namespace ybis::cli {
namespace {

using nlohmann::json;

// The chart's roles (release name ybis).
constexpr const char* kViewer = "ybis-task-viewer";
constexpr const char* kEditor = "ybis-task-editor";
constexpr const char* kApprover = "ybis-approver";
constexpr const char* kRecordViewer = "ybis-viewer";
constexpr int kPage = 1000;  // a page is a round trip, and somebody waits
constexpr auto kDecisionWait = std::chrono::seconds(15);
constexpr auto kPause = std::chrono::milliseconds(400);

/// The API's server defaults as the manifest leaves them out: names the workflow in words of the manifest.
std::string UidStart(const json& object) { return kube::MetaString(object, "uid").substr(0, 8); }

WorkflowView WorkflowOf(const json& object) {
  auto workflow = api::ParseWorkflow(object);
  if (!workflow) {
    WorkflowView view;
    view.spec.name = kube::MetaString(object, "name");
    view.problem = workflow.error().message;
    return view;
  }
  WorkflowView view{std::move(workflow->spec), {}};
  const api::Condition* accepted = api::FindCondition(workflow->conditions, "Accepted");
  if (accepted != nullptr && accepted->status == "False") view.problem = accepted->message;
  return view;
}

}  // namespace

ClusterBackend::ClusterBackend(Cluster cluster, CommandForm command)
    : cluster_(std::move(cluster)),
      command_(std::move(command)),
      api_(*cluster_.client),
      record_(api_, cluster_.namespace_name) {}

Result<std::unique_ptr<ClusterBackend>> ClusterBackend::Open(const BackendOptions& options,
                                                             std::stop_token stop) {
  YBIS_ASSIGN(Cluster cluster, Connect(options, stop));
  return std::make_unique<ClusterBackend>(std::move(cluster), FormOf(options));
}

CommandForm ClusterBackend::FormOf(const BackendOptions& options) {
  CommandForm form;
  form.program = options.plugin ? kPluginName : "ybis";
  if (!options.plugin) form.flags = " --backend cluster";
  if (!options.kubeconfig.empty()) form.flags += " --kubeconfig " + options.kubeconfig;
  if (!options.context.empty()) form.flags += " --context " + options.context;
  if (!options.namespace_name.empty()) form.flags += " -n " + options.namespace_name;
  return form;
}

Error ClusterBackend::Told(Error error, const char* role) const {
  return Explained(std::move(error), cluster_.source, role);
}

Error ClusterBackend::WithoutRecord(Error error, const std::string& instead) const {
  const bool missing = error.code == ErrorCode::kUnsupported || error.code == ErrorCode::kUnavailable;
  error = Told(std::move(error), kRecordViewer);
  if (missing && !instead.empty()) error.message += "\n" + instead;
  return error;
}

Status ClusterBackend::ForEach(const kube::Resource& resource, const std::string& ns,
                               const OnObject& on_object, std::stop_token stop) {
  kube::ListOptions options;
  options.limit = kPage;
  do {
    auto page = api_.List(resource, ns, options, stop);
    if (!page) return Fail(Told(page.error(), kViewer));
    for (const kube::Object& object : page->items) on_object(object);
    options.continue_token = page->continue_token;
  } while (!options.continue_token.empty());
  return {};
}

Result<json> ClusterBackend::ReadObject(const NewTask& task) const {
  YBIS_ASSIGN(json object, ReadManifest(task.file, task.flags, {.folders = false, .workflow_files = false}));
  const json given = object["metadata"].value("namespace", json());
  if (!given.is_string() || given.get<std::string>().empty()) {
    object["metadata"]["namespace"] = cluster_.namespace_name;
  } else if (given != cluster_.namespace_name) {
    return Fail(ErrorCode::kInvalid,
                fmt::format("metadata.namespace: is {}, and the command works in {}; add -n {}",
                            given.get<std::string>(), cluster_.namespace_name, given.get<std::string>()));
  }
  object.erase("status");
  return object;
}

Result<CreatedTask> ClusterBackend::Create(const NewTask& task, std::stop_token stop) {
  YBIS_ASSIGN(const json object, ReadObject(task));
  const auto made = api_.Create(kube::kTasks, object, stop);
  if (!made && made.error().code == ErrorCode::kExists) {
    const std::string name = kube::KeyOf(object).name;
    return Fail(
        ErrorCode::kExists,
        fmt::format("task {} is there already: `{}` starts it again; give another --name for a new one", name,
                    command_("retry " + name)));
  }
  if (!made) return Fail(Told(made.error(), kEditor));
  CreatedTask created{kube::MetaString(*made, "name"), kube::MetaString(*made, "uid"), {}, {}};
  created.next = fmt::format("task {} ({}) is queued; `{}` follows it", created.name, UidStart(*made),
                             command_("run " + created.name));
  return created;
}

Result<TaskView> ClusterBackend::Apply(const NewTask& task, std::stop_token stop) {
  YBIS_ASSIGN(json object, ReadObject(task));
  const kube::Key key = kube::KeyOf(object);
  auto made = api_.Create(kube::kTasks, object, stop);
  if (made) return ViewOf(std::move(*made));
  if (made.error().code != ErrorCode::kExists) return Fail(Told(made.error(), kEditor));
  YBIS_ASSIGN(const TaskView known, Find(key.name, stop));
  if (!IsOver(known)) {
    return Fail(ErrorCode::kConflict,
                fmt::format("run {} of task {} is under way ({}); `{}` follows it", known.run_id(), key.name,
                            ToString(known.status.phase), command_("run " + key.name)));
  }
  // The node that a retry named is another field manager's: left out, it would stay.
  object["spec"]["rerun"] = {{"token", RandomHex(8)}, {"fromNode", ""}};
  object["spec"]["cancel"] = false;
  auto applied = api_.Patch(kube::kTasks, key, object,
                            {.type = kube::PatchType::kApply, .field_manager = "ybis", .force = true}, stop);
  if (!applied) return Fail(Told(applied.error(), kEditor));
  return ViewOf(std::move(*applied));
}

Result<TaskView> ClusterBackend::Read(const NewTask& task) const {
  YBIS_ASSIGN(json object, ReadObject(task));
  return ViewOf(std::move(object));
}

Result<TaskView> ClusterBackend::RunAgain(const TaskView& task, const std::string& workflow,
                                          std::stop_token stop) {
  const json patch = {{"spec",
                       {{"cancel", nullptr},
                        {"workflowRef", {{"name", workflow}}},
                        {"rerun", {{"token", RandomHex(8)}, {"fromNode", nullptr}}}}}};
  auto done = api_.Patch(kube::kTasks, {task.namespace_name, task.name}, patch, {}, std::move(stop));
  if (!done) return Fail(Told(done.error(), kEditor));
  return ViewOf(std::move(*done));
}

Result<bool> ClusterBackend::IsDecided(const TaskView& task, std::stop_token stop) {
  const std::optional<control::Wait> wait = WaitFrom(task);
  if (!wait) return false;
  bool decided = false;
  const Status listed = ForEach(
      kube::kApprovals, task.namespace_name,
      [&](const kube::Object& object) {
        const auto approval = api::ParseApproval(*object);
        decided = decided || (approval && approval->status.phase == api::ApprovalPhase::kApplied &&
                              approval->spec.run_id == wait->run_id &&
                              approval->spec.subject_digest == wait->subject_digest);
      },
      std::move(stop));
  if (!listed && listed.error().code != ErrorCode::kDenied) return Fail(listed.error());
  return decided;
}

Result<TaskView> ClusterBackend::AfterDecisions(TaskView task, std::stop_token stop) {
  YBIS_ASSIGN(const bool decided, IsDecided(task, stop));
  if (!decided) return task;
  const std::string digest = task.status.approval->subject_digest;
  for (const TimePoint until = SystemClock().Now() + kDecisionWait; SystemClock().Now() < until;) {
    YBIS_ASSIGN(task, Find(task.name, stop));
    const std::optional<control::Wait> wait = WaitFrom(task);
    if (!wait || wait->subject_digest != digest) break;
    if (!SystemClock().SleepFor(kPause, stop)) return Fail(ErrorCode::kCancelled, "stopped");
  }
  return task;
}

Result<std::vector<control::TaskSummary>> ClusterBackend::List(const TaskQuery& query, std::stop_token stop) {
  std::vector<control::TaskSummary> tasks;
  const auto wanted = [&query](const control::TaskSummary& task) {
    return query.phases.empty() ||
           std::find(query.phases.begin(), query.phases.end(), task.state) != query.phases.end();
  };
  YBIS_TRY(ForEach(
      kube::kTasks, query.all_namespaces ? "" : cluster_.namespace_name,
      [&](const kube::Object& object) {
        auto task = SummaryOf(*object);
        if (wanted(task)) tasks.push_back(std::move(task));
      },
      stop));
  Arrange(tasks, query.order, query.limit);
  return tasks;
}

Result<json> ClusterBackend::FindObject(const std::string& reference, std::stop_token stop) {
  const std::string& ns = cluster_.namespace_name;
  auto named = api_.Get(kube::kTasks, {ns, reference}, stop);
  if (named) return named;
  Error error = Told(named.error(), kViewer);
  if (error.code != ErrorCode::kNotFound) return Fail(std::move(error));
  std::vector<kube::Object> found;
  YBIS_TRY(ForEach(
      kube::kTasks, ns,
      [&](const kube::Object& object) {
        if (Means(reference, *object)) found.push_back(object);
      },
      stop));
  if (found.empty()) {
    return Fail(ErrorCode::kNotFound,
                fmt::format("no task or run '{}' in namespace {}; `{}` shows what there is", reference, ns,
                            command_("task list")));
  }
  if (found.size() == 1) return json(*found.front());
  std::string names;
  for (const kube::Object& object : found)
    names += (names.empty() ? "" : ", ") + kube::KeyOf(*object).name + " (" + UidStart(*object) + ")";
  return Fail(ErrorCode::kInvalid,
              fmt::format("'{}' may be any of {}; give more of the uid", reference, names));
}

Result<TaskView> ClusterBackend::Find(const std::string& reference, std::stop_token stop) {
  YBIS_ASSIGN(json object, FindObject(reference, stop));
  YBIS_ASSIGN(TaskView view, ViewOf(std::move(object)));
  KeepOlderRun(view, reference);
  return view;
}

Result<std::string> ClusterBackend::Cancel(const TaskView& task, const std::string& reason,
                                           std::stop_token stop) {
  json patch = {{"spec", {{"cancel", true}}}};
  if (!reason.empty()) patch["metadata"]["annotations"]["ybis.dev/cancel-reason"] = reason;
  const auto done = api_.Patch(kube::kTasks, {task.namespace_name, task.name}, patch, {}, stop);
  if (!done) return Fail(Told(done.error(), kEditor));
  return task.run_id().empty() ? fmt::format("task {} is being cancelled", task.name)
                               : fmt::format("run {} of task {} is being stopped", task.run_id(), task.name);
}

Result<std::string> ClusterBackend::Retry(const TaskView& task, const std::string& from_node,
                                          std::stop_token stop) {
  // A task that was cancelled stays so until its `cancel` is taken back.
  const json patch = {
      {"spec",
       {{"cancel", nullptr},
        {"rerun", {{"token", RandomHex(8)}, {"fromNode", from_node.empty() ? json() : json(from_node)}}}}}};
  const auto done = api_.Patch(kube::kTasks, {task.namespace_name, task.name}, patch, {}, stop);
  if (!done) return Fail(Told(done.error(), kEditor));
  return fmt::format("task {} is queued again; `{}` follows it", task.name, command_("run " + task.name));
}

Result<std::vector<control::NodeSummary>> ClusterBackend::Nodes(const TaskView& task, int64_t after,
                                                                std::stop_token stop) {
  if (task.run_id().empty()) return std::vector<control::NodeSummary>();
  auto nodes = record_.Nodes(task.run_id(), after, stop);
  if (!nodes) return Fail(WithoutRecord(nodes.error(), {}));
  return nodes;
}

Result<std::vector<control::JournalEntry>> ClusterBackend::Events(const TaskView& task, int64_t after,
                                                                  int64_t limit, std::stop_token stop) {
  if (task.run_id().empty()) return std::vector<control::JournalEntry>();
  auto events = record_.Events(task.run_id(), after, limit, stop);
  if (events) return events;
  return Fail(WithoutRecord(events.error(),
                            fmt::format("what Kubernetes knows: kubectl -n {} events --for ybistask/{}",
                                        task.namespace_name, task.name)));
}

Result<std::vector<api::ArtifactRef>> ClusterBackend::Artifacts(const TaskView& task, std::stop_token stop) {
  auto artifacts = record_.Artifacts(task.run_id(), stop);
  // The task itself names the standard ones of its newest run.
  if (!artifacts && artifacts.error().code == ErrorCode::kUnsupported && task.older_run.empty())
    return task.status.artifacts;
  if (!artifacts) return Fail(WithoutRecord(artifacts.error(), {}));
  return artifacts;
}

Result<std::string> ClusterBackend::Artifact(const TaskView& task, const std::string& name,
                                             std::stop_token stop) {
  auto bytes = record_.Artifact(task.run_id(), name, stop);
  if (bytes) return bytes;
  const auto& result = task.status.result;
  const bool pushed = result && !result->branch.empty() && task.older_run.empty();
  return Fail(WithoutRecord(
      bytes.error(),
      pushed ? fmt::format("the change is on the git host: git fetch {0} {1} && git show FETCH_HEAD",
                           task.spec.repository.url, result->branch)
             : std::string()));
}

Status ClusterBackend::Follow(const TaskView& task, const std::function<void(std::string_view)>& write,
                              std::stop_token stop) {
  TaskView now = task;
  std::unique_ptr<PodLogs> pods;
  for (bool over = IsOver(now);;) {
    if (!pods && !now.run_id().empty())
      pods = std::make_unique<PodLogs>(api_, now.namespace_name, now.run_id());
    if (pods) {
      const auto copied = pods->Follow(write, stop);
      if (!copied) return Fail(Told(copied.error(), "view"));
    }
    if (over) return {};
    if (!SystemClock().SleepFor(kPause, stop)) return Fail(ErrorCode::kCancelled, "stopped");
    YBIS_ASSIGN(over, HasEnded(*this, now, stop));
  }
}

Status ClusterBackend::Logs(const TaskView& task, bool follow,
                            const std::function<void(std::string_view)>& write, std::stop_token stop) {
  if (follow && !IsOver(task)) return Follow(task, write, stop);
  if (task.run_id().empty())
    return Fail(ErrorCode::kNotFound, fmt::format("task {} has no run yet", task.name));
  Status copied = PodLogs(api_, task.namespace_name, task.run_id()).Copy(write, stop);
  if (copied) return copied;
  // The pod is gone: what the runner put into the record tells the same.
  const auto lines = record_.Artifact(task.run_id(), "logs.jsonl", stop);
  if (lines) {
    write(*lines);
    return {};
  }
  Error error = Told(copied.error(), "view");
  if (error.code == ErrorCode::kNotFound)
    error.message = fmt::format("the pods of run {} are gone, and {}", task.run_id(), lines.error().message);
  return Fail(std::move(error));
}

Result<std::optional<control::Wait>> ClusterBackend::WaitOf(const TaskView& task, std::stop_token) {
  return WaitFrom(task);
}

Result<control::ApprovalResult> ClusterBackend::Decide(const TaskView& task, control::ApprovalRequest request,
                                                       std::stop_token stop) {
  auto me = api_.WhoAmI(stop);
  if (!me) return Fail(Told(me.error(), kApprover));
  request.approver = std::move(me->username);
  const json object = ApprovalObject(task, request);
  const auto made = api_.Create(kube::kApprovals, object, stop);
  if (!made) return Fail(Told(made.error(), kApprover));
  return Outcome(task, kube::KeyOf(object), std::move(stop));
}

Result<control::ApprovalResult> ClusterBackend::Outcome(const TaskView& task, const kube::Key& key,
                                                        std::stop_token stop) {
  for (const TimePoint until = SystemClock().Now() + kDecisionWait;;) {
    const auto object = api_.Get(kube::kApprovals, key, stop);
    if (!object) return Fail(Told(object.error(), kApprover));
    YBIS_ASSIGN(const api::Approval approval, api::ParseApproval(*object));
    if (approval.status.phase != api::ApprovalPhase::kPending) return ResultOf(task, approval);
    if (SystemClock().Now() >= until) {
      return Fail(ErrorCode::kTimeout,
                  fmt::format("the decision is made (YbisApproval {}), and no operator has looked at it yet: "
                              "`kubectl -n {} get ybisapproval {}` tells what comes of it",
                              key.name, key.ns, key.name));
    }
    if (!SystemClock().SleepFor(std::chrono::milliseconds(150), stop))
      return Fail(ErrorCode::kCancelled, "stopped; the decision is made");
  }
}

std::string ClusterBackend::AfterDecision(const TaskView& task) const {
  return fmt::format("`{}` follows it", command_("run " + task.name));
}

Result<std::vector<LeaseView>> ClusterBackend::Leases(std::stop_token stop) {
  std::vector<LeaseView> out;
  YBIS_TRY(ForEach(
      kube::kTasks, cluster_.namespace_name,
      [&out](const kube::Object& object) {
        if (auto lease = LeaseOf(*object)) out.push_back({std::move(*lease), false});
      },
      stop));
  return out;
}

Result<std::vector<WorkflowView>> ClusterBackend::Workflows(std::stop_token stop) {
  std::vector<WorkflowView> out;
  YBIS_TRY(ForEach(
      kube::kWorkflows, cluster_.namespace_name,
      [&out](const kube::Object& object) { out.push_back(WorkflowOf(*object)); }, stop));
  return out;
}

Result<WorkflowView> ClusterBackend::Workflow(const std::string& name, std::stop_token stop) {
  const auto object = api_.Get(kube::kWorkflows, {cluster_.namespace_name, name}, stop);
  if (object) return WorkflowOf(*object);
  Error error = Told(object.error(), kViewer);
  if (error.code == ErrorCode::kNotFound) {
    error.message = fmt::format("no workflow {} in namespace {}; the built-in ones are `{}`", name,
                                cluster_.namespace_name, "ybis workflow list --backend local");
  }
  return Fail(std::move(error));
}

}  // namespace ybis::cli
