#include "operator/task/decide.h"

#include <nlohmann/json.hpp>

#include "base/utf8.h"
#include "operator/task/admission.h"
#include "operator/task/job_spec.h"
#include "operator/task/status.h"
#include "operator/task/waiting.h"

namespace ybis::op {
namespace {

using control::RunState;
using kube::EventType;

constexpr Duration kCatchUp = std::chrono::seconds(1);  // the watch brings it sooner
constexpr Duration kCancelPoll = std::chrono::milliseconds(500);
constexpr Duration kSlowLook = std::chrono::seconds(30);   // for what no watch tells of
constexpr std::chrono::seconds kQuotaLook{30};             // for an API server that takes no Job, at first
constexpr Duration kStartLook = std::chrono::seconds(10);  // for a pod that does not start
constexpr Duration kEndGrace = std::chrono::seconds(30);   // for a runner to leave after its run has ended
constexpr Duration kNodeGrace = std::chrono::seconds(60);  // for a pod to end after its deletion was due
constexpr size_t kMaxMessage = 1024;                       // of a failure
constexpr char kRefusedJob[] = "JobForbidden";

/// Decides one snapshot; a value that lives for one call.
class Decision {
 public:
  Decision(const Snapshot& snapshot, const TaskSettings& settings, TimePoint now)
      : s_(snapshot), settings_(settings), now_(now) {}

  Plan Make() {
    if (!s_.exists) return {};
    if (!s_.current) return Wait(kCatchUp);
    if (s_.task.spec.cancel || s_.task.meta.deletion_time) return Cancelled();
    if (s_.create_problem) return s_.create_problem->of_submission ? SubmissionRefused() : JobNotMade();
    if (WantsNewRun(s_) || !s_.run) return NewRun();
    switch (s_.run->state) {
      case RunState::kQueued:
        return InQueue();
      case RunState::kDispatched:
        return Dispatched();
      case RunState::kRunning:
        return Running();
      case RunState::kBlocked:
        return Blocked();
      default:
        return Ended();
    }
  }

 private:
  Plan Wait(Duration delay) {
    plan_.requeue_after = delay;
    return std::move(plan_);
  }

  template <class T>
  void Do(T action) {
    plan_.actions.emplace_back(std::move(action));
  }

  /// Ends a plan with the status it leaves, and an event where the story goes on.
  Plan Show(const Situation& situation, std::optional<EmitEvent> event = std::nullopt) {
    api::TaskStatus wanted = BuildStatus(s_.task, s_.run, situation, now_);
    const bool news = TellsNews(wanted);
    if (StatusDiffers(*s_.object, wanted)) Do(PatchStatus{std::move(wanted)});
    if (news && event) Do(std::move(*event));
    return std::move(plan_);
  }

  /// Whether phase, run or reason changed: a new generation alone, or a longer text, is no event.
  bool TellsNews(const api::TaskStatus& wanted) const {
    const api::TaskStatus& shown = s_.task.status;
    const auto* before = api::FindCondition(shown.conditions, "Succeeded");
    const auto* after = api::FindCondition(wanted.conditions, "Succeeded");
    const bool same_run =
        shown.run.has_value() == wanted.run.has_value() && (!shown.run || shown.run->id == wanted.run->id);
    return before == nullptr || shown.phase != wanted.phase || !same_run || before->reason != after->reason;
  }

  Plan NewRun() {
    if (const auto rejection = FindRejection(s_, settings_)) {
      return Waits() ? Held(*rejection) : Rejected(*rejection);
    }
    if (s_.task.spec.suspend) {
      return Show(
          {Stage::kSuspended, kSuspended, "spec.suspend is true: nothing starts until it is taken away"});
    }
    control::TaskSubmission submission;
    submission.uid = s_.task.meta.uid;
    submission.namespace_name = s_.key.ns;
    submission.name = s_.key.name;
    submission.generation = s_.task.meta.generation;
    submission.spec = s_.task.spec;
    submission.workflow = *s_.workflow.spec;
    submission.policy = control::EffectivePolicy(settings_.config, s_.task.spec);
    submission.default_timeout_seconds = control::DefaultTimeoutSeconds(settings_.config);
    Do(SubmitRun{std::move(submission), !s_.run.has_value()});
    plan_.look_again = true;
    return std::move(plan_);
  }

