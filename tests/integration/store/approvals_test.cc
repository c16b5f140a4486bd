// Runs that wait for a person, over a real Postgres.
#include "control/approvals.h"

#include <sys/wait.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "base/digest.h"
#include "control/journal.h"
#include "control/metrics.h"
#include "tests/integration/store/fixture.h"

namespace ybis::testing {
namespace {

using api::DecisionKind;
using control::ApprovalRequest;
using control::Approvals;
using control::ApprovalVerdict;
using control::RunState;
using namespace std::chrono_literals;

constexpr char kSubject[] = "sha256:subject";

/// planner → gate → [repair, done]; repair → gate.
control::TaskSubmission GatedSubmission(const std::string& name, bool with_repair = true) {
  auto submission = Submission(name);
  const auto config = std::make_shared<const nlohmann::json>(nlohmann::json::object());
  submission.workflow.nodes = {{"planner", "planner", {{"gate", {}}}, config, 0, 1},
                               {"gate", "gate", {{"done", {}}}, config, 0, 0},
                               {"done", "passthrough", {}, config, 0, 1}};
  if (!with_repair) return submission;
  submission.workflow.nodes[1].next.push_back({"repair", {}});
  submission.workflow.nodes.push_back({"repair", "repair", {{"gate", {}}}, config, 0, 0});
  return submission;
}

void Block(World& world, const std::string& run_id, int64_t epoch, const std::string& subject = kSubject) {
  auto report = FinishOf(epoch, "Blocked");
  report.subject_digest = subject;
  report.wait_node = "gate";
  report.failure = api::Failure{api::FailureClass::kPolicy, "PolicyBlocked", "deploy/x is protected"};
  YBIS_ASSERT_OK(world.ledger.Finish(run_id, report, {}));
}

/// A run that has reported one node and blocked; returns its id.
std::string Blocked(World& world, control::TaskSubmission submission) {
  const auto run = world.queue.Submit(submission);
  EXPECT_TRUE(run) << Message(run);
  const int64_t epoch = Claimed(world, run->run_id);
  EXPECT_TRUE(world.ledger.ReportNode(run->run_id, NodeReportOf(epoch, 1, "gate"), {}));
  Block(world, run->run_id, epoch);
  return run->run_id;
}

std::string Blocked(World& world, int64_t required = 1) {
  auto submission = GatedSubmission(NewUuid().substr(0, 8));
  submission.spec.approval.required = required;
  return Blocked(world, submission);
}

ApprovalRequest Request(const std::string& run_id, DecisionKind decision = DecisionKind::kApprove,
                        const std::string& approver = "ada", const std::string& subject = kSubject) {
  return {NewUuid(), run_id, subject, decision, "because", "keep the old port", approver};
}

control::ApprovalResult Decide(Approvals& approvals, const ApprovalRequest& request) {
  const auto result = approvals.Decide(request, {});
  EXPECT_TRUE(result) << Message(result);
  return result.value_or(control::ApprovalResult{});
}

RunState StateOf(World& world, const std::string& run_id) {
  return world.ledger.GetRun(run_id, {}).value().state;
}

int64_t Events(World& world, const std::string& run_id, const std::string& type) {
  return Count(world.pool, "SELECT count(*) FROM events WHERE run_id = $1 AND type = $2", {run_id, type});
}

int64_t Waits(World& world) { return Count(world.pool, "SELECT count(*) FROM waits"); }

void Age(World& world, const std::string& column) {
  YBIS_ASSERT_OK(world.pool.Execute("UPDATE waits SET " + column + " = now() - interval '1 second'", {}, {}));
}

TEST(Approvals, ADecisionInTheNameOfAnotherTaskDecidesNothing) {
  World world(Server().NewDatabase());
  Approvals approvals(world.pool);
  const std::string run_id = Blocked(world);
  ApprovalRequest request = Request(run_id);
  request.task_uid = NewUuid();
  const auto refused = approvals.Decide(request, {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kNotFound);
  EXPECT_EQ(StateOf(world, run_id), RunState::kBlocked);
  EXPECT_EQ(Count(world.pool, "SELECT count(*) FROM approvals"), 0)
      << "not even in the audit of another's run";
  request.task_uid = world.ledger.GetRun(run_id, {}).value().task_uid;
  EXPECT_EQ(Decide(approvals, request).verdict, ApprovalVerdict::kDecided);
}

TEST(Approvals, ABlockedRunWaitsWithWhatItsTaskAsksFor) {
  World world(Server().NewDatabase());
  Approvals approvals(world.pool);
  auto submission = GatedSubmission("t");
  submission.spec.approval = {api::ApprovalMode::kOnBlock, 2, 3600, 600};
  const std::string run_id = Blocked(world, submission);
  const auto wait = approvals.WaitOf(run_id);
  YBIS_ASSERT_OK(wait);
  ASSERT_TRUE(wait->has_value());
  EXPECT_EQ((*wait)->subject_digest, kSubject);
  EXPECT_EQ((*wait)->node, "gate");
  EXPECT_EQ((*wait)->seq, 1);
  EXPECT_EQ((*wait)->required, 2);
  EXPECT_EQ((*wait)->expires - (*wait)->since, 3600s);
  EXPECT_EQ(*(*wait)->next_reminder - (*wait)->since, 600s);
  EXPECT_EQ((*wait)->reason, "PolicyBlocked");
  EXPECT_EQ((*wait)->message, "deploy/x is protected");
  EXPECT_EQ((*wait)->task_name, "t");
  EXPECT_FALSE((*wait)->expired);
  EXPECT_TRUE((*wait)->approvers.empty());
  EXPECT_EQ(Events(world, run_id, "APPROVAL_REQUESTED"), 1);
  EXPECT_EQ(Events(world, run_id, "RUN_BLOCKED"), 1);
  EXPECT_EQ(approvals.Waiting(10)->size(), 1u);
  EXPECT_EQ(approvals.WaitingCount().value(), 1);
  EXPECT_FALSE(approvals.WaitOf("nobody-1")->has_value());
  const auto claim = world.ledger.Claim(run_id, "pod", {}, {});
  YBIS_EXPECT_CODE(claim, kConflict);
}

TEST(Approvals, ARunThatBlocksWithoutASubjectIsRefused) {
  World world(Server().NewDatabase());
  const std::string run_id = Dispatched(world, "t");
  YBIS_EXPECT_CODE(world.ledger.Finish(run_id, FinishOf(Claimed(world, run_id), "Blocked"), {}), kInvalid);
}

TEST(Approvals, ABlockToldTwiceIsOneWait) {
  World world(Server().NewDatabase());
  const auto run = world.queue.Submit(GatedSubmission("t"));
  const int64_t epoch = Claimed(world, run->run_id);
  Block(world, run->run_id, epoch);
  Block(world, run->run_id, epoch);
  EXPECT_EQ(Waits(world), 1);
  EXPECT_EQ(Events(world, run->run_id, "APPROVAL_REQUESTED"), 1);
}

TEST(Approvals, AnApprovedRunIsQueuedDispatchedAndClaimedWithTheDecision) {
  World world(Server().NewDatabase());
  control::Metrics metrics;
  Approvals approvals(world.pool, &metrics);
  const std::string run_id = Blocked(world);
  const auto before = world.ledger.GetRun(run_id, {});
  const auto result = Decide(approvals, Request(run_id));
  EXPECT_EQ(result.verdict, ApprovalVerdict::kDecided);
  EXPECT_EQ(result.approvals, 1);
  EXPECT_EQ(result.required, 1);
  EXPECT_EQ(result.task_key, before->task_namespace + "/" + before->task_name);
  EXPECT_NE(result.message.find("approved by ada (1 of 1)"), std::string::npos) << result.message;
  const auto queued = world.ledger.GetRun(run_id, {});
  EXPECT_EQ(queued->state, RunState::kQueued);
  EXPECT_GT(queued->epoch, before->epoch) << "writes of the attempt that blocked are stale from now on";
  EXPECT_FALSE(queued->failure.has_value());
  EXPECT_EQ(Waits(world), 0);
  EXPECT_EQ(Events(world, run_id, "APPROVAL_GRANTED"), 1);
  ASSERT_EQ(world.queue.Admit()->size(), 1u);
  const auto claim = world.ledger.Claim(run_id, "pod-2", {}, {});
  YBIS_ASSERT_OK(claim);
  EXPECT_EQ(claim->attempt, 2);
  ASSERT_TRUE(claim->decision.has_value());
  EXPECT_EQ(claim->decision->decision, DecisionKind::kApprove);
  EXPECT_EQ(claim->decision->approvers, std::vector<std::string>{"ada"});
  EXPECT_EQ(claim->decision->reason, "because");
  EXPECT_EQ(claim->decision->subject_digest, kSubject);
  EXPECT_EQ(claim->decision->seq, 1);
  EXPECT_EQ(claim->checkpoint->seq, 1);
  EXPECT_NE(metrics.Serialize().find("ybis_approval_wait_seconds_count{decision=\"Approve\"} 1"),
            std::string::npos);
}

TEST(Approvals, TheDecisionComesAgainUntilTheNextCheckpoint) {
  World world(Server().NewDatabase());
  Approvals approvals(world.pool);
  const std::string run_id = Blocked(world);
  Decide(approvals, Request(run_id, DecisionKind::kRevise));
  YBIS_ASSERT_OK(world.queue.Admit());
  const auto first = world.ledger.Claim(run_id, "pod-2", {}, {});
  YBIS_ASSERT_OK(world.ledger.Release(run_id, {first->epoch, "SIGTERM"}, {}));
  const auto second = world.ledger.Claim(run_id, "pod-3", {}, {});
  YBIS_ASSERT_OK(second);
  ASSERT_TRUE(second->decision.has_value());
  EXPECT_EQ(second->decision->decision, DecisionKind::kRevise);
  EXPECT_EQ(second->decision->feedback, "keep the old port");
  EXPECT_EQ(second->decision->decided, first->decision->decided)
      << "what is made from it must come out equal";
  YBIS_ASSERT_OK(world.ledger.ReportNode(run_id, NodeReportOf(second->epoch, 2, "repair"), {}));
  YBIS_ASSERT_OK(world.ledger.Release(run_id, {second->epoch, "SIGTERM"}, {}));
  EXPECT_FALSE(world.ledger.Claim(run_id, "pod-4", {}, {})->decision.has_value());
}

TEST(Approvals, LateWordsOfTheAttemptThatBlockedAreStale) {
  World world(Server().NewDatabase());
  Approvals approvals(world.pool);
  const auto run = world.queue.Submit(GatedSubmission("t"));
  const int64_t epoch = Claimed(world, run->run_id);
  Block(world, run->run_id, epoch);
  Decide(approvals, Request(run->run_id));
  YBIS_ASSERT_OK(world.queue.Admit());
  YBIS_EXPECT_CODE(world.ledger.Heartbeat(run->run_id, {epoch, "gate"}, {}), kStale);
  auto again = FinishOf(epoch, "Blocked");
  again.subject_digest = kSubject;
  YBIS_EXPECT_CODE(world.ledger.Finish(run->run_id, again, {}), kStale);
  EXPECT_EQ(StateOf(world, run->run_id), RunState::kDispatched);
}

TEST(Approvals, AQuorumCountsDifferentPeople) {
  World world(Server().NewDatabase());
  Approvals approvals(world.pool);
  const std::string run_id = Blocked(world, 2);
  const auto first = Decide(approvals, Request(run_id));
  EXPECT_EQ(first.verdict, ApprovalVerdict::kCounted);
  EXPECT_EQ(first.approvals, 1);
  EXPECT_EQ(first.required, 2);
  const auto again = Decide(approvals, Request(run_id));
  EXPECT_EQ(again.verdict, ApprovalVerdict::kDuplicate);
  EXPECT_EQ(again.approvals, 1);
  EXPECT_EQ(StateOf(world, run_id), RunState::kBlocked);
  EXPECT_EQ(approvals.WaitOf(run_id).value()->approvers, std::vector<std::string>{"ada"});
  const auto second = Decide(approvals, Request(run_id, DecisionKind::kApprove, "bob"));
  EXPECT_EQ(second.verdict, ApprovalVerdict::kDecided);
  EXPECT_EQ(second.approvals, 2);
  YBIS_ASSERT_OK(world.queue.Admit());
  EXPECT_EQ(world.ledger.Claim(run_id, "pod-2", {}, {})->decision->approvers,
            (std::vector<std::string>{"ada", "bob"}));
  EXPECT_EQ(Events(world, run_id, "APPROVAL_GRANTED"), 2);
  EXPECT_EQ(Events(world, run_id, "APPROVAL_REFUSED"), 1);
}

TEST(Approvals, OneRejectionEndsTheRunWhateverWasApproved) {
  World world(Server().NewDatabase());
  Approvals approvals(world.pool);
  const std::string run_id = Blocked(world, 2);
  Decide(approvals, Request(run_id));
  const auto result = Decide(approvals, Request(run_id, DecisionKind::kReject, "bob"));
  EXPECT_EQ(result.verdict, ApprovalVerdict::kDecided);
  const auto run = world.ledger.GetRun(run_id, {});
  EXPECT_EQ(run->state, RunState::kFailed);
  EXPECT_EQ(run->failure->failure_class, api::FailureClass::kRejected);
  EXPECT_EQ(run->failure->message, "rejected by bob: because");
  EXPECT_EQ(Waits(world), 0);
  EXPECT_EQ(Events(world, run_id, "APPROVAL_REJECTED"), 1);
  YBIS_EXPECT_CODE(world.ledger.Claim(run_id, "pod", {}, {}), kGone);
}

TEST(Approvals, WhatDecidesNothingSaysSoAndIsOnRecord) {
  World world(Server().NewDatabase());
  Approvals approvals(world.pool);
  const std::string run_id = Blocked(world, GatedSubmission("t", false));
  const auto other = Decide(approvals, Request(run_id, DecisionKind::kApprove, "ada", "sha256:old"));
  EXPECT_EQ(other.verdict, ApprovalVerdict::kStale);
  EXPECT_NE(other.message.find("look at it again"), std::string::npos) << other.message;
  const auto nowhere = Decide(approvals, Request(run_id, DecisionKind::kRevise));
  EXPECT_EQ(nowhere.verdict, ApprovalVerdict::kRefused);
  EXPECT_NE(nowhere.message.find("no repair node that can be reached from gate"), std::string::npos)
      << nowhere.message;
  auto silent = Request(run_id, DecisionKind::kReject);
  silent.reason.clear();
  EXPECT_EQ(Decide(approvals, silent).verdict, ApprovalVerdict::kRefused);
  EXPECT_EQ(StateOf(world, run_id), RunState::kBlocked);
  Age(world, "expires");
  EXPECT_EQ(Decide(approvals, Request(run_id)).verdict, ApprovalVerdict::kStale);
  EXPECT_EQ(StateOf(world, run_id), RunState::kBlocked) << "the sweep ends it, not a late decision";
  YBIS_ASSERT_OK(world.queue.Cancel(run_id, "enough"));
  const auto over = Decide(approvals, Request(run_id));
  EXPECT_EQ(over.verdict, ApprovalVerdict::kStale);
  const auto audit = approvals.Audit(run_id);
  YBIS_ASSERT_OK(audit);
  std::vector<ApprovalVerdict> verdicts;
  for (const auto& entry : *audit) verdicts.push_back(entry.verdict);
  EXPECT_EQ(verdicts,
            (std::vector{ApprovalVerdict::kStale, ApprovalVerdict::kRefused, ApprovalVerdict::kRefused,
                         ApprovalVerdict::kStale, ApprovalVerdict::kStale}));
  EXPECT_EQ(audit->front().subject_digest, "sha256:old");
  EXPECT_EQ(audit->front().approver, "ada");
  EXPECT_EQ(Events(world, run_id, "APPROVAL_STALE"), 3);
  EXPECT_EQ(Events(world, run_id, "APPROVAL_REFUSED"), 2);
  YBIS_EXPECT_CODE(approvals.Decide(Request("nobody-1"), {}), kNotFound);
  YBIS_EXPECT_CODE(approvals.Decide(Request(run_id, DecisionKind::kApprove, ""), {}), kInvalid);
}

TEST(Approvals, ADecisionIsStaleAfterARevisionHasChangedWhatWaits) {
  World world(Server().NewDatabase());
  Approvals approvals(world.pool);
  const std::string run_id = Blocked(world, 2);
  Decide(approvals, Request(run_id, DecisionKind::kApprove, "bob"));
  EXPECT_EQ(Decide(approvals, Request(run_id, DecisionKind::kRevise)).verdict, ApprovalVerdict::kDecided);
  EXPECT_EQ(Events(world, run_id, "REVISION_REQUESTED"), 1);
  EXPECT_EQ(Decide(approvals, Request(run_id, DecisionKind::kApprove, "eve")).verdict,
            ApprovalVerdict::kStale);
  YBIS_ASSERT_OK(world.queue.Admit());
  const int64_t epoch = Claimed(world, run_id, "pod-2");
  YBIS_ASSERT_OK(world.ledger.ReportNode(run_id, NodeReportOf(epoch, 2, "gate"), {}));
  Block(world, run_id, epoch, "sha256:second");
  EXPECT_EQ(Decide(approvals, Request(run_id, DecisionKind::kApprove, "eve")).verdict,
            ApprovalVerdict::kStale);
  const auto wait = approvals.WaitOf(run_id);
  EXPECT_TRUE((*wait)->approvers.empty()) << "an approval of what was before does not count";
  const auto fresh = Request(run_id, DecisionKind::kApprove, "bob", "sha256:second");
  EXPECT_EQ(Decide(approvals, fresh).verdict, ApprovalVerdict::kCounted);
}

TEST(Approvals, TheSameKeyDecidesOnceAndTellsWhatCameOfIt) {
  World world(Server().NewDatabase());
  Approvals approvals(world.pool);
  const std::string run_id = Blocked(world);
  const auto request = Request(run_id);
  EXPECT_FALSE(*approvals.Known(request.key, {}));
  const auto first = Decide(approvals, request);
  EXPECT_TRUE(*approvals.Known(request.key, {}));
  const auto again = Decide(approvals, request);
  EXPECT_EQ(again.verdict, ApprovalVerdict::kDecided);
  EXPECT_EQ(again.message, first.message);
  EXPECT_TRUE(again.repeated);
  EXPECT_FALSE(first.repeated);
  EXPECT_EQ(Count(world.pool, "SELECT count(*) FROM approvals"), 1);
  EXPECT_EQ(Count(world.pool, "SELECT count(*) FROM queue"), 1);
  auto stolen = request;
  stolen.decision = DecisionKind::kReject;
  YBIS_EXPECT_CODE(approvals.Decide(stolen, {}), kConflict);
}

TEST(Approvals, ManyWhoDecideAtOnceDecideOnce) {
  World world(Server().NewDatabase(), {}, {}, 16);
  Approvals approvals(world.pool);
  for (int round = 0; round < 10; ++round) {
    const std::string run_id = Blocked(world);
    std::atomic<int> decided{0};
    std::atomic<int> stale{0};
    std::vector<std::jthread> people;
    for (int i = 0; i < 12; ++i) {
      people.emplace_back([&, i] {
        const DecisionKind kinds[] = {DecisionKind::kApprove, DecisionKind::kReject, DecisionKind::kRevise};
        const auto result = Decide(approvals, Request(run_id, kinds[i % 3], "person-" + std::to_string(i)));
        if (result.verdict == ApprovalVerdict::kDecided) ++decided;
        if (result.verdict == ApprovalVerdict::kStale) ++stale;
      });
    }
    people.clear();
    EXPECT_EQ(decided, 1);
    EXPECT_EQ(stale, 11);
    const bool failed = StateOf(world, run_id) == RunState::kFailed;
    EXPECT_EQ(Count(world.pool, "SELECT count(*) FROM queue WHERE run_id = $1", {run_id}), failed ? 0 : 1);
  }
  EXPECT_EQ(Waits(world), 0);
}

TEST(Approvals, ACancelBesideADecisionLeavesNothingBehind) {
  World world(Server().NewDatabase(), {}, {}, 16);
  Approvals approvals(world.pool);
  for (int round = 0; round < 30; ++round) {
    const std::string run_id = Blocked(world);
    std::jthread cancel([&] { YBIS_EXPECT_OK(world.queue.Cancel(run_id, "no")); });
    std::jthread approve([&] { Decide(approvals, Request(run_id)); });
    std::jthread admit([&] { YBIS_EXPECT_OK(world.queue.Admit()); });
    std::jthread sweep([&] { YBIS_EXPECT_OK(approvals.Sweep({})); });
  }
  YBIS_ASSERT_OK(world.queue.Admit());
  EXPECT_EQ(Count(world.pool, "SELECT count(*) FROM runs WHERE state <> 'Cancelled'"), 0);
  EXPECT_EQ(Waits(world), 0);
  EXPECT_EQ(Count(world.pool, "SELECT count(*) FROM queue"), 0);
  EXPECT_EQ(Count(world.pool, "SELECT count(*) FROM leases"), 0);
}

TEST(Approvals, ACancelledRunWaitsNoLonger) {
  World world(Server().NewDatabase());
  Approvals approvals(world.pool);
  const std::string run_id = Blocked(world);
  YBIS_ASSERT_OK(world.queue.Cancel(run_id, "not wanted"));
  EXPECT_EQ(StateOf(world, run_id), RunState::kCancelled);
  EXPECT_FALSE(approvals.WaitOf(run_id)->has_value());
}

TEST(Approvals, AnExpiredWaitFailsTheRunOnceHoweverManySweep) {
  World world(Server().NewDatabase(), {1000, 1000, 1000}, {}, 16);
  control::Metrics metrics;
  Approvals approvals(world.pool, &metrics);
  for (int i = 0; i < 120; ++i) Blocked(world);
  const std::string kept = Blocked(world);
  YBIS_ASSERT_OK(world.pool.Execute(
      "UPDATE waits SET expires = now() - interval '1 second' WHERE run_id <> $1", {kept}, {}));
  std::atomic<size_t> expired{0};
  std::vector<std::jthread> sweepers;
  for (int i = 0; i < 4; ++i) {
    sweepers.emplace_back([&] {
      const auto swept = approvals.Sweep({});
      YBIS_EXPECT_OK(swept);
      if (swept) expired += swept->expired.size();
    });
  }
  sweepers.clear();
  expired += approvals.Sweep({})->expired.size();
  EXPECT_EQ(expired, 120u);
  EXPECT_EQ(Count(world.pool,
                  "SELECT count(*) FROM runs WHERE state = 'Failed' AND "
                  "failure->>'class' = 'Expired' AND finished IS NOT NULL"),
            120);
  EXPECT_EQ(Count(world.pool, "SELECT count(*) FROM events WHERE type = 'APPROVAL_EXPIRED'"), 120);
  EXPECT_EQ(StateOf(world, kept), RunState::kBlocked);
  const std::string text = metrics.Serialize();
  EXPECT_NE(text.find("ybis_approval_wait_seconds_count{decision=\"Expired\"} 120"), std::string::npos);
  EXPECT_NE(text.find("ybis_waiting_runs 1"), std::string::npos);
}

TEST(Approvals, AReminderIsGivenOnceEachTimeItIsDue) {
  World world(Server().NewDatabase(), {}, {}, 16);
  Approvals approvals(world.pool);
  auto submission = GatedSubmission("t");
  submission.spec.approval.reminder_seconds = 600;
  const std::string run_id = Blocked(world, submission);
  EXPECT_TRUE(approvals.Sweep({})->reminders.empty());
  for (int64_t round = 1; round <= 2; ++round) {
    YBIS_ASSERT_OK(
        world.pool.Execute("UPDATE waits SET next_reminder = now() - interval '25 minutes'", {}, {}));
    std::atomic<size_t> reminded{0};
    std::vector<std::jthread> sweepers;
    for (int i = 0; i < 4; ++i) {
      sweepers.emplace_back([&] {
        const auto swept = approvals.Sweep({});
        YBIS_EXPECT_OK(swept);
        if (swept) reminded += swept->reminders.size();
      });
    }
    sweepers.clear();
    reminded += approvals.Sweep({})->reminders.size();
    EXPECT_EQ(reminded, 1u) << "three that were missed are one";
    EXPECT_EQ(Events(world, run_id, "APPROVAL_REMINDER"), round);
  }
  EXPECT_EQ(Count(world.pool,
                  "SELECT count(*) FROM waits WHERE next_reminder > now() AND "
                  "next_reminder <= now() + interval '10 minutes'"),
            1);
  EXPECT_EQ(StateOf(world, run_id), RunState::kBlocked);
}

TEST(Approvals, TheClockOfTheDeadlineStandsWhileTheRunWaits) {
  World world(Server().NewDatabase());
  Approvals approvals(world.pool);
  auto submission = GatedSubmission("t");
  submission.spec.limits.timeout_seconds = 100;
  const auto run = world.queue.Submit(submission);
  const int64_t epoch = Claimed(world, run->run_id);
  YBIS_ASSERT_OK(
      world.pool.Execute("WITH l AS (UPDATE leases SET deadline = now() + interval '60 seconds') "
                         "UPDATE runs SET deadline = now() + interval '60 seconds'",
                         {}, {}));
  YBIS_ASSERT_OK(world.ledger.ReportNode(run->run_id, NodeReportOf(epoch, 1, "gate"), {}));
  Block(world, run->run_id, epoch);
  EXPECT_EQ(Count(world.pool, "SELECT count(*) FROM runs WHERE deadline IS NULL"), 1);
  const std::chrono::milliseconds left(
      Count(world.pool, "SELECT (extract(epoch FROM time_left) * 1000)::bigint FROM runs"));
  EXPECT_LE(left, 60s);
  std::this_thread::sleep_for(1500ms);
  const auto decided = std::chrono::system_clock::now();
  Decide(approvals, Request(run->run_id));
  YBIS_ASSERT_OK(world.queue.Admit());
  const auto claim = world.ledger.Claim(run->run_id, "pod-2", {}, {});
  YBIS_ASSERT_OK(claim);
  EXPECT_GE(*claim->order.deadline, decided + left - 10ms) << "the wait is not counted";
  EXPECT_LE(*claim->order.deadline, std::chrono::system_clock::now() + left + 10ms);
}

TEST(Approvals, AResumedRunKeepsWithinTheLimitsAndWhatItStartedWith) {
  World world(Server().NewDatabase(), {1, 10, 10});
  Approvals approvals(world.pool);
  auto submission = GatedSubmission("t");
  const std::string run_id = Blocked(world, submission);
  const std::string busy = Dispatched(world, "busy");
  Decide(approvals, Request(run_id));
  EXPECT_TRUE(world.queue.Admit()->empty());
  EXPECT_EQ(StateOf(world, run_id), RunState::kQueued);
  submission.generation = 2;
  submission.spec.objective = "Something else.";
  YBIS_ASSERT_OK(world.queue.Submit(submission));
  EXPECT_EQ(world.ledger.RunSpec(run_id, {})->objective, "Make it so.");
  YBIS_ASSERT_OK(world.queue.Cancel(busy, "make room"));
  ASSERT_EQ(world.queue.Admit()->size(), 1u);
  EXPECT_EQ(StateOf(world, run_id), RunState::kDispatched);
}

TEST(Approvals, TheWatchdogsThreadSweepsThemToo) {
  World world(Server().NewDatabase());
  auto submission = GatedSubmission("t");
  submission.spec.approval.reminder_seconds = 600;
  Blocked(world, submission);
  const std::string late = Blocked(world);
  Age(world, "next_reminder");
  YBIS_ASSERT_OK(world.pool.Execute("UPDATE waits SET expires = now() WHERE run_id = $1", {late}, {}));
  std::atomic<size_t> expired{0};
  std::atomic<size_t> reminded{0};
  {
    const control::WatchdogThread thread(
        world.pool, 10ms,
        {.on_expired = [&](const auto& runs) { expired += runs.size(); },
         .on_reminders = [&](const auto& waits) { reminded += waits.size(); }});
    for (int i = 0; i < 300 && (expired == 0 || reminded == 0); ++i) std::this_thread::sleep_for(10ms);
  }
  EXPECT_EQ(expired, 1u);
  EXPECT_GE(reminded, 1u);
}

/// A child process decides again and again and is killed at a random time; what it did is whole or not there.
TEST(Approvals, KilledAtAnyInstructionADecisionHasHappenedWholeOrNotAtAll) {
  World world(Server().NewDatabase());
  std::vector<std::string> runs;
  for (int i = 0; i < 40; ++i) runs.push_back(Blocked(world));
  std::srand(7);
  for (const std::string& run_id : runs) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      store::Pool pool(SettingsFor(world.url, 1));
      Approvals approvals(pool);
      const auto result =
          approvals.Decide({"key-" + run_id, run_id, kSubject, DecisionKind::kApprove, "", "", "ada"}, {});
      _exit(result ? 0 : 1);
    }
    std::this_thread::sleep_for(std::chrono::microseconds(std::rand() % 80'000));
    kill(child, SIGKILL);
    int status = 0;
    waitpid(child, &status, 0);
  }
  int whole = 0;
  for (const std::string& run_id : runs) {
    const int64_t rows = Count(world.pool, "SELECT count(*) FROM approvals WHERE run_id = $1", {run_id});
    const bool queued = StateOf(world, run_id) == RunState::kQueued;
    whole += queued ? 1 : 0;
    EXPECT_EQ(rows, queued ? 1 : 0);
    EXPECT_EQ(Count(world.pool, "SELECT count(*) FROM queue WHERE run_id = $1", {run_id}), queued ? 1 : 0);
    EXPECT_EQ(Count(world.pool, "SELECT count(*) FROM waits WHERE run_id = $1", {run_id}), queued ? 0 : 1);
    EXPECT_EQ(Events(world, run_id, "APPROVAL_GRANTED"), queued ? 1 : 0);
  }
  std::printf("%d of 40 were decided before they were killed\n", whole);
  Approvals approvals(world.pool);
  for (const std::string& run_id : runs) {
    const auto result =
        Decide(approvals, {"key-" + run_id, run_id, kSubject, DecisionKind::kApprove, "", "", "ada"});
    EXPECT_EQ(result.verdict, ApprovalVerdict::kDecided) << "the same command again comes to the same";
  }
  EXPECT_EQ(Count(world.pool, "SELECT count(*) FROM approvals"), 40);
}

}  // namespace
}  // namespace ybis::testing
