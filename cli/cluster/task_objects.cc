#include "cli/cluster/task_objects.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

namespace ybis::cli {
namespace {

using control::TaskOrder;
using control::TaskSummary;
using nlohmann::json;

/// The member at a path of keys, or null.
const json& At(const json& object, std::initializer_list<const char*> path) {
  static const json nothing;
  const json* at = &object;
  for (const char* key : path) {
    if (!at->is_object()) return nothing;
    const auto found = at->find(key);
    if (found == at->end()) return nothing;
    at = &*found;
  }
  return *at;
}

std::string Text(const json& object, std::initializer_list<const char*> path, std::string fallback = {}) {
  const json& value = At(object, path);
  return value.is_string() ? value.get<std::string>() : std::move(fallback);
}

int64_t Number(const json& object, std::initializer_list<const char*> path) {
  const json& value = At(object, path);
  return value.is_number() ? value.get<int64_t>() : 0;
}

std::optional<TimePoint> Time(const json& object, std::initializer_list<const char*> path) {
  const auto time = ParseRfc3339(Text(object, path));
  return time ? std::optional<TimePoint>(*time) : std::nullopt;
}

/// Why a task does not begin: its Accepted condition when that is False.
const json* Refusal(const json& object) {
  const json& conditions = At(object, {"status", "conditions"});
  if (!conditions.is_array()) return nullptr;
  for (const json& condition : conditions) {
    if (Text(condition, {"type"}) == "Accepted" && Text(condition, {"status"}) == "False") return &condition;
  }
  return nullptr;
}

int PriorityRank(const std::string& priority) { return priority == "HIGH" ? 0 : priority == "LOW" ? 2 : 1; }

int StatusRank(const std::string& state) {
  constexpr std::array<const char*, 7> kOrder = {"Running", "Queued",    "Pending",  "Blocked",
                                                 "Failed",  "Cancelled", "Completed"};
  return static_cast<int>(std::find(kOrder.begin(), kOrder.end(), state) - kOrder.begin());
}

bool Newer(const TaskSummary& a, const TaskSummary& b) {
  return a.created != b.created ? a.created > b.created : a.uid < b.uid;
}

bool Before(const TaskSummary& a, const TaskSummary& b, TaskOrder order) {
  switch (order) {
    case TaskOrder::kOldest:
      return a.created != b.created ? a.created < b.created : a.uid < b.uid;
    case TaskOrder::kPriority:
      if (PriorityRank(a.priority) != PriorityRank(b.priority))
        return PriorityRank(a.priority) < PriorityRank(b.priority);
      break;
    case TaskOrder::kName:
      return std::tie(a.name, a.namespace_name) < std::tie(b.name, b.namespace_name);
    case TaskOrder::kStatus:
      if (StatusRank(a.state) != StatusRank(b.state)) return StatusRank(a.state) < StatusRank(b.state);
      break;
    case TaskOrder::kNewest:
      break;
  }
  return Newer(a, b);
}

}  // namespace

TaskSummary SummaryOf(const json& object) {
  TaskSummary task;
  task.uid = kube::MetaString(object, "uid");
  task.namespace_name = kube::MetaString(object, "namespace");
  task.name = kube::MetaString(object, "name");
  task.created = Time(object, {"metadata", "creationTimestamp"}).value_or(TimePoint());
  task.runs = Number(object, {"status", "run", "number"});
  task.run_id = Text(object, {"status", "run", "id"});
  task.state = Text(object, {"status", "phase"}, "Pending");
  task.node = Text(object, {"status", "run", "node"});
  task.attempt = Number(object, {"status", "run", "attempt"});
  task.started = Time(object, {"status", "run", "startTime"});
  task.finished = Time(object, {"status", "run", "completionTime"});
  task.reason = Text(object, {"status", "failure", "reason"});
  task.message = Text(object, {"status", "failure", "message"});
  if (const json* refusal = Refusal(object); refusal != nullptr && task.reason.empty()) {
    task.reason = Text(*refusal, {"reason"});
    task.message = Text(*refusal, {"message"});
  }
  task.branch = Text(object, {"status", "result", "branch"});
  task.tokens =
      Number(object, {"status", "usage", "tokensIn"}) + Number(object, {"status", "usage", "tokensOut"});
  const json& cost = At(object, {"status", "usage", "costUSD"});
  task.cost_usd = cost.is_number() ? cost.get<double>() : 0;
  task.title = Text(object, {"spec", "title"});
  task.objective = Text(object, {"spec", "objective"});
  task.priority = Text(object, {"spec", "priority"}, "MEDIUM");
  task.repository = Text(object, {"spec", "repository", "url"});
  task.workflow = Text(object, {"spec", "workflowRef", "name"}, "ybis-native");
  return task;
}

Result<TaskView> ViewOf(json object) {
  auto task = api::ParseTask(object);
  if (!task) {
    return FailIn(fmt::format("task {}: this program cannot read what the cluster has",
                              kube::MetaString(object, "name")),
                  task.error());
  }
  TaskView view;
  view.name = task->meta.name;
  view.namespace_name = task->meta.namespace_name;
  view.uid = task->meta.uid;
  view.created = task->meta.creation_time;
  view.workflow = task->spec.workflow;
  view.current = task->status.observed_generation >= task->meta.generation;
  view.spec = std::move(task->spec);
  view.status = std::move(task->status);
  view.object = std::make_shared<const json>(std::move(object));
  return view;
}

bool Means(const std::string& reference, const json& object) {
  const std::string uid = kube::MetaString(object, "uid");
  if (reference == kube::MetaString(object, "name")) return true;
  if (reference.size() >= 4 && uid.starts_with(reference)) return true;
  return RunNumber(reference, uid, Number(object, {"status", "run", "number"})) > 0;
}

void Arrange(std::vector<TaskSummary>& tasks, TaskOrder order, int64_t limit) {
  const auto before = [order](const TaskSummary& a, const TaskSummary& b) { return Before(a, b, order); };
  const auto kept = std::min(tasks.size(), static_cast<size_t>(std::max<int64_t>(0, limit)));
  std::partial_sort(tasks.begin(), tasks.begin() + static_cast<ptrdiff_t>(kept), tasks.end(), before);
  tasks.resize(kept);
}

std::optional<control::LeaseSummary> LeaseOf(const json& object) {
  if (Text(object, {"status", "phase"}) != "Running") return std::nullopt;
  control::LeaseSummary lease;
  lease.run_id = Text(object, {"status", "run", "id"});
  lease.task = kube::KeyOf(object).ToString();
  lease.state = "Running";
  lease.holder = "job/" + Text(object, {"status", "run", "jobName"});
  lease.node = Text(object, {"status", "run", "node"});
  lease.attempt = Number(object, {"status", "run", "attempt"});
  lease.granted = Time(object, {"status", "run", "startTime"})
                      .value_or(Time(object, {"metadata", "creationTimestamp"}).value_or(TimePoint()));
  return lease;
}

}  // namespace ybis::cli