  Plan Rejected(const Rejection& rejection) {
    if (rejection.may_pass) plan_.requeue_after = kSlowLook;
    return Show({Stage::kRejected, rejection.reason, rejection.message, true},
                EmitEvent{EventType::kWarning, rejection.reason, "Accept", rejection.message});
  }

  /// A run that a person let go on is queued again; its status is spared the moment that takes if there is
  /// room.
  Plan InQueue() {
    if (WantsEdit(s_)) return NewRun();
    HoldJob();
    // What was refused as an edit would be refused as one.
    const auto rejection = HeldForRefusal(s_) ? FindRejection(s_, settings_) : WhyNoJob();
    if (rejection) return Held(*rejection);
    if (s_.task.spec.suspend) return Suspended();
    if (s_.run->hold) {
      const control::Hold& hold = *s_.run->hold;
      // One that is held again in the very moment of its release waits, however short its time.
      if (hold.left && (s_.admitted || hold.left->count() > 0)) {
        plan_.requeue_after = std::max<Duration>(*hold.left, kCatchUp);
        return Show({Stage::kQueued, hold.reason, hold.message},
                    EmitEvent{EventType::kWarning, hold.reason, "Dispatch", hold.message});
      }
      return LookAgainAfter(ReleaseRun{s_.run->run_id});
    }
    if (ShownAsWaiting(s_.task) && !s_.admitted) return LookAgainAfter(AdmitRuns{});
    // That there is no room to try again is no news.
    if (const std::string* refusal = ShownRefusal()) return Show({Stage::kQueued, kRefusedJob, *refusal});
    return Show({Stage::kQueued, "Queued", "the run waits for its turn"});
  }

  /// What the status says of the API server that did not take this run's Job; null when it says nothing of
  /// it.
  const std::string* ShownRefusal() const {
    const api::TaskStatus& shown = s_.task.status;
    const auto* condition = api::FindCondition(shown.conditions, "Succeeded");
    const bool of_it = condition != nullptr && condition->reason == kRefusedJob && shown.run &&
                       shown.run->id == s_.run->run_id;
    return of_it ? &condition->message : nullptr;
  }

  template <class T>
  Plan LookAgainAfter(T action) {
    Do(std::move(action));
    plan_.look_again = true;
    return std::move(plan_);
  }

  bool Waits() const { return s_.run && s_.run->state == RunState::kQueued; }

  bool HeldFor(const std::string& reason) const { return s_.run->hold && s_.run->hold->reason == reason; }

  /// Nothing starts the run before somebody mends the task or the operator's configuration.
  Plan Held(const Rejection& rejection) {
    if (HeldFor(rejection.reason)) return Rejected(rejection);
    return LookAgainAfter(HoldRun{s_.run->run_id, rejection.reason, rejection.message});
  }

  Plan Suspended() {
    const Situation held{Stage::kQueued, kSuspended, "spec.suspend is true: the run is held back"};
    if (HeldFor(held.reason)) return Show(held);
    return LookAgainAfter(HoldRun{s_.run->run_id, held.reason, held.message});
  }

  /// What of the task as it is now, or of the configuration, forbids its Job.
  std::optional<Rejection> WhyNoJob() const {
    if (s_.invalid) return Rejection{"InvalidSpec", s_.invalid->message};
    if (auto found = FindImageRejection(s_, settings_.config)) return found;
    return FindCredentialsRejection(s_, settings_.config);
  }

  Plan Dispatched() {
    if (s_.job) return Started();
    if (const auto rejection = WhyNoJob()) return Held(*rejection);
    if (s_.task.spec.suspend) return Suspended();
    if (s_.run_api_ca.empty()) return Wait(kCatchUp);
    const JobInputs inputs{s_.task, *s_.run, settings_.config, settings_.run_api_url, s_.run_api_ca};
    Do(CreateJob{std::make_shared<nlohmann::json>(BuildJob(inputs)), s_.task.meta.uid, s_.run->run_id});
    return Show(Underway(),
                EmitEvent{EventType::kNormal, "RunStarted", "Dispatch",
                          fmt::format("run {} started as Job {}", s_.run->number, JobName(s_.run->run_id))});
  }

