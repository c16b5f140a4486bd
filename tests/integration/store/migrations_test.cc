#include <thread>

#include "store/migrations.h"
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
  YBIS_ASSERT_OK(world.ledger.ReportNode(run_id, NodeReportOf(epoch, 1), {}));
  YBIS_ASSERT_OK(world.ledger.PutArtifact(run_id, epoch, "plan.json", "{}", {}));
  YBIS_ASSERT_OK(
      world.calls.Begin(run_id, epoch, {"planner", 1, 0, "sha256:1"}, {}, std::chrono::seconds(1), {}));
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
                  "relname NOT LIKE '\\_migrations%'"),
            0);
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
