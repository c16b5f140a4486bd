#include "operator/task/status.h"

#include <gtest/gtest.h>

#include "tests/operator/world.h"

namespace ybis::op {
namespace {

using namespace testing;
using control::RunState;
using nlohmann::json;

api::Task SomeTask() { return api::ParseTask(TaskObject()).value(); }

std::string StatusOf(const api::TaskStatus& status, const char* type) {
  const auto* condition = api::FindCondition(status.conditions, type);
  return condition == nullptr ? "" : condition->status;
}

struct StageCase {
  Stage stage;
  bool stalled;
  api::TaskPhase phase;
  const char* accepted;
  const char* succeeded;
  const char* awaiting;
  const char* reconciling;
  const char* stalled_status;
};

TEST(TaskStatus, GivesEveryStageItsPhaseAndConditions) {
  using P = api::TaskPhase;
  const std::vector<StageCase> cases = {
      {Stage::kRejected, true, P::kPending, "False", "Unknown", "False", "False", "True"},
      {Stage::kSuspended, false, P::kPending, "True", "Unknown", "False", "True", "False"},
      {Stage::kQueued, false, P::kQueued, "True", "Unknown", "False", "True", "False"},
      {Stage::kRunning, false, P::kRunning, "True", "Unknown", "False", "True", "False"},
      {Stage::kCancelling, false, P::kRunning, "True", "Unknown", "False", "True", "False"},
      {Stage::kBlocked, false, P::kBlocked, "True", "Unknown", "True", "True", "False"},
      {Stage::kCompleted, false, P::kCompleted, "True", "True", "False", "False", "False"},
      {Stage::kFailed, true, P::kFailed, "True", "False", "False", "False", "True"},
      {Stage::kCancelled, false, P::kCancelled, "True", "False", "False", "False", "False"}};
  for (const StageCase& one : cases) {
    const auto status = BuildStatus(SomeTask(), std::nullopt, {one.stage, "R", "m", one.stalled}, kNow);
    const int number = static_cast<int>(one.stage);
    EXPECT_EQ(status.phase, one.phase) << number;
    EXPECT_EQ(StatusOf(status, "Accepted"), one.accepted) << number;
    EXPECT_EQ(StatusOf(status, "Succeeded"), one.succeeded) << number;
    EXPECT_EQ(StatusOf(status, "AwaitingApproval"), one.awaiting) << number;
    EXPECT_EQ(StatusOf(status, "Reconciling"), one.reconciling) << number;
    EXPECT_EQ(StatusOf(status, "Stalled"), one.stalled_status) << number;
    EXPECT_EQ(status.observed_generation, 3) << number;
  }
}

TEST(TaskStatus, MovesATransitionTimeOnlyWithTheStatus) {
  api::Task task = SomeTask();
  task.status = BuildStatus(task, std::nullopt, {Stage::kQueued, "Queued", "m"}, kNow);
  const auto later =
      BuildStatus(task, std::nullopt, {Stage::kCompleted, "Completed", "m"}, kNow + std::chrono::hours(1));
  EXPECT_EQ(api::FindCondition(later.conditions, "Accepted")->last_transition, kNow);
  EXPECT_EQ(api::FindCondition(later.conditions, "Succeeded")->last_transition, kNow + std::chrono::hours(1));
}

TEST(TaskStatus, ShowsTheOutcomeOfAnEndedRun) {
  control::RunRecord run = RunIn(RunState::kCompleted);
  run.result = api::RunResult{"approved", "ybis/fix-1", "c0ffee", "ba5e", "sha256:1", 2, 10, 3};
  run.verification = api::VerificationResult{4, 0};
  run.usage = {100, 20, 0.5, 3};
  run.artifacts = {{"nodes/1-plan/output.json", "sha256:2", 5}, {"patch.diff", "sha256:3", 7}};
  const auto status = BuildStatus(SomeTask(), run, {Stage::kCompleted, "Completed", ""}, kNow);
  EXPECT_EQ(status.result->branch, "ybis/fix-1");
  EXPECT_EQ(status.verification->passed, 4);
  EXPECT_EQ(status.usage->tokens_in, 100);
  EXPECT_EQ(status.artifacts.at(0).name, "patch.diff") << "the run's own artifacts before its nodes'";
  EXPECT_EQ(status.run->completion_time, run.finished);
  EXPECT_EQ(status.run->job_name, std::string("ybis-") + kRun);
}

TEST(TaskStatus, ShowsNothingOfARunUnderWayThatChangesWithEveryNode) {
  control::RunRecord run = RunIn(RunState::kRunning);
  run.usage = {100, 20, 0.5, 3};
  const auto status = BuildStatus(SomeTask(), run, {Stage::kRunning, "Running", ""}, kNow);
  EXPECT_FALSE(status.usage);
  EXPECT_FALSE(status.result);
  EXPECT_TRUE(status.artifacts.empty());
}

TEST(TaskStatus, CountsAttemptsFromTheJobOnAsTheSchemaGoesByThem) {
  struct Case {
    RunState state;
    int recorded;
    int shown;
  };
  // crds/: a task may change while attempt is 0 (queued, or held before its Job), and never after.
  for (const Case one : {Case{RunState::kQueued, 0, 0}, Case{RunState::kDispatched, 0, 1},
                         Case{RunState::kRunning, 1, 1}, Case{RunState::kQueued, 1, 1}}) {
    control::RunRecord run = RunIn(one.state);
    run.attempt = one.recorded;
    const auto status = BuildStatus(SomeTask(), run, {Stage::kQueued, "R", "m"}, kNow);
    EXPECT_EQ(status.run->attempt, one.shown) << static_cast<int>(one.state);
    EXPECT_EQ(api::ToJson(status)["run"]["attempt"], one.shown) << "0 is written too";
  }
}

TEST(TaskStatus, ShowsAWaitAsInProgressAndNotAsStalled) {
  const auto status = BuildStatus(SomeTask(), RunIn(RunState::kBlocked),
                                  {Stage::kBlocked, "ProtectedPath", "m", false, SomeWait()}, kNow);
  EXPECT_EQ(StatusOf(status, "Reconciling"), "True");
  EXPECT_EQ(StatusOf(status, "Stalled"), "False");
  EXPECT_EQ(api::ToJson(status)["approval"]["approvals"], 0);
  EXPECT_EQ(api::ToJson(status)["approval"]["node"], "gate");
}

TEST(TaskStatus, CutsALongReasonToWaitSoThatTheCommandStaysReadable) {
  control::Wait wait = SomeWait();
  wait.message = std::string(5000, 'x');
  const auto status = BuildStatus(SomeTask(), RunIn(RunState::kBlocked),
                                  {Stage::kBlocked, "ProtectedPath", "m", false, wait}, kNow);
  const auto* condition = api::FindCondition(status.conditions, "AwaitingApproval");
  EXPECT_LE(condition->message.size(), 1024u);
  EXPECT_NE(condition->message.find("kubectl ybis approve fix"), std::string::npos);
}

TEST(TaskStatus, KeepsWithinTheSchemasBounds) {
  control::RunRecord run = RunIn(RunState::kFailed);
  for (int i = 0; i < 100; ++i) run.artifacts.push_back({"a" + std::to_string(i), "sha256:0", 1});
  std::string umlauts;
  for (int i = 0; i < 2000; ++i) umlauts += "ä";
  run.failure = api::Failure{api::FailureClass::kAgent, "X", umlauts};
  const auto status = BuildStatus(SomeTask(), run, {Stage::kFailed, "X", umlauts, true}, kNow);
  EXPECT_EQ(status.artifacts.size(), 64u);
  EXPECT_LE(status.failure->message.size(), 1024u);
  EXPECT_NO_THROW(api::ToJson(status).dump()) << "a character was cut in two";
}

TEST(TaskStatus, KeepsWithinTheSchemasBoundsWhateverARunnerReported) {
  const std::string endless(5000, 'x');
  control::RunRecord run = RunIn(RunState::kFailed);
  run.node = endless;
  run.result = api::RunResult{endless, endless, endless, endless, endless, 1, 1, 1};
  run.failure = api::Failure{api::FailureClass::kAgent, endless, endless};
  run.artifacts = {{endless, "sha256:0", 1}};
  const auto status = BuildStatus(SomeTask(), run, {Stage::kFailed, endless, endless, true}, kNow);
  EXPECT_EQ(status.run->node.size(), 63u);
  EXPECT_EQ(status.result->decision.size(), 64u);
  EXPECT_EQ(status.result->branch.size(), 256u);
  EXPECT_EQ(status.result->commit.size(), 64u);
  EXPECT_EQ(status.result->base_commit.size(), 64u);
  EXPECT_EQ(status.result->patch_digest.size(), 128u);
  EXPECT_EQ(status.failure->reason.size(), 128u);
  EXPECT_EQ(status.artifacts.at(0).name.size(), 256u);
  EXPECT_EQ(api::FindCondition(status.conditions, "Succeeded")->reason.size(), 128u);
}

TEST(TaskStatus, DiffersOnlyInWhatIsStored) {
  const api::Task task = SomeTask();
  const auto status =
      BuildStatus(task, RunIn(RunState::kCompleted), {Stage::kCompleted, "Completed", "m"}, kNow);
  json object = TaskObject();
  EXPECT_TRUE(StatusDiffers(object, status));
  object["status"] = api::ToJson(status);
  EXPECT_FALSE(StatusDiffers(object, status));
  object["status"]["phase"] = "Failed";
  EXPECT_TRUE(StatusDiffers(object, status));
}

}  // namespace
}  // namespace ybis::op