  Situation Underway() const {
    return {Stage::kRunning, "Running", fmt::format("run {} is under way", s_.run->number)};
  }

  /// The record did not take the run: one that cannot begin in the middle, or a text that it cannot hold. A
  /// changed spec is looked at again.
  Plan SubmissionRefused() {
    if (s_.task.spec.rerun_from.empty()) return Rejected({"InvalidSpec", s_.create_problem->message});
    return Rejected({"RerunRefused", "spec.rerun.fromNode: " + s_.create_problem->message});
  }

  /// The API server did not take the Job.
  Plan JobNotMade() {
    const std::string& why = s_.create_problem->message;
    if (s_.create_problem->code == ErrorCode::kInvalid) {
      return FailWith(api::FailureClass::kInvalid, "JobInvalid",
                      "the API server refuses the run's Job: " + why);
    }
    // A quota may let it in later; others that are let in now need not wait for that.
    return LookAgainAfter(
        HoldRun{s_.run->run_id, kRefusedJob, "the run's Job cannot be made: " + why, kQuotaLook});
  }

  /// Its Job is there: it runs, or something about it is to be told or done.
  Plan Started() {
    if (s_.job->owner_uid != s_.task.meta.uid) return NameTaken();
    if (s_.job->deleting) return Wait(kCatchUp);
    if (s_.job->Ended()) {
      if (!ShownAsWaiting(s_.task)) return JobEnded();
      // It ended while the run waited, so that its end says nothing about the run: another is made.
      Do(DeleteJob{s_.job->key, s_.job->uid});
      return Wait(kCatchUp);
    }
    if (s_.job->suspended && s_.task.spec.suspend && s_.run->state == RunState::kDispatched)
      return Suspended();
    if (WaitsForADeadNode()) {
      Do(DeleteJob{s_.job->key, s_.job->uid});
      return Wait(kCatchUp);
    }
    // With a queue name the suspension is Kueue's to lift.
    if (s_.job->suspended && !s_.task.spec.suspend && s_.task.spec.queue_name.empty()) {
      Do(SuspendJob{s_.job->key, s_.job->uid, false});
    }
    if (const PodTrouble* trouble = FindTrouble()) {
      const std::string note = trouble->message + SecretsHint(*trouble);
      plan_.requeue_after = kSlowLook;
      return Show({Stage::kRunning, trouble->reason, note},
                  EmitEvent{EventType::kWarning, trouble->reason, "Run", note});
    }
    const bool started =
        std::any_of(s_.pods.begin(), s_.pods.end(), [](const PodView& pod) { return pod.started; });
    if (!started) plan_.requeue_after = kStartLook;
    return Show(Underway());
  }

  /// Its lease is over, and the pod that held it is to go and does not: its node is off. The Job replaces
  /// only pods that have ended, and keeps its finalizer on that one, so that no deletion of it would help;
  /// another Job takes its place. Should the node come back, the old runner's epoch is refused.
  bool WaitsForADeadNode() {
    if (s_.run->state != RunState::kDispatched || s_.run->attempt == 0) return false;
    for (const PodView& pod : s_.pods) {
      if (pod.ended || !pod.delete_by) continue;
      if (now_ > *pod.delete_by + kNodeGrace) return true;
      plan_.requeue_after = kSlowLook;
    }
    return false;
  }

  Plan NameTaken() {
    plan_.requeue_after = kSlowLook;
    const std::string note = fmt::format(
        "a Job named {} is there that is not this task's: delete it, and the run goes on", s_.job->key.name);
    return Show({Stage::kRunning, "JobNameTaken", note, true},
                EmitEvent{EventType::kWarning, "JobNameTaken", "Dispatch", note});
  }

