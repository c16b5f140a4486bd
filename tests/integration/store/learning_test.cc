// What runs teach: failures by pattern, figures of finished runs, lessons from repairs.
#include <nlohmann/json.hpp>
#include <thread>

#include "control/lessons.h"
#include "tests/integration/store/fixture.h"

namespace ybis::testing {
namespace {

using control::LearningCatalog;
using nlohmann::json;

std::shared_ptr<const json> Document(json value) { return std::make_shared<const json>(std::move(value)); }

api::NodeReport FailedNode(int64_t epoch, int64_t seq, const std::string& error) {
  auto report = NodeReportOf(epoch, seq, "verify");
  report.type = "verifier";
  report.outcome = "error";
  report.error = error;
  return report;
}

api::FinishReport FailedFinish(int64_t epoch, const std::string& message) {
  auto report = FinishOf(epoch, "Failed");
  report.failure = api::Failure{api::FailureClass::kAgent, "NoEdits", message};
  return report;
}

TEST(Learning, AFailedNodeIsARecordAndCountsOnItsPattern) {
  World world(Server().NewDatabase());
  LearningCatalog catalog(world.pool);
  for (int i = 1; i <= 3; ++i) {
    const std::string run_id = Dispatched(world, "t" + std::to_string(i));
    const int64_t epoch = Claimed(world, run_id);
    const auto report = FailedNode(
        epoch, 1, "cannot read /tmp/r" + std::to_string(i) + "/a.txt after " + std::to_string(i) + " tries");
    YBIS_ASSERT_OK(world.ledger.ReportNode(run_id, report, {}));
    YBIS_ASSERT_OK(world.ledger.ReportNode(run_id, report, {}));  // a repeat is no second failure
  }
  const auto patterns = catalog.Patterns(10, {});
  YBIS_ASSERT_OK(patterns);
  ASSERT_EQ(patterns->size(), 1u);
  EXPECT_EQ(patterns->front().count, 3);
  EXPECT_EQ(patterns->front().error_class, "Node");
  EXPECT_EQ(patterns->front().reason, "verifier");
  EXPECT_EQ(patterns->front().pattern, "cannot read <path> after <n> tries");
  EXPECT_LE(patterns->front().first_seen, patterns->front().last_seen);
  const auto records = catalog.Records(patterns->front().fingerprint, 10, {});
  YBIS_ASSERT_OK(records);
  ASSERT_EQ(records->size(), 3u);
  EXPECT_EQ(records->front().message, "cannot read /tmp/r3/a.txt after 3 tries");
  EXPECT_EQ(records->front().seq, 1);
  const auto found = catalog.Pattern(patterns->front().fingerprint.substr(7, 12), {});
  YBIS_ASSERT_OK(found);
  EXPECT_EQ(found->fingerprint, patterns->front().fingerprint);
  YBIS_EXPECT_CODE(catalog.Pattern("ffff0000", {}), kNotFound);
}

TEST(Learning, AFencedReportLeavesNoTrace) {
  World world(Server().NewDatabase());
  const std::string run_id = Dispatched(world, "fenced");
  const int64_t epoch = Claimed(world, run_id);
  YBIS_EXPECT_CODE(world.ledger.ReportNode(run_id, FailedNode(epoch - 1, 1, "late"), {}), kStale);
  YBIS_EXPECT_CODE(world.ledger.Finish(run_id, FailedFinish(epoch - 1, "late"), {}), kStale);
  EXPECT_EQ(Count(world.pool, "SELECT count(*) FROM error_records"), 0);
  EXPECT_EQ(Count(world.pool, "SELECT count(*) FROM error_patterns"), 0);
  EXPECT_EQ(Count(world.pool, "SELECT count(*) FROM metrics"), 0);
}

TEST(Learning, AFailedRunIsARecordACompletedOneIsNot) {
  World world(Server().NewDatabase());
  const std::string failed = Dispatched(world, "failed"), fine = Dispatched(world, "fine");
  const int64_t failed_epoch = Claimed(world, failed), fine_epoch = Claimed(world, fine);
  YBIS_ASSERT_OK(world.ledger.Finish(failed, FailedFinish(failed_epoch, "no edits in 5 answers"), {}));
  YBIS_ASSERT_OK(world.ledger.Finish(fine, FinishOf(fine_epoch), {}));
  EXPECT_EQ(
      Count(world.pool,
            "SELECT count(*) FROM error_records WHERE run_id = $1 AND seq = 0 AND class = 'Agent'", {failed}),
      1);
  EXPECT_EQ(Count(world.pool, "SELECT count(*) FROM error_records"), 1);
  EXPECT_EQ(Count(world.pool, "SELECT count(*) FROM metrics WHERE outcome = 'Failed'"), 1);
  EXPECT_EQ(Count(world.pool, "SELECT count(*) FROM metrics WHERE outcome = 'Completed'"), 1);
}

TEST(Learning, ARunEndedFromOutsideIsRecordedACancelledOneIsNoFailure) {
  World world(Server().NewDatabase());
  const std::string lost = Dispatched(world, "lost"), cancelled = Dispatched(world, "cancelled");
  YBIS_ASSERT_OK(world.queue.Fail(lost, {api::FailureClass::kInfra, "JobFailed", "image not found"}));
  YBIS_ASSERT_OK(world.queue.Cancel(cancelled, "not wanted"));
  EXPECT_EQ(
      Count(world.pool, "SELECT count(*) FROM error_records WHERE run_id = $1 AND class = 'Infra'", {lost}),
      1);
  EXPECT_EQ(Count(world.pool, "SELECT count(*) FROM error_records"), 1);
  EXPECT_EQ(Count(world.pool, "SELECT count(*) FROM metrics WHERE outcome = 'Cancelled'"), 1);
}

TEST(Learning, MetricsHaveTheRunsFigures) {
  World world(Server().NewDatabase());
  const std::string run_id = Dispatched(world, "figures");
  const int64_t epoch = Claimed(world, run_id);
  YBIS_ASSERT_OK(world.ledger.ReportNode(run_id, NodeReportOf(epoch, 1), {}));
  auto repair = NodeReportOf(epoch, 2, "repair");
  repair.type = "repair";
  YBIS_ASSERT_OK(world.ledger.ReportNode(run_id, repair, {}));
  EXPECT_FALSE(LearningCatalog(world.pool).Metrics(run_id, {})->has_value());
  YBIS_ASSERT_OK(world.ledger.Finish(run_id, FinishOf(epoch), {}));
  const auto metrics = LearningCatalog(world.pool).Metrics(run_id, {});
  YBIS_ASSERT_OK(metrics);
  ASSERT_TRUE(metrics->has_value());
  EXPECT_EQ((*metrics)->outcome, "Completed");
  EXPECT_EQ((*metrics)->nodes, 2);
  EXPECT_EQ((*metrics)->repairs, 1);
  EXPECT_EQ((*metrics)->attempts, 1);
  EXPECT_GE((*metrics)->duration_seconds, 0);
  EXPECT_LT((*metrics)->duration_seconds, 60);
}

TEST(Learning, ManyRunsThatFailAlikeAtOnceCountEach) {
  World world(Server().NewDatabase(), {100, 100, 100});
  constexpr int kRuns = 40;
  std::vector<std::pair<std::string, int64_t>> runs;
  for (int i = 0; i < kRuns; ++i) {
    const std::string run_id = Dispatched(world, "many" + std::to_string(i));
    runs.emplace_back(run_id, Claimed(world, run_id));
  }
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 8; ++t) {
      threads.emplace_back([&, t] {
        for (int i = t; i < kRuns; i += 8)
          YBIS_EXPECT_OK(world.ledger.Finish(runs[i].first, FailedFinish(runs[i].second, "alike"), {}));
      });
    }
  }
  const auto patterns = LearningCatalog(world.pool).Patterns(10, {});
  YBIS_ASSERT_OK(patterns);
  ASSERT_EQ(patterns->size(), 1u);
  EXPECT_EQ(patterns->front().count, kRuns);
}

