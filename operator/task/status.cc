#include "operator/task/status.h"

#include <nlohmann/json.hpp>

#include "base/utf8.h"
#include "operator/task/snapshot.h"
#include "operator/task/waiting.h"

namespace ybis::op {
namespace {

constexpr size_t kMaxArtifacts = 64;  // of the schema
constexpr size_t kMaxMessage = 1024;

/// The bounds of the schema (crds/): what a runner reported must never keep a status from being written.
constexpr size_t kMaxReason = 128;
constexpr size_t kMaxNode = 63;
constexpr size_t kMaxDecision = 64;
constexpr size_t kMaxBranch = 256;
constexpr size_t kMaxCommit = 64;
constexpr size_t kMaxDigest = 128;
constexpr size_t kMaxArtifactName = 256;

std::string Cut(std::string text, size_t max_bytes = kMaxMessage) {
  if (text.size() <= max_bytes) return text;
  return std::string(CutAtCharacter(text, max_bytes - 3)) + "...";
}

/// Builds the list in one fixed order, keeping the transition times of what did not change.
class Conditions {
 public:
  Conditions(const api::Task& task, TimePoint now) : task_(task), now_(now) {}

  void Add(const char* type, const char* status, const std::string& reason, const std::string& message) {
    const api::Condition* before = api::FindCondition(task_.status.conditions, type);
    const bool same = before != nullptr && before->status == status;
    list_.push_back({type, status, Cut(reason, kMaxReason), Cut(message), task_.meta.generation,
                     same ? before->last_transition : now_});
  }
  std::vector<api::Condition> Take() { return std::move(list_); }

 private:
  const api::Task& task_;
  TimePoint now_;
  std::vector<api::Condition> list_;
};

const char* SucceededStatus(Stage stage) {
  if (stage == Stage::kCompleted) return "True";
  return stage == Stage::kFailed || stage == Stage::kCancelled ? "False" : "Unknown";
}

std::vector<api::Condition> BuildConditions(const api::Task& task, const Situation& situation,
                                            TimePoint now) {
  const auto& [stage, reason, message, stalled, wait] = situation;
  Conditions conditions(task, now);
  if (stage == Stage::kRejected) {
    conditions.Add("Accepted", "False", reason, message);
  } else {
    conditions.Add("Accepted", "True", "Accepted", "the task is recorded and its workflow is valid");
  }
  conditions.Add("Succeeded", SucceededStatus(stage), reason, message);
  const bool waits = stage == Stage::kBlocked;
  conditions.Add("AwaitingApproval", waits ? "True" : "False", waits ? reason : "NotWaiting",
                 waits && wait ? HowToDecide(task, *wait)
                 : waits       ? message
                               : "");
  const bool moving = InProgress(stage) && !stalled;
  conditions.Add("Reconciling", moving ? "True" : "False", moving ? reason : "Settled",
                 moving ? message : "");
  conditions.Add("Stalled", stalled ? "True" : "False", stalled ? reason : "NotStalled",
                 stalled ? message : "");
  return conditions.Take();
}

api::RunStatus BuildRun(const api::Task& task, const control::RunRecord& run, bool in_progress) {
  api::RunStatus out;
  out.id = run.run_id;
  out.number = run.number;
  // Of a dispatched run the attempt that begins, so that its claim changes nothing.
  out.attempt = run.attempt + (run.state == control::RunState::kDispatched ? 1 : 0);
  if (run.state != control::RunState::kQueued) out.job_name = JobName(run.run_id);
  out.node = Cut(run.node, kMaxNode);
  out.start_time = run.started;
  out.completion_time = run.finished;
  const auto& shown = task.status.run;
  if (in_progress && shown && shown->id == out.id && shown->attempt == out.attempt) {
    out.node = shown->node;
    out.start_time = shown->start_time;
  }
  return out;
}

std::vector<api::ArtifactRef> ShownArtifacts(const control::RunRecord& run) {
  auto artifacts = run.artifacts;
  // The standard artifacts lie at the top; the nodes' own files are many and stay in the record.
  std::stable_partition(artifacts.begin(), artifacts.end(), [](const api::ArtifactRef& artifact) {
    return artifact.name.find('/') == std::string::npos;
  });
  if (artifacts.size() > kMaxArtifacts) artifacts.resize(kMaxArtifacts);
  for (api::ArtifactRef& artifact : artifacts) artifact.name = Cut(artifact.name, kMaxArtifactName);
  return artifacts;
}

std::optional<api::RunResult> ShownResult(std::optional<api::RunResult> result) {
  if (!result) return result;
  result->decision = Cut(result->decision, kMaxDecision);
  result->branch = Cut(result->branch, kMaxBranch);
  result->commit = Cut(result->commit, kMaxCommit);
  result->base_commit = Cut(result->base_commit, kMaxCommit);
  result->patch_digest = Cut(result->patch_digest, kMaxDigest);
  return result;
}

void AddOutcome(const control::RunRecord& run, api::TaskStatus& status) {
  status.result = ShownResult(run.result);
  status.verification = run.verification;
  status.usage = run.usage;
  status.artifacts = ShownArtifacts(run);
  status.failure = run.failure;
  if (!status.failure) return;
  status.failure->reason = Cut(status.failure->reason, kMaxReason);
  status.failure->message = Cut(status.failure->message);
}

}  // namespace

bool InProgress(Stage stage) {
  return stage != Stage::kCompleted && stage != Stage::kFailed && stage != Stage::kCancelled;
}

api::TaskPhase PhaseOf(Stage stage) {
  switch (stage) {
    case Stage::kRejected:
    case Stage::kSuspended:
      return api::TaskPhase::kPending;
    case Stage::kQueued:
      return api::TaskPhase::kQueued;
    case Stage::kRunning:
    case Stage::kCancelling:
      return api::TaskPhase::kRunning;
    case Stage::kBlocked:
      return api::TaskPhase::kBlocked;
    case Stage::kCompleted:
      return api::TaskPhase::kCompleted;
    case Stage::kFailed:
      return api::TaskPhase::kFailed;
    case Stage::kCancelled:
      return api::TaskPhase::kCancelled;
  }
  return api::TaskPhase::kPending;
}

api::TaskStatus BuildStatus(const api::Task& task, const std::optional<control::RunRecord>& run,
                            const Situation& situation, TimePoint now) {
  api::TaskStatus status;
  status.observed_generation = task.meta.generation;
  status.conditions = BuildConditions(task, situation, now);
  status.phase = PhaseOf(situation.stage);
  const bool shows_outcome = !InProgress(situation.stage) || situation.stage == Stage::kBlocked;
  if (run) {
    status.run = BuildRun(task, *run, !shows_outcome);
    if (shows_outcome) AddOutcome(*run, status);
  }
  if (situation.wait) status.approval = control::AwaitedBy(*situation.wait);
  if (situation.stage == Stage::kRejected) {
    status.failure =
        api::Failure{api::FailureClass::kInvalid, Cut(situation.reason, kMaxReason), Cut(situation.message)};
  }
  return status;
}

bool StatusDiffers(const nlohmann::json& stored_object, const api::TaskStatus& wanted) {
  const auto stored = stored_object.find("status");
  return stored == stored_object.end() || *stored != api::ToJson(wanted);
}

}  // namespace ybis::op