  const PodTrouble* FindTrouble() const {
    for (const PodView& pod : s_.pods) {
      if (pod.trouble) return &*pod.trouble;
    }
    return nullptr;
  }

  std::string SecretsHint(const PodTrouble& trouble) const {
    if (trouble.reason != "PodNotStarting" && trouble.reason != "CreateContainerConfigError") return {};
    const api::RepositorySpec& repository = s_.task.spec.repository;
    std::string names = repository.credentials_secret;
    if (!repository.ca_bundle_secret.empty())
      names += (names.empty() ? "" : ", ") + repository.ca_bundle_secret;
    return names.empty() ? "" : fmt::format(" (the task names: {})", names);
  }

  Plan Running() {
    // Tells nothing to the record when the run has found another runner since.
    for (const PodView& pod : s_.pods) {
      if (pod.ended) Do(ReportLost{s_.run->run_id, pod.uid});
    }
    if (s_.job) return Started();
    // Its Job was deleted by hand or with its node. The lease tells when nobody can be writing any more: the
    // watchdog then makes the run Dispatched, and the Job is made again.
    plan_.requeue_after = kSlowLook;
    return Show({Stage::kRunning, "JobLost",
                 "the run's Job is gone: it is made again when the lost runner's lease is over"},
                EmitEvent{EventType::kWarning, "JobLost", "Dispatch",
                          fmt::format("Job {} is gone before its run ended", JobName(s_.run->run_id))});
  }

  /// The Job ended and the record knows of no end: a runner that finishes its run says so before it leaves.
  Plan JobEnded() {
    const JobView& job = *s_.job;
    if (job.complete) {
      return FailWith(api::FailureClass::kInfra, "RunnerLeftNoResult",
                      fmt::format("Job {} succeeded, but its runner reported no result", job.key.name));
    }
    if (job.failed_reason == "DeadlineExceeded") {
      return FailWith(api::FailureClass::kTimeout, "DeadlineExceeded",
                      fmt::format("the run took longer than its time limit of {} s: raise "
                                  "spec.limits.timeoutSeconds or narrow the objective",
                                  control::TimeoutSeconds(settings_.config, s_.task.spec)));
    }
    if (job.failed_reason == "PodFailurePolicy") {
      return FailWith(api::FailureClass::kInfra, "RunnerLeftNoResult",
                      fmt::format("Job {} failed and its runner reported no result: {}", job.key.name,
                                  job.failed_message));
    }
    return FailWith(
        api::FailureClass::kInfra, "RunnerFailed",
        fmt::format("Job {} failed ({}): {}", job.key.name, job.failed_reason, job.failed_message));
  }

  Plan FailWith(api::FailureClass failure_class, std::string reason, std::string message) {
    message.resize(CutAtCharacter(message, kMaxMessage).size());
    Do(FailRun{s_.run->run_id, {failure_class, std::move(reason), std::move(message)}});
    plan_.look_again = true;
    return std::move(plan_);
  }

  /// Nothing runs while nobody may: a pod that waits costs what one that works does. Kueue would start a Job
  /// again that another suspends, and hold its quota meanwhile; with a queue the Job goes instead. So does
  /// one that ended by itself.
  void HoldJob() {
    if (!OwnJob() || s_.job->deleting) return;
    if (s_.job->Ended() || !s_.task.spec.queue_name.empty()) {
      Do(DeleteJob{s_.job->key, s_.job->uid});
    } else if (!s_.job->suspended) {
      Do(SuspendJob{s_.job->key, s_.job->uid, true});
    }
  }

  Plan Blocked() {
    HoldJob();
    const std::string reason =
        s_.run->failure && !s_.run->failure->reason.empty() ? s_.run->failure->reason : "Blocked";
    const std::string message =
        s_.run->failure && !s_.run->failure->message.empty()
            ? s_.run->failure->message
            : "the gate wants a person's decision; gate.json of the run names the rules";
    return Show({Stage::kBlocked, reason, message, false, s_.wait},
                EmitEvent{EventType::kWarning, reason, "Gate", message});
  }

