#include <thread>

#include "base/digest.h"
#include "control/approvals.h"
#include "store/migrations.h"
#include "store/system_journal.h"
#include "tests/integration/store/fixture.h"

namespace ybis::testing {
namespace {

using store::BuiltInMigrations;
using store::Migration;
using store::Migrator;
using store::Pool;

const std::vector<Migration> kSmall = {
    {1, "one", "CREATE TABLE one (n int)", "DROP TABLE one"},
    {2, "two", "CREATE TABLE two (n int); INSERT INTO two VALUES (1)", "DROP TABLE two"}};

/// A row in every table of the schema as far as it goes.
void FillTables(World& world) {
  const std::string run_id = Dispatched(world, "filled");
  const int64_t epoch = Claimed(world, run_id);
  auto failed = NodeReportOf(epoch, 1);
  failed.outcome = "error";
  YBIS_ASSERT_OK(world.ledger.ReportNode(run_id, failed, {}));
  YBIS_ASSERT_OK(
      world.pool.Execute("INSERT INTO lessons (run_id, seq, fingerprint, pattern, failed, failed_digest, "
                         "mended_digest, repairs) "
                         "VALUES ($1, 1, '', '', '[]', '', '', 1)",
                         {run_id}, {}));
  YBIS_ASSERT_OK(
      world.pool.Execute("INSERT INTO metrics VALUES ($1, 'Failed', 1, 1, 0, 1, 0, 0, 0, 0)", {run_id}, {}));
  YBIS_ASSERT_OK(world.ledger.PutArtifact(run_id, epoch, "plan.json", "{}", {}));
  YBIS_ASSERT_OK(
      world.calls.Begin(run_id, epoch, {"planner", 1, 0, "sha256:1"}, {}, std::chrono::seconds(1), {}));
  const std::string waiting = Dispatched(world, "waiting");
  auto blocked = FinishOf(Claimed(world, waiting), "Blocked");
  blocked.subject_digest = "sha256:subject";
  YBIS_ASSERT_OK(world.ledger.Finish(waiting, blocked, {}));
  YBIS_ASSERT_OK(
      control::Approvals(world.pool)
          .Decide({NewUuid(), waiting, "sha256:old", api::DecisionKind::kApprove, "", "", "ada"}, {}));
}

TEST(Migrations, RunsThatWereBlockedBeforeThereWereApprovalsCanBeDecided) {
  World world(Server().NewDatabase());
  FillTables(world);
  YBIS_ASSERT_OK(Migrator(world.pool).Down(static_cast<int64_t>(BuiltInMigrations().size()) - 5, {}));
  YBIS_ASSERT_OK(Migrator(world.pool).Up({}));
  control::Approvals approvals(world.pool);
  const auto waiting = approvals.Waiting(10);
  YBIS_ASSERT_OK(waiting);
  ASSERT_EQ(waiting->size(), 1u);
  const control::Wait& wait = waiting->front();
  const auto result = approvals.Decide(
      {NewUuid(), wait.run_id, wait.subject_digest, api::DecisionKind::kApprove, "", "", "ada"}, {});
  YBIS_ASSERT_OK(result);
  EXPECT_EQ(result->verdict, control::ApprovalVerdict::kDecided);
  YBIS_ASSERT_OK(world.queue.Admit());
  EXPECT_TRUE(world.ledger.Claim(wait.run_id, "pod", {}, {})->order.deadline.has_value());
}

TEST(Migrations, GoUpDownAndUpAgainForEveryVersionWithDataInTheTables) {
  World world(Server().NewDatabase());
  const auto versions = static_cast<int64_t>(BuiltInMigrations().size());
  for (int64_t down = 1; down <= versions; ++down) {
    FillTables(world);
    const auto undone = Migrator(world.pool).Down(down, {});
    YBIS_ASSERT_OK(undone);
    EXPECT_EQ(undone->size(), static_cast<size_t>(down));
    EXPECT_EQ(Count(world.pool, "SELECT count(*) FROM _migrations"), versions - down);
    const auto done = Migrator(world.pool).Up({});
    YBIS_ASSERT_OK(done);
    EXPECT_EQ(done->size(), static_cast<size_t>(down));
  }
  YBIS_EXPECT_OK(Migrator(world.pool).Check({}));
  EXPECT_EQ(Count(world.pool, "SELECT count(*) FROM runs"), 0);  // the last round dropped everything
}

TEST(Migrations, DownLeavesNothingBehind) {
  Pool pool(SettingsFor(Server().NewDatabase()));
  YBIS_ASSERT_OK(Migrator(pool).Up({}));
  YBIS_ASSERT_OK(Migrator(pool).Down(100, {}));
  EXPECT_EQ(Count(pool,
                  "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND "
                  "relname NOT LIKE '\\_migrations%' AND relname NOT LIKE '\\_journal%'"),
            0);
}

TEST(Migrations, MadeRelationsAreAllThatTheCatalogHas) {
  Pool pool(SettingsFor(Server().NewDatabase()));
  YBIS_ASSERT_OK(Migrator(pool).Up({}));
  std::string names;
  for (const store::Relation& relation : store::MadeRelations()) {
    EXPECT_EQ(Count(pool, "SELECT count(*) FROM pg_class WHERE relname = $1 AND relkind = $2",
                    {relation.name, relation.table ? "r" : "S"}),
              1)
        << relation.name;
    names += names.empty() ? relation.name : "," + relation.name;
  }
  // Sequences of identity columns belong to their tables.
  EXPECT_EQ(
      Count(pool,
            "SELECT count(*) FROM pg_class c WHERE relnamespace = 'public'::regnamespace AND relkind NOT "
            "IN ('i', 't') AND relname <> ALL (string_to_array($1, ',')) AND NOT EXISTS (SELECT 1 FROM "
            "pg_depend d WHERE d.objid = c.oid AND d.deptype IN ('a', 'i'))",
            {names}),
      0);
  EXPECT_EQ(Count(pool, "SELECT count(*) FROM pg_proc WHERE pronamespace = 'public'::regnamespace"), 0);
  EXPECT_EQ(
      Count(pool,
            "SELECT count(*) FROM pg_type WHERE typnamespace = 'public'::regnamespace AND typtype NOT IN "
            "('c', 'b')"),
      0);
}

TEST(Migrations, EachStepIsInTheSystemJournalAndAFailedOneIsNot) {
  Pool pool(SettingsFor(Server().NewDatabase()));
  auto broken = kSmall;
  broken[1].up = "CREATE TABLE two (n int); SELECT nonsense";
  YBIS_ASSERT_OK(Migrator(pool, kSmall).Up({}));
  YBIS_ASSERT_OK(Migrator(pool, kSmall).Down(2, {}));
  YBIS_EXPECT_CODE(Migrator(pool, broken).Up({}), kInternal);
  const auto events = pool.Transact(
      [](store::Transaction& tx) { return store::SystemJournal(tx).Newest(100); }, std::stop_token{});
  YBIS_ASSERT_OK(events);
  std::vector<std::string> lines;
  for (const auto& event : *events) lines.push_back(event.type + " " + event.message);
  const std::vector<std::string> wanted = {"MIGRATION_APPLIED 0001_one", "MIGRATION_APPLIED 0002_two",
                                           "MIGRATION_UNDONE 0002_two", "MIGRATION_UNDONE 0001_one",
                                           "MIGRATION_APPLIED 0001_one"};
  EXPECT_EQ(lines, wanted);
}

TEST(Migrations, TwoStartsAtOnceApplyOnce) {
  const std::string url = Server().NewDatabase();
  std::atomic<size_t> applied{0};
  std::vector<std::jthread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      Pool pool(SettingsFor(url, 1));
      const auto done = Migrator(pool).Up({});
      YBIS_EXPECT_OK(done);
      if (done) applied += done->size();
    });
  }
  threads.clear();
  EXPECT_EQ(applied, BuiltInMigrations().size());
}