/// verify (failing or not) → gate → repair → verify → gate (approved).
void WalkRepair(World& world, const std::string& run_id, int64_t epoch, bool failing) {
  const auto report = [&](int64_t seq, const std::string& node, const std::string& type, json output,
                          int64_t visit) {
    auto out = NodeReportOf(epoch, seq, node);
    out.type = type;
    out.visit = visit;
    out.output = Document(std::move(output));
    out.checkpoint.visits = {{node, visit}};
    return out;
  };
  auto verify = report(1, "verify", "verifier", {{"passed", 0}, {"failed", failing ? 1 : 0}}, 1);
  verify.checkpoint.state = Document(
      {{"verifier",
        {{"patchDigest", "sha256:bad"},
         {"odd", std::string("nul\0byte", 8)},
         {"checks",
          {{{"name", "pytest -q"},
            {"passed", !failing},
            {"exitCode", 1},
            {"outputTail",
             "collected 3 items\nE  AssertionError: expected 4, got 5 in /tmp/w/test_a.py\n1 failed"}}}}}}});
  YBIS_ASSERT_OK(world.ledger.ReportNode(run_id, verify, {}));
  YBIS_ASSERT_OK(world.ledger.ReportNode(run_id, report(2, "gate", "gate", {{"decision", "repair"}}, 1), {}));
  YBIS_ASSERT_OK(world.ledger.ReportNode(run_id, report(3, "repair", "repair", json::object(), 1), {}));
  YBIS_ASSERT_OK(world.ledger.ReportNode(run_id, report(4, "verify", "verifier", {{"failed", 0}}, 2), {}));
  auto gate = report(5, "gate", "gate", {{"decision", "approved"}}, 2);
  gate.input = Document({{"patchDigest", "sha256:good"}});
  YBIS_ASSERT_OK(world.ledger.ReportNode(run_id, gate, {}));
  YBIS_ASSERT_OK(world.ledger.ReportNode(run_id, gate, {}));
}

