#include <functional>
#include <nlohmann/json.hpp>
#include <thread>

#include "control/journal.h"
#include "tests/integration/store/fixture.h"

namespace ybis::testing {
namespace {

using control::RunState;
using namespace std::chrono_literals;

/// As if the lease had run out, without waiting for it.
void RunOutLease(World& world, const std::string& run_id) {
  YBIS_ASSERT_OK(world.pool.Execute(
      "UPDATE leases SET expires = now() - interval '1 second' WHERE run_id = $1", {run_id}, {}));
}

TEST(RunLedger, ClaimHandsOverTheWholeOrder) {
  World world(Server().NewDatabase());
  auto submission = Submission("order");
  submission.spec.parameters = {{"key", "value"}};
  submission.spec.limits.timeout_seconds = 100;
  submission.policy.protected_paths = {"ci/**"};
  const auto run = world.queue.Submit(submission);
  const auto claim = world.ledger.Claim(run->run_id, "pod-1", {"1.0", "host"}, {});
  YBIS_ASSERT_OK(claim);
  EXPECT_EQ(claim->epoch, 1);
  EXPECT_EQ(claim->attempt, 1);
  EXPECT_EQ(claim->lease_seconds, 300);
  EXPECT_EQ(claim->order.task_uid, submission.uid);
  EXPECT_EQ(claim->order.spec.parameters.at("key"), "value");
  EXPECT_EQ(claim->order.workflow.name, "ybis-native");
  EXPECT_EQ(claim->order.workflow.nodes.size(), 2u);
  EXPECT_EQ(claim->order.policy.protected_paths, submission.policy.protected_paths);
  EXPECT_FALSE(claim->checkpoint.has_value());
  const auto left = *claim->order.deadline - std::chrono::system_clock::now();
  EXPECT_GT(left, 90s);
  EXPECT_LT(left, 101s);
}

TEST(RunLedger, ARunOfATaskThatNamesNoTimeTakesTheSubmissions) {
  World world(Server().NewDatabase());
  auto submission = Submission("order");
  submission.default_timeout_seconds = 50;
  const auto run = world.queue.Submit(submission);
  const auto claim = world.ledger.Claim(run->run_id, "pod-1", {"1.0", "host"}, {});
  YBIS_ASSERT_OK(claim);
  EXPECT_LT(*claim->order.deadline - std::chrono::system_clock::now(), 51s);
}

TEST(RunLedger, SixteenThreadsRaceForOneClaimAndOneWins) {
  World world(Server().NewDatabase(), {}, {}, 16);
  const std::string run_id = Dispatched(world, "race");
  std::atomic<int> won{0};
  std::vector<std::jthread> threads;
  for (int t = 0; t < 16; ++t) {
    threads.emplace_back([&, t] {
      const auto claim = world.ledger.Claim(run_id, "pod-" + std::to_string(t), {}, {});
      if (claim) {
        ++won;
      } else {
        EXPECT_EQ(claim.error().code, ErrorCode::kConflict) << Message(claim);
        EXPECT_TRUE(claim.error().retryable);
        EXPECT_GT(claim.error().retry_after, 200s);
      }
    });
  }
  threads.clear();
  EXPECT_EQ(won, 1);
}

TEST(RunLedger, ClaimIsRefusedWithTheReason) {
  World world(Server().NewDatabase(), {1, 10, 10});
  const std::string run_id = Dispatched(world, "t");
  const auto queued = world.queue.Submit(Submission("waiting"));
  YBIS_EXPECT_CODE(world.ledger.Claim("nobody-1", "pod", {}, {}), kNotFound);
  const auto too_early = world.ledger.Claim(queued->run_id, "pod", {}, {});
  YBIS_EXPECT_CODE(too_early, kConflict);
  EXPECT_TRUE(too_early.error().retryable);
  const int64_t epoch = Claimed(world, run_id);
  YBIS_ASSERT_OK(world.ledger.Finish(run_id, FinishOf(epoch), {}));
  const auto over = world.ledger.Claim(run_id, "pod", {}, {});
  YBIS_EXPECT_CODE(over, kGone);
  EXPECT_FALSE(over.error().retryable);
  YBIS_ASSERT_OK(world.queue.Cancel(queued->run_id, "no"));
  YBIS_EXPECT_CODE(world.ledger.Claim(queued->run_id, "pod", {}, {}), kCancelled);
}

TEST(RunLedger, ClaimPastTheDeadlineIsRefused) {
  World world(Server().NewDatabase());
  const std::string run_id = Dispatched(world, "t");
  Claimed(world, run_id);
  YBIS_ASSERT_OK(world.pool.Execute("UPDATE leases SET deadline = now() - interval '1 second'", {}, {}));
  YBIS_EXPECT_CODE(world.ledger.Claim(run_id, "pod-1", {}, {}), kTimeout);
}

TEST(RunLedger, TheSamePodMayClaimAgainAndFencesItsFormerSelf) {
  World world(Server().NewDatabase());
  const std::string run_id = Dispatched(world, "t");
  const int64_t first = Claimed(world, run_id);
  const int64_t second = Claimed(world, run_id);
  EXPECT_GT(second, first);
  YBIS_EXPECT_CODE(world.ledger.Heartbeat(run_id, {first, ""}, {}), kStale);
  YBIS_EXPECT_CODE(world.ledger.ReportNode(run_id, NodeReportOf(first, 1), {}), kStale);
  YBIS_EXPECT_CODE(world.ledger.RecordEvent(run_id, {first, "k", "T", "", nullptr, {}}, {}), kStale);
  YBIS_EXPECT_CODE(world.ledger.PutArtifact(run_id, first, "a.json", "{}", {}), kStale);
  YBIS_EXPECT_CODE(world.ledger.Finish(run_id, FinishOf(first), {}), kStale);
  YBIS_EXPECT_CODE(world.ledger.Release(run_id, {first, ""}, {}), kStale);
  YBIS_EXPECT_OK(world.ledger.Heartbeat(run_id, {second, ""}, {}));
}

TEST(RunLedger, AnotherPodTakesOverAnExpiredLease) {
  World world(Server().NewDatabase());
  const std::string run_id = Dispatched(world, "t");
  const int64_t first = Claimed(world, run_id, "pod-1");
  YBIS_ASSERT_OK(world.ledger.ReportNode(run_id, NodeReportOf(first, 1), {}));
  YBIS_EXPECT_CODE(world.ledger.Claim(run_id, "pod-2", {}, {}), kConflict);
  RunOutLease(world, run_id);
  const auto claim = world.ledger.Claim(run_id, "pod-2", {}, {});
  YBIS_ASSERT_OK(claim);
  EXPECT_EQ(claim->attempt, 2);
  ASSERT_TRUE(claim->checkpoint.has_value());
  EXPECT_EQ(claim->checkpoint->seq, 1);
  EXPECT_EQ(claim->checkpoint->next_node, "executor");
  EXPECT_EQ(claim->checkpoint->patch, "patch 1");
  EXPECT_EQ(claim->checkpoint->visits.at("planner"), 1);
  EXPECT_EQ(claim->checkpoint->state->at("seq"), 1);
  EXPECT_EQ(world.ledger.GetRun(run_id, {})->infra_failures, 1);
  YBIS_EXPECT_CODE(world.ledger.ReportNode(run_id, NodeReportOf(first, 2), {}), kStale);
}

TEST(RunLedger, NodesAreRecordedOnceAndInOrder) {
  World world(Server().NewDatabase());
  const std::string run_id = Dispatched(world, "t");
  const int64_t epoch = Claimed(world, run_id);
  YBIS_EXPECT_OK(world.ledger.ReportNode(run_id, NodeReportOf(epoch, 1), {}));
  YBIS_EXPECT_OK(world.ledger.ReportNode(run_id, NodeReportOf(epoch, 1), {}));
  const auto gap = world.ledger.ReportNode(run_id, NodeReportOf(epoch, 3), {});
  YBIS_EXPECT_CODE(gap, kConflict);
  EXPECT_FALSE(gap.error().retryable);
  YBIS_EXPECT_OK(world.ledger.ReportNode(run_id, NodeReportOf(epoch, 2), {}));
  const int64_t later = Claimed(world, run_id);
  YBIS_EXPECT_OK(world.ledger.ReportNode(run_id, NodeReportOf(later, 2), {}));  // a repeat by a later epoch
  EXPECT_EQ(Count(world.pool, "SELECT count(*) FROM node_executions"), 2);
  EXPECT_EQ(world.ledger.GetRun(run_id, {})->node, "executor");
}

/// Commits of a database, as the server counts them once their session has ended.
int64_t CommitsOf(const std::function<void(World&)>& work) {
  const std::string url = Server().NewDatabase();
  World(url, {}, {}, 2).pool.Execute("SELECT 1", {}, {});
  store::Pool watcher(SettingsFor(url, 1));
  const auto count = [&] {
    return Count(watcher,
                 "SELECT pg_stat_get_db_xact_commit(oid)::bigint FROM pg_database "
                 "WHERE datname = current_database()");
  };
  const auto settled = [&] {  // statistics of an ended session arrive a little later
    int64_t last = count();
    for (int same = 0; same < 5;) {
      std::this_thread::sleep_for(100ms);
      const int64_t now = count();
      same = now - last <= 1 ? same + 1 : 0;
      last = now;
    }
    return last;
  };
  const int64_t before = settled();
  {
    World world(url, {}, {}, 1);
    work(world);
  }
  return settled() - before;
}

TEST(RunLedger, ANodeIsOneCommit) {
  constexpr int kNodes = 400;
  const auto walk = [](int nodes) {
    return CommitsOf([nodes](World& world) {
      const std::string run_id = Dispatched(world, "hello");
      const int64_t epoch = Claimed(world, run_id);
      for (int seq = 1; seq <= nodes; ++seq) {
        YBIS_EXPECT_OK(world.ledger.ReportNode(run_id, NodeReportOf(epoch, seq), {}));
      }
    });
  };
  const double each = static_cast<double>(walk(kNodes) - walk(0)) / kNodes;
  EXPECT_NEAR(each, 1, 0.1);
}

TEST(RunLedger, HostileTextSurvives) {
  World world(Server().NewDatabase());
  const std::string run_id = Dispatched(world, "t");
  const int64_t epoch = Claimed(world, run_id);
  auto report = NodeReportOf(epoch, 1);
  const std::string nul("a\0b", 3);
  report.output = std::make_shared<const nlohmann::json>(nlohmann::json{{"text", nul}});
  report.error = nul;
  YBIS_EXPECT_OK(world.ledger.ReportNode(run_id, report, {}));
  auto refused = NodeReportOf(epoch, 2);
  refused.checkpoint.patch = nul;  // a patch is bytes of files: cutting or changing it would be worse
  YBIS_EXPECT_CODE(world.ledger.ReportNode(run_id, refused, {}), kInvalid);
  refused.checkpoint.patch = "broken \xff\xfe text";
  YBIS_EXPECT_CODE(world.ledger.ReportNode(run_id, refused, {}), kInvalid);
  const auto rows = world.pool.Execute("SELECT output FROM node_executions WHERE seq = 1", {}, {});
  EXPECT_EQ((*rows)[0].Json(0)->at("text"), nul);
}

TEST(RunLedger, ReportsOverTheCapAreRefused) {
  control::LedgerSettings settings;
  settings.max_checkpoint_bytes = 1000;
  settings.max_artifact_bytes = 10;
  settings.max_artifacts = 2;
  settings.max_events = 2;
  World world(Server().NewDatabase(), {}, settings);
  const std::string run_id = Dispatched(world, "t");
  const int64_t epoch = Claimed(world, run_id);
  auto report = NodeReportOf(epoch, 1);
  report.checkpoint.patch = std::string(1001, 'x');
  YBIS_EXPECT_CODE(world.ledger.ReportNode(run_id, report, {}), kTooLarge);
  YBIS_EXPECT_CODE(world.ledger.PutArtifact(run_id, epoch, "a", std::string(11, 'x'), {}), kTooLarge);
  YBIS_EXPECT_OK(world.ledger.PutArtifact(run_id, epoch, "a", "1", {}));
  YBIS_EXPECT_OK(world.ledger.PutArtifact(run_id, epoch, "b", "2", {}));
  const auto many = world.ledger.PutArtifact(run_id, epoch, "c", "3", {});
  YBIS_EXPECT_CODE(many, kExhausted);
  for (const char* key : {"1", "2"}) {
    YBIS_EXPECT_OK(world.ledger.RecordEvent(run_id, {epoch, key, "T", "", nullptr, {}}, {}));
  }
  YBIS_EXPECT_CODE(world.ledger.RecordEvent(run_id, {epoch, "3", "T", "", nullptr, {}}, {}), kExhausted);
}

TEST(RunLedger, ARunHasNoMoreNodesThanAllowed) {
  World world(Server().NewDatabase(), {}, {.max_nodes = 2});
  const std::string run_id = Dispatched(world, "t");
  const int64_t epoch = Claimed(world, run_id);
  for (const int64_t seq : {1, 2, 2})
    YBIS_EXPECT_OK(world.ledger.ReportNode(run_id, NodeReportOf(epoch, seq), {}));
  const auto refused = world.ledger.ReportNode(run_id, NodeReportOf(epoch, 3), {});
  YBIS_EXPECT_CODE(refused, kExhausted);
  EXPECT_FALSE(refused.error().retryable);
  EXPECT_NE(refused.error().message.find("2 nodes, the most allowed"), std::string::npos) << Message(refused);
  EXPECT_EQ(Count(world.pool, "SELECT count(*) FROM node_executions"), 2);
  YBIS_EXPECT_OK(world.ledger.Finish(run_id, FinishOf(epoch, "Failed"), {}));
}

TEST(RunLedger, ArtifactsComeBackByNameWithTheirDigest) {
  World world(Server().NewDatabase());
  const std::string run_id = Dispatched(world, "t");
  const int64_t epoch = Claimed(world, run_id);
  const std::string bytes("\0binary\xff", 8);
  const auto ref = world.ledger.PutArtifact(run_id, epoch, "nodes/1-planner/output.json", bytes, {});
  YBIS_ASSERT_OK(ref);
  EXPECT_EQ(ref->size, 8);
  EXPECT_EQ(*world.ledger.GetArtifact(run_id, ref->name, {}), bytes);
  YBIS_EXPECT_OK(world.ledger.PutArtifact(run_id, epoch, "plan.json", bytes, {}));  // the same content twice
  YBIS_EXPECT_OK(world.ledger.PutArtifact(run_id, epoch, "plan.json", "newer", {}));
  EXPECT_EQ(*world.ledger.GetArtifact(run_id, "plan.json", {}), "newer");
  EXPECT_EQ(world.ledger.ListArtifacts(run_id, {})->size(), 3u);  // and events.jsonl
  EXPECT_EQ(Count(world.pool, "SELECT count(*) FROM blobs"), 2);
  YBIS_EXPECT_CODE(world.ledger.GetArtifact(run_id, "none", {}), kNotFound);
  for (const std::string& name :
       {std::string(), std::string("../x"), std::string("/x"), std::string("a//b"), std::string("a/.b"),
        std::string("a\0b", 3), std::string("a b"), std::string(201, 'x')}) {
    YBIS_EXPECT_CODE(world.ledger.PutArtifact(run_id, epoch, name, "", {}), kInvalid);
  }
  EXPECT_EQ(world.ledger.GetRun(run_id, {})->artifacts.size(), 2u);
}

TEST(RunLedger, AFencedArtifactLeavesNoContent) {
  World world(Server().NewDatabase());
  const std::string run_id = Dispatched(world, "t");
  const int64_t epoch = Claimed(world, run_id);
  YBIS_EXPECT_CODE(world.ledger.PutArtifact(run_id, epoch + 1, "a", "bytes", {}), kStale);
  EXPECT_EQ(Count(world.pool, "SELECT count(*) FROM blobs"), 0);
}

TEST(RunLedger, AnArtifactOfAFullRunMayBeReplaced) {
  World world(Server().NewDatabase(), {}, {.max_artifacts = 1});
  const std::string run_id = Dispatched(world, "t");
  const int64_t epoch = Claimed(world, run_id);
  YBIS_ASSERT_OK(world.ledger.PutArtifact(run_id, epoch, "a", "one", {}));
  YBIS_EXPECT_OK(world.ledger.PutArtifact(run_id, epoch, "a", "two", {}));
  YBIS_EXPECT_CODE(world.ledger.PutArtifact(run_id, epoch, "b", "three", {}), kExhausted);
}

TEST(RunLedger, FinishRecordsTheOutcomeAndUsageFromTheCallsAlone) {
  World world(Server().NewDatabase());
  const std::string run_id = Dispatched(world, "t");
  const int64_t epoch = Claimed(world, run_id);
  const control::LlmCallKey key{"planner", 1, 0, "sha256:1"};
  YBIS_ASSERT_OK(world.calls.Begin(run_id, epoch, key, {}, 10s, {}));
  api::ModelResponse answer;
  answer.content = "answer";
  answer.usage = {100, 20, 0.5, 1};
  YBIS_ASSERT_OK(world.calls.Complete(run_id, key, {"s1", 1, answer.usage}, answer, {}));
  auto report = FinishOf(epoch);
  report.result = api::RunResult{"approved", "ybis/t-1", "c0ffee", "0", "sha256:p", 2, 10, 1};
  report.verification = api::VerificationResult{3, 0};
  YBIS_ASSERT_OK(world.ledger.Finish(run_id, report, {}));
  YBIS_EXPECT_OK(world.ledger.Finish(run_id, report, {}));
  YBIS_EXPECT_CODE(world.ledger.Finish(run_id, FinishOf(epoch, "Failed"), {}), kStale);
  const auto run = world.ledger.GetRun(run_id, {});
  YBIS_ASSERT_OK(run);
  EXPECT_EQ(run->state, RunState::kCompleted);
  EXPECT_TRUE(run->finished.has_value());
  EXPECT_EQ(run->result->branch, "ybis/t-1");
  EXPECT_EQ(run->verification->passed, 3);
  EXPECT_EQ(run->usage.tokens_in, 100);
  EXPECT_EQ(run->usage.llm_calls, 1);
  EXPECT_FALSE(run->lease_expires.has_value());
  YBIS_EXPECT_CODE(world.ledger.Heartbeat(run_id, {epoch, ""}, {}), kStale);
}

TEST(RunLedger, BlockedKeepsNoPlaceAndIsNotFinished) {
  World world(Server().NewDatabase(), {1, 1, 1});
  const std::string run_id = Dispatched(world, "t");
  const int64_t epoch = Claimed(world, run_id);
  auto report = FinishOf(epoch, "Blocked");
  report.subject_digest = "sha256:subject";
  YBIS_ASSERT_OK(world.ledger.Finish(run_id, report, {}));
  const auto run = world.ledger.GetRun(run_id, {});
  EXPECT_EQ(run->state, RunState::kBlocked);
  EXPECT_EQ(run->subject_digest, "sha256:subject");
  EXPECT_FALSE(run->finished.has_value());
  Dispatched(world, "next");
}

TEST(RunLedger, ReleaseCountsNoFailureAndFencesTheOldHolder) {
  World world(Server().NewDatabase());
  const std::string run_id = Dispatched(world, "t");
  const int64_t epoch = Claimed(world, run_id, "pod-1");
  YBIS_ASSERT_OK(world.ledger.Release(run_id, {epoch, "SIGTERM"}, {}));
  YBIS_EXPECT_OK(world.ledger.Release(run_id, {epoch, "SIGTERM"}, {}));
  YBIS_EXPECT_CODE(world.ledger.ReportNode(run_id, NodeReportOf(epoch, 1), {}), kStale);
  EXPECT_EQ(world.ledger.GetRun(run_id, {})->state, RunState::kDispatched);
  const auto claim = world.ledger.Claim(run_id, "pod-2", {}, {});
  YBIS_ASSERT_OK(claim);
  EXPECT_EQ(claim->attempt, 2);
  EXPECT_EQ(world.ledger.GetRun(run_id, {})->infra_failures, 0);
}

TEST(RunLedger, ReleaseOfAFailedAttemptCountsOnce) {
  World world(Server().NewDatabase());
  const std::string run_id = Dispatched(world, "t");
  const int64_t epoch = Claimed(world, run_id, "pod-1");
  YBIS_ASSERT_OK(world.ledger.Release(run_id, {epoch, "GitFailed", true}, {}));
  YBIS_EXPECT_OK(world.ledger.Release(run_id, {epoch, "GitFailed", true}, {}));
  EXPECT_EQ(world.ledger.GetRun(run_id, {})->infra_failures, 1);
  const auto claim = world.ledger.Claim(run_id, "pod-2", {}, {});
  YBIS_ASSERT_OK(claim);
  EXPECT_EQ(claim->infra_failures, 1);
}

TEST(Watchdog, ReturnsExpiredRunsUntilTheRetriesAreUsedUp) {
  World world(Server().NewDatabase());
  auto submission = Submission("t");
  submission.spec.limits.max_infra_retries = 2;
  const std::string run_id = world.queue.Submit(submission)->run_id;
  for (int failure = 1; failure <= 2; ++failure) {
    const int64_t epoch = Claimed(world, run_id, "pod-" + std::to_string(failure));
    EXPECT_TRUE(world.watchdog.Sweep({})->empty());
    RunOutLease(world, run_id);
    const auto swept = world.watchdog.Sweep({});
    YBIS_ASSERT_OK(swept);
    ASSERT_EQ(swept->size(), 1u);
    EXPECT_EQ(swept->front().state, RunState::kDispatched);
    EXPECT_EQ(swept->front().infra_failures, failure);
    YBIS_EXPECT_CODE(world.ledger.Heartbeat(run_id, {epoch, ""}, {}), kStale);
  }
  Claimed(world, run_id, "pod-3");
  const auto not_held = world.watchdog.HolderLost(run_id, "pod-2", {});
  YBIS_ASSERT_OK(not_held);
  EXPECT_TRUE(not_held->empty());
  EXPECT_EQ(world.ledger.GetRun(run_id, {})->state, RunState::kRunning);
  const auto lost = world.watchdog.HolderLost(run_id, "pod-3", {});
  YBIS_ASSERT_OK(lost);
  EXPECT_EQ(CountExpired(*lost), 1);
  const auto run = world.ledger.GetRun(run_id, {});
  EXPECT_EQ(run->state, RunState::kFailed);
  EXPECT_EQ(run->failure->failure_class, api::FailureClass::kInfra);
  EXPECT_EQ(run->failure->reason, "LeaseExpired");
}

TEST(Watchdog, CancelsWhatWasAskedToStopAndEndsWhatIsLate) {
  World world(Server().NewDatabase());
  const std::string cancelled = Dispatched(world, "cancelled");
  const std::string late = Dispatched(world, "late");
  Claimed(world, cancelled);
  Claimed(world, late);
  YBIS_ASSERT_OK(world.queue.Cancel(cancelled, "no longer wanted"));
  RunOutLease(world, cancelled);
  YBIS_ASSERT_OK(world.pool.Execute(
      "UPDATE leases SET deadline = now() - interval '1 second' WHERE run_id = $1", {late}, {}));
  EXPECT_EQ(world.watchdog.Sweep({})->size(), 2u);
  EXPECT_EQ(world.ledger.GetRun(cancelled, {})->state, RunState::kCancelled);
  EXPECT_EQ(world.ledger.GetRun(late, {})->state, RunState::kFailed);
  EXPECT_EQ(world.ledger.GetRun(late, {})->failure->failure_class, api::FailureClass::kTimeout);
}

TEST(Watchdog, EndsWhatWasCancelledBeforeAnybodyClaimedIt) {
  World world(Server().NewDatabase());
  const std::string run_id = Dispatched(world, "t");
  YBIS_ASSERT_OK(world.pool.Execute("UPDATE leases SET cancel = true", {}, {}));
  YBIS_ASSERT_OK(world.watchdog.Sweep({}));
  EXPECT_EQ(world.ledger.GetRun(run_id, {})->state, control::RunState::kCancelled);
  EXPECT_EQ(Count(world.pool, "SELECT count(*) FROM leases"), 0);
}

TEST(Watchdog, ManySweepsMoveEachRunOnce) {
  World world(Server().NewDatabase(), {1000, 1000, 1000});
  for (int i = 0; i < 150; ++i) Claimed(world, Dispatched(world, "t" + std::to_string(i)));
  YBIS_ASSERT_OK(world.pool.Execute("UPDATE leases SET expires = now() - interval '1 second'", {}, {}));
  std::atomic<size_t> moved{0};
  std::vector<std::jthread> sweepers;
  for (int t = 0; t < 4; ++t) {
    sweepers.emplace_back([&] {
      const auto swept = world.watchdog.Sweep({});
      YBIS_EXPECT_OK(swept);
      if (swept) moved += swept->size();
    });
  }
  sweepers.clear();
  moved += world.watchdog.Sweep({})->size();
  EXPECT_EQ(moved, 150u);
  EXPECT_EQ(Count(world.pool, "SELECT count(*) FROM runs WHERE infra_failures = 1"), 150);
}

TEST(WatchdogThread, SweepsOnItsOwn) {
  World world(Server().NewDatabase());
  const std::string run_id = Dispatched(world, "t");
  Claimed(world, run_id);
  RunOutLease(world, run_id);
  std::atomic<int> swept{0};
  {
    const control::WatchdogThread thread(world.pool, 10ms,
                                         {.on_swept = [&](const auto& runs) { swept += runs.size(); }});
    for (int i = 0; i < 300 && swept == 0; ++i) std::this_thread::sleep_for(10ms);
  }
  EXPECT_EQ(swept, 1);
}

TEST(WatchdogThread, GoesOnAfterAListenerThatThrows) {
  World world(Server().NewDatabase());
  std::atomic<int> swept{0};
  const control::WatchdogThread thread(world.pool, 10ms, {.on_swept = [&](const auto& runs) {
                                         swept += runs.size();
                                         throw std::runtime_error("the listener is broken");
                                       }});
  for (int round = 1; round <= 2; ++round) {
    const std::string run_id = Dispatched(world, "t" + std::to_string(round));
    Claimed(world, run_id);
    RunOutLease(world, run_id);
    for (int i = 0; i < 300 && swept < round; ++i) std::this_thread::sleep_for(10ms);
    EXPECT_EQ(swept, round);
  }
}

}  // namespace
}  // namespace ybis::testing