TEST(Migrations, AFailingOneLeavesTheVersionBeforeIt) {
  Pool pool(SettingsFor(Server().NewDatabase()));
  auto broken = kSmall;
  broken[1].up = "CREATE TABLE two (n int); SELECT nonsense";
  const auto failed = Migrator(pool, broken).Up({});
  YBIS_EXPECT_CODE(failed, kInternal);
  EXPECT_NE(failed.error().message.find("0002_two"), std::string::npos) << failed.error().message;
  EXPECT_EQ(Count(pool, "SELECT max(version) FROM _migrations"), 1);
  EXPECT_EQ(Count(pool, "SELECT count(*) FROM pg_class WHERE relname = 'two'"), 0);
  YBIS_EXPECT_OK(Migrator(pool, kSmall).Up({}));
}

TEST(Migrations, UpStopsAtTheVersionAskedFor) {
  Pool pool(SettingsFor(Server().NewDatabase()));
  const auto done = Migrator(pool, kSmall).Up({}, 1);
  YBIS_ASSERT_OK(done);
  ASSERT_EQ(done->size(), 1u);
  EXPECT_EQ(done->front().name, "one");
  const auto state = Migrator(pool, kSmall).State({});
  YBIS_ASSERT_OK(state);
  EXPECT_TRUE((*state)[0].applied.has_value());
  EXPECT_FALSE((*state)[1].applied.has_value());
  YBIS_EXPECT_CODE(Migrator(pool, kSmall).Check({}), kUnsupported);
}

TEST(Migrations, RefuseAnEditedOneByName) {
  Pool pool(SettingsFor(Server().NewDatabase()));
  YBIS_ASSERT_OK(Migrator(pool, kSmall).Up({}, 1));
  auto edited = kSmall;
  edited[0].up = "CREATE TABLE one (n bigint)";
  const auto refused = Migrator(pool, edited).Up({});
  YBIS_EXPECT_CODE(refused, kUnsupported);
  EXPECT_NE(refused.error().message.find("0001_one"), std::string::npos);
  EXPECT_EQ(Count(pool, "SELECT count(*) FROM _migrations"), 1);
}

TEST(Migrations, RefuseADatabaseNewerThanThemByName) {
  Pool pool(SettingsFor(Server().NewDatabase()));
  YBIS_ASSERT_OK(Migrator(pool, kSmall).Up({}));
  const std::vector<Migration> older = {kSmall[0]};
  for (const auto& refused :
       {Migrator(pool, older).Up({}), Migrator(pool, older).Down(1, {}), Migrator(pool, older).State({})}) {
    YBIS_EXPECT_CODE(refused, kUnsupported);
    EXPECT_NE(refused.error().message.find("0002_two"), std::string::npos);
  }
}

}  // namespace
}  // namespace ybis::testing
