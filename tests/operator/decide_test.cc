#include "operator/task/decide.h"

#include <gtest/gtest.h>

#include <functional>

#include "base/utf8.h"
#include "operator/task/status.h"
#include "tests/operator/world.h"

namespace ybis::op {
namespace {

using namespace testing;
using control::RunState;
using nlohmann::json;

Plan DecideIt(const Snapshot& snapshot) { return Decide(snapshot, SomeSettings(), kNow); }

const api::Condition& ConditionOf(const Plan& plan, const char* type) {
  static const api::Condition kNone;
  const auto patches = Of<PatchStatus>(plan);
  EXPECT_EQ(patches.size(), 1u) << "no status was written";
  if (patches.empty()) return kNone;
  static std::vector<api::TaskStatus> kept;
  kept.push_back(patches.front().status);
  const auto* condition = api::FindCondition(kept.back().conditions, type);
  return condition == nullptr ? kNone : *condition;
}

/// The snapshot after the plan's status has been written and come back by the watch.
Snapshot WithStatusWritten(Snapshot snapshot, const Plan& plan) {
  json object = *snapshot.object;
  for (const auto& patch : Of<PatchStatus>(plan)) object["status"] = api::ToJson(patch.status);
  snapshot.object = std::make_shared<const json>(object);
  snapshot.task = api::ParseTask(object).value();
  return snapshot;
}

Snapshot With(RunState state, const json& spec = json::object()) {
  Snapshot snapshot = SnapshotOf(TaskObject(spec));
  snapshot.run = RunIn(state);
  return snapshot;
}

Snapshot WithJob(RunState state, const json& job = json::object(), const json& spec = json::object()) {
  Snapshot snapshot = With(state, spec);
  snapshot.job = ViewJob(JobObject(job));
  return snapshot;
}

Snapshot HeldAs(const char* reason, const json& spec = json::object(),
                std::optional<std::chrono::seconds> left = std::nullopt) {
  Snapshot snapshot = With(RunState::kQueued, spec);
  snapshot.run->hold = control::Hold{reason, "why", left};
  return snapshot;
}

json JobFailed(const char* reason) {
  return {
      {"status",
       {{"conditions",
         json::array({{{"type", "Failed"}, {"status", "True"}, {"reason", reason}, {"message", "m"}}})}}}};
}

TEST(DecideTask, DoesNothingForATaskThatIsGone) { EXPECT_TRUE(DecideIt(Snapshot{}).actions.empty()); }

TEST(DecideTask, WaitsWhileACacheIsOlderThanOurOwnLastWrite) {
  Snapshot snapshot = SnapshotOf(TaskObject());
  snapshot.current = false;
  const Plan plan = DecideIt(snapshot);
  EXPECT_TRUE(plan.actions.empty());
  EXPECT_TRUE(plan.requeue_after);
}

TEST(DecideTask, MountsNoSecretThatTheOperatorsListNoLongerAllows) {
  const Snapshot snapshot =
      With(RunState::kDispatched, {{"repository", {{"credentialsSecretRef", {{"name", "database-admin"}}}}}});
  EXPECT_EQ(Of<CreateJob>(DecideIt(snapshot)).size(), 1u);
  TaskSettings settings = SomeSettings();
  settings.config.runner.credentials_secret_allow = {"git-*"};
  const Plan plan = Decide(snapshot, settings, kNow);
  EXPECT_TRUE(Of<CreateJob>(plan).empty());
  EXPECT_EQ(Of<HoldRun>(plan).at(0).reason, "SecretNotAllowed");
  const json other = {{"repository", {{"credentialsSecretRef", {{"name", "database-admin"}}}}}};
  const Plan held = Decide(HeldAs("SecretNotAllowed", other), settings, kNow);
  EXPECT_EQ(ConditionOf(held, "Accepted").reason, "SecretNotAllowed");
}

TEST(DecideTask, SubmitsATaskThatWasNeverRunAndLooksAgain) {
  const Plan plan = DecideIt(SnapshotOf(TaskObject({{"priority", "HIGH"}})));
  const auto submits = Of<SubmitRun>(plan);
  ASSERT_EQ(submits.size(), 1u);
  EXPECT_TRUE(submits[0].first);
  EXPECT_EQ(submits[0].submission.uid, kUid);
  EXPECT_EQ(submits[0].submission.spec.priority, api::Priority::kHigh);
  EXPECT_EQ(submits[0].submission.generation, 3);
  EXPECT_FALSE(submits[0].submission.workflow.nodes.empty());
  EXPECT_TRUE(plan.look_again);
  EXPECT_TRUE(Of<PatchStatus>(plan).empty()) << "the status is written once, when the Job is made";
}

TEST(DecideTask, ShowsAQueuedRunAndStartsNothing) {
  const Plan plan = DecideIt(With(RunState::kQueued));
  ASSERT_EQ(plan.actions.size(), 1u);
  EXPECT_EQ(Of<PatchStatus>(plan)[0].status.phase, api::TaskPhase::kQueued);
  EXPECT_EQ(ConditionOf(plan, "Succeeded").status, "Unknown");
  EXPECT_FALSE(plan.requeue_after) << "its turn is told by the record";
}

TEST(DecideTask, MakesTheJobWritesTheStatusAndTellsItOnceItsTurnHasCome) {
  const Plan plan = DecideIt(With(RunState::kDispatched));
  ASSERT_EQ(plan.actions.size(), 3u);
  EXPECT_EQ((*Of<CreateJob>(plan).at(0).job)["metadata"]["name"], std::string("ybis-") + kRun);
  EXPECT_EQ(Of<PatchStatus>(plan).at(0).status.phase, api::TaskPhase::kRunning);
  EXPECT_EQ(Of<EmitEvent>(plan).at(0).reason, "RunStarted");
}

TEST(DecideTask, TellsTheRecordOfAnEditWhileTheRunWaitsForItsFirstTurn) {
  Snapshot snapshot = With(RunState::kQueued, {{"priority", "HIGH"}});
  snapshot.run->generation = 2;
  const Plan plan = DecideIt(snapshot);
  ASSERT_EQ(Of<SubmitRun>(plan).size(), 1u);
  EXPECT_FALSE(Of<SubmitRun>(plan)[0].first) << "it is counted once";
  EXPECT_EQ(Of<SubmitRun>(plan)[0].submission.spec.priority, api::Priority::kHigh);
  EXPECT_EQ(Of<SubmitRun>(plan)[0].submission.generation, 3);

  snapshot.submitted = true;
  EXPECT_TRUE(Of<SubmitRun>(DecideIt(snapshot)).empty()) << "once for each look";
  snapshot.submitted = false;
  snapshot.run->attempt = 1;
  EXPECT_TRUE(Of<SubmitRun>(DecideIt(snapshot)).empty()) << "it keeps what it began with";
  for (const RunState state : {RunState::kDispatched, RunState::kRunning, RunState::kBlocked}) {
    Snapshot begun = With(state);
    begun.run->generation = 2;
    EXPECT_TRUE(Of<SubmitRun>(DecideIt(begun)).empty()) << ToString(state);
  }
}

TEST(DecideTask, MakesNoJobOfAnImageThatTheTaskNamedAfterItWasAccepted) {
  const json evil = {{"runner", {{"image", "evil.example.com/runner:1"}}}};
  for (const RunState state : {RunState::kQueued, RunState::kDispatched}) {
    const Plan plan = DecideIt(With(state, evil));
    EXPECT_TRUE(Of<CreateJob>(plan).empty()) << "what runs there would hold the run's identity";
    EXPECT_EQ(Of<HoldRun>(plan).at(0).reason, "ImageNotAllowed") << "its place is others' meanwhile";
    EXPECT_TRUE(plan.look_again);
  }
  const Plan plan = DecideIt(HeldAs("ImageNotAllowed", evil));
  EXPECT_TRUE(Of<HoldRun>(plan).empty()) << "once";
  EXPECT_EQ(ConditionOf(plan, "Accepted").reason, "ImageNotAllowed");
  EXPECT_EQ(ConditionOf(plan, "Stalled").status, "True");
}

TEST(DecideTask, HoldsARunWhoseSpecWasSpoiledAndLetsItGoOnceThatIsMended) {
  Snapshot spoiled = With(RunState::kQueued);
  spoiled.invalid = Error{ErrorCode::kInvalid, "spec.verify[0]: bad"};
  EXPECT_EQ(Of<HoldRun>(DecideIt(spoiled)).at(0).reason, "InvalidSpec");

  Snapshot edited = With(RunState::kQueued, {{"model", {{"name", "unheard-of"}}}});
  edited.run->generation = 2;
  const Plan refused = DecideIt(edited);
  ASSERT_EQ(Of<HoldRun>(refused).size(), 1u) << "the run as it was recorded would start";
  EXPECT_TRUE(Of<SubmitRun>(refused).empty());

  const Plan mended = DecideIt(HeldAs("InvalidSpec"));
  EXPECT_EQ(Of<ReleaseRun>(mended).at(0).run_id, kRun);
  EXPECT_TRUE(Of<PatchStatus>(mended).empty()) << "its status is written once it has its turn, or has none";
  EXPECT_TRUE(mended.look_again);
}

TEST(DecideTask, MakesNoJobBeforeTheRunApiHasACertificate) {
  Snapshot snapshot = With(RunState::kDispatched);
  snapshot.run_api_ca.clear();
  const Plan plan = DecideIt(snapshot);
  EXPECT_TRUE(plan.actions.empty());
  EXPECT_TRUE(plan.requeue_after);
}

TEST(DecideTask, MakesTheJobAnewWhenTheNodeOfItsPodConfirmsNothing) {
  Snapshot snapshot = WithJob(RunState::kDispatched);
  snapshot.run->attempt = 1;
  json pod = PodObject({{"phase", "Running"}});
  pod["metadata"]["deletionTimestamp"] = FormatRfc3339(kNow - std::chrono::seconds(90));
  snapshot.pods = {ViewPod(pod, kNow)};
  EXPECT_EQ(Of<DeleteJob>(DecideIt(snapshot)).size(), 1u) << "the Job waits for the pod's end for ever";

  snapshot.run = RunIn(RunState::kRunning);
  snapshot.run->attempt = 1;
  EXPECT_TRUE(Of<DeleteJob>(DecideIt(snapshot)).empty()) << "its lease is not over: it may still be at work";
  snapshot.run = RunIn(RunState::kDispatched);
  EXPECT_TRUE(Of<DeleteJob>(DecideIt(snapshot)).empty()) << "nobody has claimed the run yet";
  snapshot.run->attempt = 1;
  pod["metadata"]["deletionTimestamp"] = FormatRfc3339(kNow - std::chrono::seconds(5));
  snapshot.pods = {ViewPod(pod, kNow)};
  const Plan early = DecideIt(snapshot);
  EXPECT_TRUE(Of<DeleteJob>(early).empty());
  EXPECT_TRUE(early.requeue_after) << "no watch tells of a node's silence";
}

TEST(DecideTask, TellsOfASpecThatTheRecordCannotHold) {
  Snapshot snapshot = SnapshotOf(TaskObject());
  snapshot.create_problem = CreateProblem{ErrorCode::kInvalid, "a NUL character", true};
  const Plan plan = DecideIt(snapshot);
  EXPECT_TRUE(Of<SubmitRun>(plan).empty()) << "the same again would be refused again";
  EXPECT_EQ(ConditionOf(plan, "Accepted").reason, "InvalidSpec");
}

TEST(DecideTask, WritesNothingWhenTheStatusIsAsItShouldBe) {
  for (const RunState state :
       {RunState::kQueued, RunState::kBlocked, RunState::kCompleted, RunState::kCancelled}) {
    Snapshot snapshot = With(state);
    snapshot = WithStatusWritten(snapshot, DecideIt(snapshot));
    EXPECT_TRUE(Decide(snapshot, SomeSettings(), kNow + std::chrono::hours(1)).actions.empty())
        << ToString(state);
  }
}

TEST(DecideTask, WritesNothingWhenARunnerClaimsTheRunOrGoesFromNodeToNode) {
  Snapshot snapshot = WithJob(RunState::kDispatched);
  snapshot = WithStatusWritten(snapshot, DecideIt(snapshot));
  snapshot.run = RunIn(RunState::kRunning);
  EXPECT_TRUE(DecideIt(snapshot).actions.empty());
  snapshot.run->node = "verifier";
  snapshot.run->usage.tokens_in = 5;
  EXPECT_TRUE(DecideIt(snapshot).actions.empty());
}

TEST(DecideTask, ShowsANewAttempt) {
  Snapshot snapshot = WithJob(RunState::kRunning);
  snapshot = WithStatusWritten(snapshot, DecideIt(snapshot));
  snapshot.run->attempt = 2;
  const Plan plan = DecideIt(snapshot);
  ASSERT_EQ(Of<PatchStatus>(plan).size(), 1u);
  EXPECT_EQ(Of<PatchStatus>(plan)[0].status.run->attempt, 2);
  EXPECT_TRUE(Of<EmitEvent>(plan).empty());
}

TEST(DecideTask, WritesTheGenerationOfAnEditThatStartsNothing) {
  Snapshot snapshot = With(RunState::kCompleted);
  snapshot = WithStatusWritten(snapshot, DecideIt(snapshot));
  json object = *snapshot.object;
  object["metadata"]["generation"] = 4;
  snapshot.object = std::make_shared<const json>(object);
  snapshot.task = api::ParseTask(object).value();
  const Plan plan = DecideIt(snapshot);
  ASSERT_EQ(plan.actions.size(), 1u) << "no new run, no event, nothing counted";
  EXPECT_EQ(Of<PatchStatus>(plan).at(0).status.observed_generation, 4);
}

TEST(DecideTask, RecreatesNothingWhenTheRunHasEnded) {
  for (const RunState state : {RunState::kCompleted, RunState::kFailed, RunState::kCancelled}) {
    const Plan plan = DecideIt(With(state));
    EXPECT_TRUE(Of<CreateJob>(plan).empty()) << ToString(state);
    EXPECT_TRUE(Of<SubmitRun>(plan).empty()) << ToString(state);
  }
}

TEST(DecideTask, MakesTheJobAgainWhenItWasDeletedAndTheLeaseIsOver) {
  Snapshot snapshot = With(RunState::kDispatched);
  snapshot.run->attempt = 1;
  EXPECT_EQ(Of<CreateJob>(DecideIt(snapshot)).size(), 1u);
}

TEST(DecideTask, WaitsForTheLeaseWhenTheJobOfARunningRunIsGone) {
  const Plan plan = DecideIt(With(RunState::kRunning));
  EXPECT_TRUE(Of<CreateJob>(plan).empty()) << "the lost runner may still write";
  EXPECT_EQ(ConditionOf(plan, "Succeeded").reason, "JobLost");
  EXPECT_EQ(Of<EmitEvent>(plan).at(0).type, kube::EventType::kWarning);
  EXPECT_TRUE(plan.requeue_after);
}

TEST(DecideTask, WaitsForAnOldJobOfThatNameToBeGone) {
  const Plan plan = DecideIt(
      WithJob(RunState::kDispatched, {{"metadata", {{"deletionTimestamp", "2026-03-01T12:00:00Z"}}}}));
  EXPECT_TRUE(plan.actions.empty());
  EXPECT_TRUE(plan.requeue_after);
}

TEST(DecideTask, ReportsThePodThatEndedWithoutAWord) {
  Snapshot snapshot = WithJob(RunState::kRunning);
  snapshot.pods = {ViewPod(PodObject({{"phase", "Failed"}}, "dead"), kNow),
                   ViewPod(PodObject({{"phase", "Running"}}, "alive"), kNow)};
  const auto lost = Of<ReportLost>(DecideIt(snapshot));
  ASSERT_EQ(lost.size(), 1u);
  EXPECT_EQ(lost[0].holder, "dead-uid");
}

TEST(DecideTask, TouchesNoJobOfAnotherOwner) {
  Snapshot snapshot = WithJob(RunState::kDispatched);
  snapshot.job->owner_uid = "somebody-else";
  const Plan plan = DecideIt(snapshot);
  EXPECT_TRUE(Of<CreateJob>(plan).empty());
  EXPECT_TRUE(Of<DeleteJob>(plan).empty());
  EXPECT_EQ(ConditionOf(plan, "Stalled").reason, "JobNameTaken");
}

struct JobEndCase {
  const char* name;
  json job;
  api::FailureClass failure_class;
  const char* reason;
};

TEST(DecideTask, FailsTheRunWhoseJobEndedWithoutAResult) {
  const json complete = {
      {"status", {{"conditions", json::array({{{"type", "Complete"}, {"status", "True"}}})}}}};
  const std::vector<JobEndCase> cases = {
      {"the Job succeeded", complete, api::FailureClass::kInfra, "RunnerLeftNoResult"},
      {"its pods failed too often", JobFailed("BackoffLimitExceeded"), api::FailureClass::kInfra,
       "RunnerFailed"},
      {"it took too long", JobFailed("DeadlineExceeded"), api::FailureClass::kTimeout, "DeadlineExceeded"},
      {"its runner gave up", JobFailed("PodFailurePolicy"), api::FailureClass::kInfra, "RunnerLeftNoResult"}};
  for (const JobEndCase& one : cases) {
    for (const RunState state : {RunState::kDispatched, RunState::kRunning}) {
      const Plan plan = DecideIt(WithJob(state, one.job));
      const auto fails = Of<FailRun>(plan);
      ASSERT_EQ(fails.size(), 1u) << one.name;
      EXPECT_EQ(fails[0].failure.failure_class, one.failure_class) << one.name;
      EXPECT_EQ(fails[0].failure.reason, one.reason) << one.name;
      EXPECT_TRUE(plan.look_again) << one.name;
    }
  }
}

TEST(DecideTask, CutsALongFailureBetweenCharacters) {
  for (const char* shift : {"", "x", "xx"}) {
    Snapshot snapshot = WithJob(RunState::kRunning, JobFailed("BackoffLimitExceeded"));
    snapshot.job->failed_message = shift;
    for (int i = 0; i < 600; ++i) snapshot.job->failed_message += "\u20ac";
    const auto fails = Of<FailRun>(DecideIt(snapshot));
    ASSERT_EQ(fails.size(), 1u);
    EXPECT_LE(fails[0].failure.message.size(), 1024U);
    EXPECT_GT(fails[0].failure.message.size(), 1020U);
    EXPECT_EQ(fails[0].failure.message, ValidUtf8(fails[0].failure.message));
  }
}

TEST(DecideTask, LeavesARunAloneThatReportedItsEndBeforeTheJobEnded) {
  EXPECT_TRUE(Of<FailRun>(DecideIt(WithJob(RunState::kFailed, JobFailed("PodFailurePolicy")))).empty());
  EXPECT_TRUE(Of<FailRun>(DecideIt(WithJob(RunState::kBlocked, JobFailed("PodFailurePolicy")))).empty());
}

TEST(DecideTask, TellsWhyAPodDoesNotStartAndOnlyOnce) {
  Snapshot snapshot = WithJob(RunState::kDispatched);
  snapshot = WithStatusWritten(snapshot, DecideIt(snapshot));
  const json waiting = {
      {"phase", "Pending"},
      {"containerStatuses", json::array({{{"state", {{"waiting", {{"reason", "ImagePullBackOff"}}}}}}})}};
  snapshot.pods = {ViewPod(PodObject(waiting), kNow)};
  const Plan plan = DecideIt(snapshot);
  EXPECT_EQ(ConditionOf(plan, "Reconciling").reason, "ImagePullBackOff");
  EXPECT_EQ(Of<EmitEvent>(plan).at(0).reason, "ImagePullBackOff");
  EXPECT_TRUE(DecideIt(WithStatusWritten(snapshot, plan)).actions.empty());
}

TEST(DecideTask, NamesTheSecretsWhenAPodHangs) {
  Snapshot snapshot = WithJob(RunState::kDispatched, json::object(),
                              {{"repository", {{"credentialsSecretRef", {{"name", "git-login"}}}}}});
  snapshot.pods = {ViewPod(PodObject({{"phase", "Pending"}}), kNow + std::chrono::minutes(2))};
  const Plan plan = DecideIt(snapshot);
  EXPECT_EQ(ConditionOf(plan, "Succeeded").reason, "PodNotStarting");
  EXPECT_NE(ConditionOf(plan, "Succeeded").message.find("git-login"), std::string::npos);
}

TEST(DecideTask, LooksAgainForAPodThatHasNotStartedYet) {
  Snapshot snapshot = WithJob(RunState::kDispatched);
  snapshot.pods = {ViewPod(PodObject({{"phase", "Pending"}}), kNow)};
  EXPECT_TRUE(DecideIt(snapshot).requeue_after);
  snapshot.pods = {ViewPod(
      PodObject({{"containerStatuses", json::array({{{"state", {{"running", json::object()}}}}})}}), kNow)};
  EXPECT_FALSE(DecideIt(snapshot).requeue_after);
}

TEST(DecideTask, CountsAndTellsTheEndOnce) {
  Snapshot snapshot = WithJob(RunState::kRunning);
  snapshot = WithStatusWritten(snapshot, DecideIt(snapshot));
  snapshot.run = RunIn(RunState::kCompleted);
  snapshot.run->result = api::RunResult{"approved", "ybis/fix-1", "c0ffee"};
  const Plan plan = DecideIt(snapshot);
  ASSERT_EQ(Of<CountOutcome>(plan).size(), 1u);
  EXPECT_FALSE(Of<CountOutcome>(plan)[0].failure_class);
  EXPECT_DOUBLE_EQ(Of<CountOutcome>(plan)[0].duration.count(), 90);
  EXPECT_EQ(Of<EmitEvent>(plan).at(0).type, kube::EventType::kNormal);
  EXPECT_EQ(ConditionOf(plan, "Succeeded").status, "True");
  EXPECT_TRUE(Of<CountOutcome>(DecideIt(WithStatusWritten(snapshot, plan))).empty());
}

TEST(DecideTask, ShowsTheReasonOfAFailureAndStalls) {
  Snapshot snapshot = With(RunState::kFailed);
  snapshot.run->failure = api::Failure{api::FailureClass::kVerify, "TestsFail", "2 of 3 checks failed"};
  const Plan plan = DecideIt(snapshot);
  EXPECT_EQ(ConditionOf(plan, "Succeeded").status, "False");
  EXPECT_EQ(ConditionOf(plan, "Succeeded").reason, "TestsFail");
  EXPECT_EQ(ConditionOf(plan, "Stalled").status, "True");
  EXPECT_EQ(Of<CountOutcome>(plan).at(0).failure_class, api::FailureClass::kVerify);
  EXPECT_EQ(Of<EmitEvent>(plan).at(0).type, kube::EventType::kWarning);
}

TEST(DecideTask, LetsARunnerLeaveByItselfAndStopsItAfterAWhile) {
  Snapshot snapshot = WithJob(RunState::kCompleted);
  const Plan early = Decide(snapshot, SomeSettings(), *snapshot.run->finished + std::chrono::seconds(1));
  EXPECT_TRUE(Of<DeleteJob>(early).empty());
  EXPECT_TRUE(early.requeue_after);
  const Plan late = Decide(snapshot, SomeSettings(), *snapshot.run->finished + std::chrono::seconds(31));
  EXPECT_EQ(Of<DeleteJob>(late).size(), 1u);
}

// --- waits for a person ---

Snapshot Waiting(const json& job = json::object(), const json& spec = json::object()) {
  Snapshot snapshot = WithJob(RunState::kBlocked, job, spec);
  snapshot.run->failure = api::Failure{api::FailureClass::kPolicy, "ProtectedPath", "changes ci.yml"};
  snapshot.wait = SomeWait();
  return snapshot;
}

/// The same task after its wait was shown and the run has moved on.
Snapshot After(Snapshot waiting, RunState state) {
  const auto job = waiting.job;
  Snapshot snapshot = WithStatusWritten(waiting, DecideIt(waiting));
  snapshot.run = RunIn(state);
  snapshot.run->attempt = 1;
  snapshot.wait.reset();
  snapshot.job = job;
  return snapshot;
}

const json kSuspended = {{"spec", {{"suspend", true}}}};
const json kComplete = {
    {"status", {{"conditions", json::array({{{"type", "Complete"}, {"status", "True"}}})}}}};

TEST(DecideTask, BlocksWithTheRuleNamedAndSuspendsTheJob) {
  const Plan plan = DecideIt(Waiting());
  EXPECT_TRUE(Of<SuspendJob>(plan).at(0).suspend);
  EXPECT_EQ(Of<PatchStatus>(plan).at(0).status.phase, api::TaskPhase::kBlocked);
  EXPECT_EQ(ConditionOf(plan, "AwaitingApproval").status, "True");
  EXPECT_EQ(ConditionOf(plan, "AwaitingApproval").reason, "ProtectedPath");
  const std::string message = ConditionOf(plan, "AwaitingApproval").message;
  for (const char* part : {"changes ci.yml", "kubectl ybis approve fix -n team", kRun}) {
    EXPECT_NE(message.find(part), std::string::npos) << part << " in " << message;
  }
  EXPECT_EQ(Of<EmitEvent>(plan).at(0).reason, "ProtectedPath");
}

TEST(DecideTask, ShowsWhatADecisionMustNameAndWhoHasApproved) {
  Snapshot snapshot = Waiting();
  snapshot.wait->required = 2;
  snapshot.wait->approvers = {"ada"};
  const auto shown = Of<PatchStatus>(DecideIt(snapshot)).at(0).status.approval;
  ASSERT_TRUE(shown);
  EXPECT_EQ(shown->subject_digest, "sha256:5ub");
  EXPECT_EQ(shown->approvers, std::vector<std::string>{"ada"});
  EXPECT_EQ(shown->required, 2);
  EXPECT_EQ(shown->expires, kNow + std::chrono::hours(1));
}

TEST(DecideTask, ShowsAnApprovalThatCountedWithoutAnEvent) {
  Snapshot snapshot = Waiting(kSuspended);
  snapshot.wait->required = 2;
  snapshot = WithStatusWritten(snapshot, DecideIt(snapshot));
  snapshot.wait->approvers = {"ada"};
  const Plan plan = DecideIt(snapshot);
  ASSERT_EQ(plan.actions.size(), 1u);
  EXPECT_EQ(Of<PatchStatus>(plan).at(0).status.approval->approvers.size(), 1u);
}

TEST(DecideTask, WritesNothingWhileNobodyDecides) {
  Snapshot snapshot = Waiting(kSuspended);
  snapshot = WithStatusWritten(snapshot, DecideIt(snapshot));
  EXPECT_TRUE(Decide(snapshot, SomeSettings(), kNow + std::chrono::minutes(30)).actions.empty());
}

TEST(DecideTask, DeletesAJobThatEndedWhileItsRunWaits) {
  for (const json& job : {kComplete, JobFailed("BackoffLimitExceeded")}) {
    const Plan plan = DecideIt(Waiting(job));
    EXPECT_EQ(Of<DeleteJob>(plan).size(), 1u);
    EXPECT_TRUE(Of<FailRun>(plan).empty());
    EXPECT_TRUE(Of<SuspendJob>(plan).empty());
  }
}

TEST(DecideTask, GivesTheQuotaOfAQueueBackWhileItsRunWaits) {
  const Plan plan = DecideIt(Waiting(json::object(), {{"queueName", "gpu"}}));
  EXPECT_EQ(Of<DeleteJob>(plan).size(), 1u);
  EXPECT_TRUE(Of<SuspendJob>(plan).empty()) << "the queue would start it again";
}

TEST(DecideTask, AsksForTheTurnOfARunThatMayGoOnBeforeItShowsItAsQueued) {
  Snapshot snapshot = After(Waiting(kSuspended), RunState::kQueued);
  const Plan plan = DecideIt(snapshot);
  EXPECT_EQ(Of<AdmitRuns>(plan).size(), 1u);
  EXPECT_TRUE(Of<PatchStatus>(plan).empty());
  EXPECT_TRUE(plan.look_again);
  snapshot.admitted = true;
  const Plan full = DecideIt(snapshot);
  EXPECT_TRUE(Of<AdmitRuns>(full).empty());
  EXPECT_EQ(Of<PatchStatus>(full).at(0).status.phase, api::TaskPhase::kQueued);
  EXPECT_FALSE(Of<PatchStatus>(full).at(0).status.approval);
}

TEST(DecideTask, KeepsTheJobStillWhileItsRunWaitsForItsTurnAgain) {
  EXPECT_TRUE(Of<SuspendJob>(DecideIt(After(Waiting(), RunState::kQueued))).at(0).suspend);
  EXPECT_TRUE(Of<SuspendJob>(DecideIt(After(Waiting(kSuspended), RunState::kQueued))).empty());
}

TEST(DecideTask, LetsTheJobOfAnApprovedRunGoOnInOneWrite) {
  Snapshot snapshot = After(Waiting(kSuspended), RunState::kDispatched);
  const Plan plan = DecideIt(snapshot);
  EXPECT_FALSE(Of<SuspendJob>(plan).at(0).suspend);
  EXPECT_EQ(Of<PatchStatus>(plan).at(0).status.phase, api::TaskPhase::kRunning);
  EXPECT_EQ(Of<PatchStatus>(plan).at(0).status.run->attempt, 2) << "the one that begins";
  EXPECT_EQ(ConditionOf(plan, "AwaitingApproval").status, "False");
  snapshot = WithStatusWritten(snapshot, plan);
  snapshot.job->suspended = false;
  snapshot.run->state = RunState::kRunning;
  snapshot.run->attempt = 2;
  EXPECT_TRUE(DecideIt(snapshot).actions.empty()) << "its claim is no news";
}

TEST(DecideTask, MakesTheJobOfAnApprovedRunAgainWhenItIsGone) {
  Snapshot snapshot = After(Waiting(kSuspended), RunState::kDispatched);
  snapshot.job.reset();
  EXPECT_EQ(Of<CreateJob>(DecideIt(snapshot)).size(), 1u);
}

TEST(DecideTask, ReplacesAJobThatEndedBeforeTheDecisionInsteadOfFailingTheRun) {
  for (const json& job : {kComplete, JobFailed("DeadlineExceeded")}) {
    const Plan plan = DecideIt(After(Waiting(job), RunState::kDispatched));
    EXPECT_EQ(Of<DeleteJob>(plan).size(), 1u);
    EXPECT_TRUE(Of<FailRun>(plan).empty());
    EXPECT_TRUE(plan.requeue_after);
  }
}

TEST(DecideTask, HoldsBackAnApprovedRunOfASuspendedTask) {
  const json held = {{"suspend", true}};
  Snapshot in_queue = After(Waiting(kSuspended, held), RunState::kQueued);
  in_queue.run->hold = control::Hold{"Suspended", "why", std::nullopt};
  const Plan queued = DecideIt(in_queue);
  EXPECT_TRUE(Of<AdmitRuns>(queued).empty() && Of<ReleaseRun>(queued).empty());
  EXPECT_EQ(ConditionOf(queued, "Succeeded").reason, "Suspended");
  const Plan plan = DecideIt(After(Waiting(kSuspended, held), RunState::kDispatched));
  EXPECT_TRUE(Of<SuspendJob>(plan).empty());
  EXPECT_EQ(Of<HoldRun>(plan).at(0).reason, "Suspended");
}

TEST(DecideTask, EndsARejectedRunAndTakesItsSuspendedJobAwayAtOnce) {
  Snapshot snapshot = After(Waiting(kSuspended), RunState::kFailed);
  snapshot.run->failure = api::Failure{api::FailureClass::kRejected, "Rejected", "rejected by ada: no"};
  const Plan plan = Decide(snapshot, SomeSettings(), *snapshot.run->finished + std::chrono::seconds(1));
  EXPECT_EQ(Of<DeleteJob>(plan).size(), 1u);
  EXPECT_EQ(Of<PatchStatus>(plan).at(0).status.phase, api::TaskPhase::kFailed);
  EXPECT_FALSE(Of<PatchStatus>(plan).at(0).status.approval);
  EXPECT_EQ(Of<CountOutcome>(plan).at(0).failure_class, api::FailureClass::kRejected);
}

TEST(DecideTask, CancelsARunThatWaits) {
  Snapshot snapshot = Waiting(kSuspended, {{"cancel", true}});
  EXPECT_EQ(Of<CancelRun>(DecideIt(snapshot)).size(), 1u);
}

TEST(DecideTask, LetsASuspendedJobGoOnWhenItsRunIsDispatchedAgain) {
  EXPECT_FALSE(Of<SuspendJob>(DecideIt(WithJob(RunState::kDispatched, kSuspended))).at(0).suspend);
  EXPECT_TRUE(
      Of<SuspendJob>(DecideIt(WithJob(RunState::kDispatched, kSuspended, {{"queueName", "gpu"}}))).empty())
      << "with a queue it is the queue's to start";
}

// --- what people ask for ---

TEST(DecideTask, HoldsBackWhatIsSuspended) {
  const Plan fresh = DecideIt(SnapshotOf(TaskObject({{"suspend", true}})));
  EXPECT_TRUE(Of<SubmitRun>(fresh).empty());
  EXPECT_EQ(ConditionOf(fresh, "Accepted").status, "True");
  EXPECT_EQ(Of<PatchStatus>(fresh).at(0).status.phase, api::TaskPhase::kPending);
  const json suspended = {{"suspend", true}};
  for (const RunState state : {RunState::kQueued, RunState::kDispatched}) {
    const Plan plan = DecideIt(With(state, suspended));
    EXPECT_TRUE(Of<CreateJob>(plan).empty());
    EXPECT_EQ(Of<HoldRun>(plan).at(0).reason, "Suspended");
    EXPECT_FALSE(Of<HoldRun>(plan).at(0).retry_after);
  }
  const Plan held = DecideIt(HeldAs("Suspended", suspended));
  EXPECT_TRUE(Of<HoldRun>(held).empty());
  EXPECT_EQ(ConditionOf(held, "Succeeded").reason, "Suspended");
  EXPECT_EQ(Of<ReleaseRun>(DecideIt(HeldAs("Suspended"))).size(), 1u);
}

TEST(DecideTask, StartsANewRunForANewTokenOnly) {
  EXPECT_EQ(Of<SubmitRun>(DecideIt(With(RunState::kCompleted, {{"rerun", {{"token", "again"}}}}))).size(),
            1u);
  Snapshot same = With(RunState::kCompleted, {{"rerun", {{"token", "again"}}}});
  same.run->rerun_token = "again";
  EXPECT_TRUE(Of<SubmitRun>(DecideIt(same)).empty());
  Snapshot taken_away = With(RunState::kCompleted);
  taken_away.run->rerun_token = "again";
  EXPECT_TRUE(Of<SubmitRun>(DecideIt(taken_away)).empty());
}

TEST(DecideTask, LetsARunEndBeforeANewTokenCounts) {
  EXPECT_TRUE(
      Of<SubmitRun>(DecideIt(WithJob(RunState::kRunning, json::object(), {{"rerun", {{"token", "again"}}}})))
          .empty());
}

TEST(DecideTask, SubmitsATokenOnceInOneReconcile) {
  Snapshot snapshot = With(RunState::kCompleted, {{"rerun", {{"token", "used-before"}}}});
  snapshot.submitted = true;
  EXPECT_TRUE(Of<SubmitRun>(DecideIt(snapshot)).empty());
}

TEST(DecideTask, CancelsInTheRecordFirst) {
  const Plan plan = DecideIt(WithJob(RunState::kRunning, json::object(), {{"cancel", true}}));
  ASSERT_EQ(plan.actions.size(), 1u);
  EXPECT_EQ(Of<CancelRun>(plan).at(0).run_id, kRun);
  EXPECT_TRUE(plan.look_again);
}

TEST(DecideTask, KillsThePodsOfACancelledRun) {
  Snapshot snapshot = WithJob(RunState::kRunning, json::object(), {{"cancel", true}});
  snapshot.run->cancel_requested = true;
  snapshot.pods = {ViewPod(PodObject({{"phase", "Running"}}), kNow)};
  const Plan plan = DecideIt(snapshot);
  EXPECT_EQ(Of<DeleteJob>(plan).size(), 1u);
  EXPECT_EQ(Of<DeletePod>(plan).at(0).uid, "pod-1-uid");
  EXPECT_TRUE(plan.requeue_after);
}

TEST(DecideTask, EndsACancelledRunOnceNothingOfItIsLeft) {
  Snapshot snapshot = With(RunState::kRunning, {{"cancel", true}});
  snapshot.run->cancel_requested = true;
  const auto fails = Of<FailRun>(DecideIt(snapshot));
  ASSERT_EQ(fails.size(), 1u);
  EXPECT_EQ(fails[0].failure.failure_class, api::FailureClass::kCancelled);
}

TEST(DecideTask, CancelsATaskThatNeverRan) {
  const Plan plan = DecideIt(SnapshotOf(TaskObject({{"cancel", true}})));
  EXPECT_EQ(Of<PatchStatus>(plan).at(0).status.phase, api::TaskPhase::kCancelled);
  EXPECT_TRUE(Of<SubmitRun>(plan).empty());
}

TEST(DecideTask, KeepsTheResultOfARunThatEndedBeforeTheCancel) {
  const Plan plan = DecideIt(With(RunState::kCompleted, {{"cancel", true}}));
  EXPECT_EQ(Of<PatchStatus>(plan).at(0).status.phase, api::TaskPhase::kCompleted);
}

// --- bad input ---

struct RejectionCase {
  const char* reason;
  std::function<void(Snapshot&)> spoil;
};

TEST(DecideTask, RejectsWhatCannotRunWithAReasonAndAnEventAndRetriesOnlyWhatMayPass) {
  const std::vector<RejectionCase> cases = {
      {"InvalidSpec",
       [](Snapshot& s) {
         s.invalid = Error{ErrorCode::kInvalid, "spec.title: too long"};
       }},
      {"WorkflowNotFound",
       [](Snapshot& s) {
         s.workflow = {std::nullopt, "WorkflowNotFound", "no such"};
       }},
      {"WorkflowInvalid",
       [](Snapshot& s) {
         s.workflow = {std::nullopt, "WorkflowInvalid", "a loop"};
       }},
      {"ImageNotAllowed", [](Snapshot& s) { s.task.spec.runner.image = "evil:1"; }},
      {"ModelNotAllowed", [](Snapshot& s) { s.task.spec.model.name = "huge"; }},
      {"ModelNotAllowed",
       [](Snapshot& s) {
         s.task.spec.model.fallbacks = {"small", "huge"};
       }},
      {"LimitTooHigh", [](Snapshot& s) { s.task.spec.limits.timeout_seconds = 604'800; }},
      {"LimitTooHigh", [](Snapshot& s) { s.task.spec.limits.max_cost_usd = 1000; }},
      {"SecretNotFound", [](Snapshot& s) { s.missing_secrets = {"Secret git"}; }}};
  for (const RejectionCase& one : cases) {
    Snapshot snapshot = SnapshotOf(TaskObject());
    one.spoil(snapshot);
    const Plan plan = DecideIt(snapshot);
    EXPECT_TRUE(Of<SubmitRun>(plan).empty()) << one.reason;
    EXPECT_EQ(ConditionOf(plan, "Accepted").status, "False") << one.reason;
    EXPECT_EQ(ConditionOf(plan, "Accepted").reason, one.reason);
    EXPECT_EQ(ConditionOf(plan, "Stalled").status, "True") << one.reason;
    EXPECT_EQ(Of<EmitEvent>(plan).at(0).type, kube::EventType::kWarning) << one.reason;
    EXPECT_EQ(plan.requeue_after.has_value(), std::string_view(one.reason) == "SecretNotFound") << one.reason;
  }
}

TEST(DecideTask, TakesATaskThatNamesNoTimeWhateverTheLimit) {
  TaskSettings settings = SomeSettings();
  settings.config.limits.max_timeout_seconds = 600;
  const auto submits = [&](const json& spec) {
    return Of<SubmitRun>(Decide(SnapshotOf(TaskObject(spec)), settings, kNow));
  };
  ASSERT_EQ(submits(json::object()).size(), 1u);
  EXPECT_EQ(submits(json::object())[0].submission.default_timeout_seconds, 600);
  EXPECT_TRUE(submits({{"limits", {{"timeoutSeconds", 3600}}}}).empty());
}

TEST(DecideTask, KeepsARunGoingWhoseSpecWasSpoiledMeanwhile) {
  Snapshot snapshot = WithJob(RunState::kRunning);
  snapshot.invalid = Error{ErrorCode::kInvalid, "spec.title: too long"};
  const Plan plan = DecideIt(snapshot);
  EXPECT_EQ(ConditionOf(plan, "Accepted").status, "True");
  EXPECT_TRUE(Of<CancelRun>(plan).empty());
}

TEST(DecideTask, SubmitsTheNodeThatARerunBeginsAt) {
  const auto plan =
      DecideIt(With(RunState::kFailed, {{"rerun", {{"token", "again"}, {"fromNode", "verify"}}}}));
  EXPECT_EQ(Of<SubmitRun>(plan).at(0).submission.spec.rerun_from, "verify");
}

TEST(DecideTask, TellsWhyARerunIsRefusedAndSubmitsNoMore) {
  Snapshot snapshot = With(RunState::kFailed, {{"rerun", {{"token", "again"}, {"fromNode", "verify"}}}});
  snapshot.create_problem = CreateProblem{ErrorCode::kInvalid, "run x never came to it", true};
  const Plan plan = DecideIt(snapshot);
  EXPECT_EQ(ConditionOf(plan, "Accepted").reason, "RerunRefused");
  EXPECT_EQ(Of<EmitEvent>(plan).at(0).reason, "RerunRefused");
  EXPECT_TRUE(Of<SubmitRun>(plan).empty());
  EXPECT_TRUE(Of<FailRun>(plan).empty());
}

TEST(DecideTask, FailsARunWhoseJobTheApiServerFindsInvalid) {
  Snapshot snapshot = With(RunState::kDispatched);
  snapshot.create_problem =
      CreateProblem{ErrorCode::kInvalid, "spec.template.spec.tolerations[0].operator: bad"};
  EXPECT_EQ(Of<FailRun>(DecideIt(snapshot)).at(0).failure.reason, "JobInvalid");
}

TEST(DecideTask, WaitsWhenAQuotaForbidsTheJob) {
  Snapshot snapshot = With(RunState::kDispatched);
  snapshot.create_problem = CreateProblem{ErrorCode::kDenied, "exceeded quota: jobs"};
  const Plan refused = DecideIt(snapshot);
  EXPECT_TRUE(Of<FailRun>(refused).empty());
  EXPECT_EQ(Of<HoldRun>(refused).at(0).reason, "JobForbidden");
  EXPECT_TRUE(Of<HoldRun>(refused).at(0).retry_after);

  Snapshot held = HeldAs("JobForbidden", json::object(), std::chrono::seconds(200));
  const Plan waits = DecideIt(held);
  EXPECT_EQ(ConditionOf(waits, "Succeeded").reason, "JobForbidden");
  EXPECT_EQ(waits.requeue_after, Duration(std::chrono::seconds(200)));
  EXPECT_EQ(Of<EmitEvent>(waits).at(0).reason, "JobForbidden");
  EXPECT_TRUE(Of<EmitEvent>(DecideIt(WithStatusWritten(held, waits))).empty()) << "told once";
  held.run->hold->left = std::chrono::seconds(0);
  EXPECT_EQ(Of<ReleaseRun>(DecideIt(held)).size(), 1u);
  held.admitted = true;
  EXPECT_TRUE(Of<ReleaseRun>(DecideIt(held)).empty()) << "once in one reconcile";
}

TEST(DecideTask, LeavesARefusedJobShownWhileItsRunOnlyWaitsForATurnToTryAgain) {
  const Snapshot held = HeldAs("JobForbidden", json::object(), std::chrono::seconds(20));
  Snapshot queued = WithStatusWritten(held, DecideIt(held));
  queued.run->hold.reset();
  EXPECT_TRUE(DecideIt(queued).actions.empty());
  queued.task.meta.generation = queued.run->generation = 4;
  const Plan edited = DecideIt(queued);
  EXPECT_EQ(ConditionOf(edited, "Succeeded").reason, "JobForbidden");
  EXPECT_EQ(Of<PatchStatus>(edited).at(0).status.observed_generation, 4);
  queued.run->run_id = "aaaa1111-2";
  EXPECT_EQ(ConditionOf(DecideIt(queued), "Succeeded").reason, "Queued") << "another run's";
}

TEST(DecideTask, ANewTokenLetsNoRunGoThatARefusedEditHolds) {
  const json unheard_of = {{"model", {{"name", "unheard-of"}}}, {"rerun", {{"token", "2"}}}};
  const Plan kept = DecideIt(HeldAs("ModelNotAllowed", unheard_of));
  EXPECT_TRUE(Of<ReleaseRun>(kept).empty());
  EXPECT_EQ(ConditionOf(kept, "Accepted").reason, "ModelNotAllowed");
  EXPECT_EQ(Of<ReleaseRun>(DecideIt(HeldAs("ModelNotAllowed", {{"rerun", {{"token", "2"}}}}))).size(), 1u);
}

}  // namespace
}  // namespace ybis::op
