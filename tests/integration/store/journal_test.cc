// The journal: one trace id a run, entries that nobody changes, and the whole of it as an artifact.
#include "control/journal.h"

#include <nlohmann/json.hpp>
#include <sstream>

#include "base/digest.h"
#include "tests/integration/store/fixture.h"

namespace ybis::testing {
namespace {

TEST(Journal, EveryEntryHasItsRunsTraceIdWhichTheRunnerHearsToo) {
  World world(Server().NewDatabase());
  const std::string run = Dispatched(world, "one");
  const std::string other = Dispatched(world, "two");
  const auto claim = world.ledger.Claim(run, "pod-1", {}, {});
  YBIS_ASSERT_OK(claim);
  const std::string trace = claim->order.trace_id;
  EXPECT_EQ(trace.size(), 32U);
  EXPECT_EQ(trace.find_first_not_of("0123456789abcdef"), std::string::npos) << trace;
  EXPECT_EQ(world.ledger.RunTrace(run, {}).value_or(""), trace);
  EXPECT_NE(world.ledger.RunTrace(other, {}).value_or(trace), trace);
  const auto entries = control::Journal(world.pool).Read(run, 0, 100, {});
  YBIS_ASSERT_OK(entries);
  ASSERT_GE(entries->size(), 3U);  // queued, dispatched, claimed
  for (const auto& entry : *entries) EXPECT_EQ(entry.trace_id, trace) << entry.type;
}

TEST(Journal, LikeTheAuditAndTheSystemJournalRefusesChangesAndRemovals) {
  World world(Server().NewDatabase());
  const std::string run = Dispatched(world, "one");
  YBIS_ASSERT_OK(world.pool.Execute(
      "INSERT INTO approvals (key, run_id, seq, subject_digest, decision, approver, verdict) "
      "VALUES ('k', $1, 0, '', 'Approve', 'ada', 'Stale')",
      {run}, {}));
  for (const std::string table : {"events", "approvals", "_journal"}) {
    const int64_t before = Count(world.pool, "SELECT count(*) FROM " + table);
    EXPECT_GT(before, 0);
    for (const std::string& sql :
         {"UPDATE " + table + " SET message = 'other'", "DELETE FROM " + table, "TRUNCATE " + table}) {
      const auto done = world.pool.Transact(
          [&](store::Transaction& tx) -> Status {
            YBIS_TRY(tx.Exec(sql));
            return {};
          },
          {}, store::InDoubt::kRepeat);
      ASSERT_FALSE(done) << sql;
      EXPECT_NE(done.error().message.find("append-only"), std::string::npos) << done.error().message;
    }
    EXPECT_EQ(Count(world.pool, "SELECT count(*) FROM " + table), before);
  }
}

TEST(Journal, IsAnArtifactThatIsNeverBehindAndThatNoRunnerCanForge) {
  World world(Server().NewDatabase());
  const std::string run = Dispatched(world, "one");
  const int64_t epoch = Claimed(world, run);
  YBIS_EXPECT_CODE(world.ledger.PutArtifact(run, epoch, "events.jsonl", "{}\n", {}), kInvalid);
  YBIS_ASSERT_OK(world.ledger.Finish(run, FinishOf(epoch), {}));
  const auto lines = world.ledger.GetArtifact(run, "events.jsonl", {});
  YBIS_ASSERT_OK(lines);
  std::istringstream in(*lines);
  std::string last;
  for (std::string line; std::getline(in, line);) last = nlohmann::json::parse(line)["type"];
  EXPECT_EQ(last, "RUN_COMPLETED");
  const auto listed = world.ledger.ListArtifacts(run, {});
  YBIS_ASSERT_OK(listed);
  ASSERT_EQ(listed->size(), 1U);
  EXPECT_EQ(listed->front().name, "events.jsonl");
  EXPECT_EQ(listed->front().digest, Digest(*lines));
}

TEST(Journal, IsNoArtifactWhenItIsTooLong) {
  World world(Server().NewDatabase());
  const std::string run = Dispatched(world, "one");
  YBIS_ASSERT_OK(world.ledger.PutArtifact(run, Claimed(world, run), "plan.json", "{}", {}));
  YBIS_ASSERT_OK(
      world.pool.Execute("INSERT INTO events (run_id, key, type, message) SELECT $1, 'runner:' || n, "
                         "'T', repeat('x', 65536) FROM generate_series(1, 520) n",
                         {run}, {}));
  YBIS_EXPECT_CODE(world.ledger.GetArtifact(run, "events.jsonl", {}), kTooLarge);
  const auto listed = world.ledger.ListArtifacts(run, {});
  YBIS_ASSERT_OK(listed);
  EXPECT_EQ(listed->size(), 1U);
}

TEST(Journal, ARunThatIsAdmittedAgainKeepsCountingItsRunnersEntries) {
  World world(Server().NewDatabase(), {1, 10, 10});
  const std::string busy = Dispatched(world, "busy");
  const auto run = world.queue.Submit(Submission("again"));
  YBIS_ASSERT_OK(world.pool.Execute(
      "INSERT INTO events (run_id, key, type) SELECT $1, 'runner:' || n, 'T' FROM generate_series(1, 3) n",
      {run->run_id}, {}));
  YBIS_ASSERT_OK(world.queue.Cancel(busy, "make room"));
  YBIS_ASSERT_OK(world.queue.Admit());
  EXPECT_EQ(Count(world.pool, "SELECT events FROM leases WHERE run_id = $1", {run->run_id}), 3);
}

}  // namespace
}  // namespace ybis::testing
