#include "operator/task/snapshot.h"

#include <nlohmann/json.hpp>

namespace ybis::op {
namespace {

using nlohmann::json;

constexpr auto kSlowStart = std::chrono::seconds(30);
constexpr auto kSchedulingGrace = std::chrono::seconds(10);

const json& Member(const json& object, const char* name) {
  static const json null;
  if (!object.is_object()) return null;
  const auto found = object.find(name);
  return found == object.end() ? null : *found;
}

std::string Text(const json& object, const char* name) {
  const json& value = Member(object, name);
  return value.is_string() ? value.get<std::string>() : std::string();
}

const json* FindByType(const json& conditions, std::string_view type) {
  if (!conditions.is_array()) return nullptr;
  for (const json& condition : conditions) {
    if (Text(condition, "type") == type) return &condition;
  }
  return nullptr;
}

bool HoldsTrue(const json& conditions, std::string_view type) {
  const json* condition = FindByType(conditions, type);
  return condition != nullptr && Text(*condition, "status") == "True";
}

/// Waiting reasons that do not pass by themselves, with what to look at.
std::string Advice(const std::string& reason) {
  if (reason == "ImagePullBackOff" || reason == "ErrImagePull" || reason == "InvalidImageName") {
    return "the runner's image cannot be pulled: check its name and the node's access to the registry";
  }
  if (reason == "CreateContainerConfigError" || reason == "CreateContainerError" ||
      reason == "RunContainerError") {
    return "the runner's container cannot be made: check the Secrets that the task names";
  }
  if (reason == "ErrImageNeverPull") return "the runner's image is not on the node and may not be pulled";
  return {};
}

std::optional<PodTrouble> WaitingTrouble(const json& pod) {
  const json& statuses = Member(Member(pod, "status"), "containerStatuses");
  if (!statuses.is_array()) return std::nullopt;
  for (const json& status : statuses) {
    const json& waiting = Member(Member(status, "state"), "waiting");
    const std::string reason = Text(waiting, "reason");
    const std::string advice = Advice(reason);
    // The kubelet's own text carries back-off times that change at each try; as a status it would be written
    // each time.
    if (!advice.empty()) return PodTrouble{reason == "ErrImagePull" ? "ImagePullBackOff" : reason, advice};
  }
  return std::nullopt;
}

std::optional<Duration> AgeOf(const json& pod, TimePoint now) {
  const auto created = ParseRfc3339(Text(Member(pod, "metadata"), "creationTimestamp"));
  if (!created) return std::nullopt;
  return std::chrono::duration_cast<Duration>(now - *created);
}

/// A pod whose volume is being made, or for which a node is being added, is unschedulable at first: only what
/// lasts is told.
std::optional<PodTrouble> SchedulingTrouble(const json& pod, TimePoint now) {
  if (const auto age = AgeOf(pod, now); age && *age < kSchedulingGrace) return std::nullopt;
  const json* scheduled = FindByType(Member(Member(pod, "status"), "conditions"), "PodScheduled");
  if (scheduled == nullptr || Text(*scheduled, "status") != "False") return std::nullopt;
  if (Text(*scheduled, "reason") != "Unschedulable") return std::nullopt;
  return PodTrouble{"Unschedulable", "no node can take the runner's pod: " + Text(*scheduled, "message")};
}

/// A missing Secret of a volume shows nowhere in a pod's status: all that is seen is that nothing happens.
std::optional<PodTrouble> SlowStart(const json& pod, TimePoint now) {
  const auto age = AgeOf(pod, now);
  if (!age || *age < kSlowStart) return std::nullopt;
  return PodTrouble{"PodNotStarting",
                    "the runner's pod has been waiting for over 30 seconds: a Secret that the task names may "
                    "be missing, or "
                    "its volume cannot be made; `kubectl describe pod` tells"};
}

bool HasStarted(const json& pod) {
  const json& statuses = Member(Member(pod, "status"), "containerStatuses");
  if (!statuses.is_array()) return false;
  return std::any_of(statuses.begin(), statuses.end(), [](const json& status) {
    const json& state = Member(status, "state");
    return state.is_object() && (state.contains("running") || state.contains("terminated"));
  });
}

}  // namespace

bool WantsNewRun(const Snapshot& snapshot) {
  if (snapshot.submitted || snapshot.invalid) return false;
  if (!snapshot.run) return true;
  const std::string& token = snapshot.task.spec.rerun_token;
  return IsTerminal(snapshot.run->state) && !token.empty() && token != snapshot.run->rerun_token;
}

bool WantsEdit(const Snapshot& snapshot) {
  if (snapshot.submitted || snapshot.invalid || !snapshot.run || snapshot.task.spec.suspend) return false;
  const control::RunRecord& run = *snapshot.run;
  return run.state == control::RunState::kQueued && run.attempt == 0 &&
         run.rerun_token == snapshot.task.spec.rerun_token && snapshot.task.meta.generation > run.generation;
}

bool HeldForRefusal(const Snapshot& snapshot) {
  if (!snapshot.run || snapshot.run->state != control::RunState::kQueued || snapshot.run->attempt > 0)
    return false;
  const auto& hold = snapshot.run->hold;
  return hold && !hold->left && hold->reason != kSuspended;
}

JobView ViewJob(const json& job) {
  JobView view;
  view.key = kube::KeyOf(job);
  view.uid = kube::MetaString(job, "uid");
  view.owner_uid = kube::ControllerUid(job);
  view.deleting = !kube::MetaString(job, "deletionTimestamp").empty();
  view.suspended = Member(Member(job, "spec"), "suspend") == true;
  const json& conditions = Member(Member(job, "status"), "conditions");
  view.complete = HoldsTrue(conditions, "Complete");
  view.failed = HoldsTrue(conditions, "Failed");
  if (view.failed) {
    view.failed_reason = Text(*FindByType(conditions, "Failed"), "reason");
    view.failed_message = Text(*FindByType(conditions, "Failed"), "message");
  }
  return view;
}

PodView ViewPod(const json& pod, TimePoint now) {
  PodView view;
  view.key = kube::KeyOf(pod);
  view.uid = kube::MetaString(pod, "uid");
  const std::string deletion = kube::MetaString(pod, "deletionTimestamp");
  view.deleting = !deletion.empty();
  if (const auto since = ParseRfc3339(deletion)) view.delete_by = *since;
  const json& grace = Member(Member(pod, "metadata"), "deletionGracePeriodSeconds");
  view.killed = view.deleting && grace.is_number_integer() && grace.get<int64_t>() <= 1;
  const std::string phase = Text(Member(pod, "status"), "phase");
  view.ended = phase == "Succeeded" || phase == "Failed";
  view.started = view.ended || HasStarted(pod);
  if (view.started || view.deleting) return view;
  view.trouble = WaitingTrouble(pod);
  if (!view.trouble) view.trouble = SchedulingTrouble(pod, now);
  if (!view.trouble) view.trouble = SlowStart(pod, now);
  return view;
}

bool HasLabel(const json& object, std::string_view label, const std::string& value) {
  return Text(Member(Member(object, "metadata"), "labels"), std::string(label).c_str()) == value;
}

std::string JobName(const std::string& run_id) { return "ybis-" + run_id; }

}  // namespace ybis::op