  Plan Ended() {
    StopLeftovers();
    const Situation situation = EndSituation();
    const bool news = TellsNews(BuildStatus(s_.task, s_.run, situation, now_));
    const EventType type = situation.stage == Stage::kFailed ? EventType::kWarning : EventType::kNormal;
    Plan plan = Show(situation, EmitEvent{type, situation.reason, "Finish",
                                          fmt::format("run {}: {}", s_.run->number, situation.message)});
    // After the status: it is what tells a repeat that the run has been counted.
    if (news) plan.actions.emplace_back(Outcome(situation.stage));
    return plan;
  }

  Situation EndSituation() const {
    const control::RunRecord& run = *s_.run;
    if (run.state == RunState::kCompleted) {
      const bool pushed = run.result && !run.result->branch.empty();
      return {Stage::kCompleted, "Completed",
              pushed ? "the change was approved and lies on branch " + run.result->branch
                     : "the change was approved"};
    }
    const bool cancelled = run.state == RunState::kCancelled ||
                           (run.failure && run.failure->failure_class == api::FailureClass::kCancelled);
    if (cancelled) {
      const bool says = run.failure && !run.failure->message.empty();
      return {Stage::kCancelled, "Cancelled", says ? run.failure->message : "the task was cancelled"};
    }
    if (!run.failure) return {Stage::kFailed, "Failed", "the run failed", true};
    const std::string& reason = run.failure->reason;
    return {Stage::kFailed, reason.empty() ? std::string(ToString(run.failure->failure_class)) : reason,
            run.failure->message, true};
  }

  CountOutcome Outcome(Stage stage) const {
    CountOutcome outcome;
    const control::RunRecord& run = *s_.run;
    if (run.started && run.finished) outcome.duration = *run.finished - *run.started;
    if (stage == Stage::kCancelled) outcome.failure_class = api::FailureClass::kCancelled;
    if (stage == Stage::kFailed)
      outcome.failure_class = run.failure ? run.failure->failure_class : api::FailureClass::kInfra;
    return outcome;
  }

  bool OwnJob() const { return s_.job && s_.job->owner_uid == s_.task.meta.uid; }

  /// A runner leaves by itself when its run has ended; one that does not is stopped, a cancelled one at once.
  void StopLeftovers() {
    if (!OwnJob() || s_.job->Ended() || s_.job->deleting) return;
    const bool cancelled = s_.run->state == RunState::kCancelled;
    const auto since = now_ - s_.run->finished.value_or(now_);
    if (!cancelled && !s_.job->suspended && since < kEndGrace) {
      plan_.requeue_after = kEndGrace;
      return;
    }
    StopJob();
  }

  void StopJob() {
    if (OwnJob() && !s_.job->Ended() && !s_.job->deleting) Do(DeleteJob{s_.job->key, s_.job->uid});
    for (const PodView& pod : s_.pods) {
      if (!pod.ended && !pod.killed) Do(DeletePod{pod.key, pod.uid});
    }
  }

  Plan Cancelled() {
    if (!s_.run) return Show({Stage::kCancelled, "Cancelled", "cancelled before it started"});
    if (IsTerminal(s_.run->state)) return Ended();
    if (!s_.run->cancel_requested) {
      Do(CancelRun{s_.run->run_id, s_.task.spec.cancel ? "spec.cancel is true" : "the task was deleted"});
      plan_.look_again = true;
      return std::move(plan_);
    }
    StopJob();
    const bool stopped =
        !s_.job && std::all_of(s_.pods.begin(), s_.pods.end(), [](const PodView& p) { return p.ended; });
    if (stopped)
      return FailWith(api::FailureClass::kCancelled, "Cancelled",
                      "the task was cancelled and its runner stopped");
    plan_.requeue_after = kCancelPoll;
    return Show({Stage::kCancelling, "Cancelling", "the run is being stopped"});
  }

  const Snapshot& s_;
  const TaskSettings& settings_;
  TimePoint now_;
  Plan plan_;
};

}  // namespace

Plan Decide(const Snapshot& snapshot, const TaskSettings& settings, TimePoint now) {
  return Decision(snapshot, settings, now).Make();
}

}  // namespace ybis::op