TEST(Learning, ARepairThatMendedAFailedCheckIsALesson) {
  World world(Server().NewDatabase());
  const std::string run_id = Dispatched(world, "lesson");
  WalkRepair(world, run_id, Claimed(world, run_id), true);
  const auto lessons = LearningCatalog(world.pool).Lessons(10, {});
  YBIS_ASSERT_OK(lessons);
  ASSERT_EQ(lessons->size(), 1u);
  const auto& lesson = lessons->front();
  EXPECT_EQ(lesson.run_id, run_id);
  EXPECT_EQ(lesson.seq, 5);
  EXPECT_EQ(lesson.pattern, "pytest -q: E AssertionError: expected <n>, got <n> in <path>");
  EXPECT_EQ(lesson.failed_digest, "sha256:bad");
  EXPECT_EQ(lesson.mended_digest, "sha256:good");
  EXPECT_EQ(lesson.repairs, 1);
  EXPECT_EQ(lesson.failed->at(0).at("name"), "pytest -q");
}

TEST(Learning, ARepairOfSomethingElseIsNone) {
  World world(Server().NewDatabase());
  const std::string run_id = Dispatched(world, "other");
  WalkRepair(world, run_id, Claimed(world, run_id), false);
  EXPECT_EQ(Count(world.pool, "SELECT count(*) FROM lessons"), 0);
}

TEST(Learning, ADurableNodeCostsOneCommit) {
  World world(Server().NewDatabase(), {}, {}, 1);
  const std::string run_id = Dispatched(world, "commits");
  const int64_t epoch = Claimed(world, run_id);
  const auto commits = [&] { return Count(world.pool, "SELECT pg_current_xact_id()::text::bigint"); };
  const int64_t before = commits();
  YBIS_ASSERT_OK(world.ledger.ReportNode(run_id, NodeReportOf(epoch, 1), {}));
  YBIS_ASSERT_OK(world.ledger.ReportNode(run_id, FailedNode(epoch, 2, "a failing one, too"), {}));
  EXPECT_EQ(commits() - before, 3) << "a transaction number each, and one for the question";
}

}  // namespace
}  // namespace ybis::testing
