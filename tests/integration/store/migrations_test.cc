#include <map>
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

constexpr char kHeldTask[] = "held";  // its run is queued below version 10
constexpr char kOfHeld[] =
    "run_id IN (SELECT run_id FROM runs JOIN tasks ON uid = task_uid WHERE name = 'held')";

/// A row in every table.
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
  for (const char* name : {"first", "behind it"}) {
    YBIS_ASSERT_OK(
        world.queue.Submit(Submission(name, api::Priority::kMedium, "https://git.example/lane.git")));
  }
  YBIS_ASSERT_OK(
      world.queue.HoldBack(Dispatched(world, kHeldTask), "JobForbidden", "", std::chrono::seconds(30)));
}

/// Everything that the catalog has about our tables, a line each: options, columns, constraints, indexes,
/// triggers and sequences.
std::vector<std::string> SchemaOf(Pool& pool) {
  const auto rows = pool.Execute(
      "WITH ours AS (SELECT * FROM pg_class WHERE relnamespace = 'public'::regnamespace) "
      "SELECT concat_ws(' ', 'relation', relname, relkind, reloptions) FROM ours UNION ALL "
      "SELECT concat_ws(' ', 'column', relname, attname, format_type(atttypid, atttypmod), "
      "CASE WHEN attnotnull THEN 'NOT NULL' END, 'default ' || pg_get_expr(adbin, adrelid), attidentity, "
      "attgenerated) FROM ours JOIN pg_attribute a ON attrelid = ours.oid AND attnum > 0 AND NOT "
      "attisdropped "
      "LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum WHERE relkind = 'r' UNION ALL "
      "SELECT concat_ws(' ', 'constraint', relname, conname, pg_get_constraintdef(c.oid)) FROM ours "
      "JOIN pg_constraint c ON conrelid = ours.oid UNION ALL "
      "SELECT pg_get_indexdef(indexrelid) FROM ours JOIN pg_index ON indrelid = ours.oid UNION ALL "
      "SELECT pg_get_triggerdef(t.oid) FROM ours JOIN pg_trigger t ON tgrelid = ours.oid "
      "WHERE NOT tgisinternal UNION ALL "
      "SELECT concat_ws(' ', 'sequence', relname, seqtypid::regtype, seqstart, seqincrement, seqmin, seqmax, "
      "seqcache, seqcycle) FROM ours JOIN pg_sequence ON seqrelid = ours.oid",
      {}, {});
  EXPECT_TRUE(rows) << Message(rows);
  std::vector<std::string> lines;
  for (size_t i = 0; rows && i < rows->size(); ++i) lines.push_back((*rows)[i].Text(0));
  std::sort(lines.begin(), lines.end());
  return lines;
}

/// Lines that only one of both sorted lists has; "" when they are equal.
std::string Difference(const std::vector<std::string>& is, const std::vector<std::string>& wanted) {
  std::string out;
  for (const auto& [sign, has, lacks] : {std::tuple('+', &is, &wanted), std::tuple('-', &wanted, &is)}) {
    std::vector<std::string> only;
    std::set_difference(has->begin(), has->end(), lacks->begin(), lacks->end(), std::back_inserter(only));
    for (const std::string& line : only) out += sign + (" " + line) + "\n";
  }
  return out;
}

/// Tables of the migrations with their columns.
std::map<std::string, std::vector<std::string>> TablesOf(Pool& pool) {
  const auto rows = pool.Execute(
      "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public' AND "
      "table_name NOT IN ('_migrations', '_journal') ORDER BY 1, 2",
      {}, {});
  EXPECT_TRUE(rows) << Message(rows);
  std::map<std::string, std::vector<std::string>> tables;
  for (size_t i = 0; rows && i < rows->size(); ++i) tables[(*rows)[i].Text(0)].push_back((*rows)[i].Text(1));
  return tables;
}

/// What a script of that version, up or down, writes anew on purpose.
struct Rewritten {
  int64_t version;
  std::string table;
  std::string column;
};
const std::vector<Rewritten> kRewritten = {{2, "runs", "state"},  // runs under way end with the queue
                                           {2, "runs", "finished"},
                                           {2, "runs", "failure"},
                                           {6, "runs", "deadline"}};  // stands still while a run waits

/// Whether a script above `version` writes it anew.
bool IsRewritten(int64_t version, const std::string& table, const std::string& column) {
  return std::any_of(kRewritten.begin(), kRewritten.end(), [&](const Rewritten& one) {
    return one.version > version && one.table == table && one.column == column;
  });
}

/// The rows of these tables and columns, without what the scripts above `version` write anew; a line each.
std::vector<std::string> DataOf(Pool& pool, const std::map<std::string, std::vector<std::string>>& tables,
                                int64_t version) {
  std::vector<std::string> lines;
  for (const auto& [table, columns] : tables) {
    std::string chosen;
    for (const std::string& column : columns) {
      if (!IsRewritten(version, table, column)) chosen += (chosen.empty() ? "" : ", ") + column;
    }
    const auto rows = pool.Execute("SELECT r::text FROM (SELECT " + chosen + " FROM " + table +
                                       (table == "queue" ? std::string(" WHERE NOT ") + kOfHeld : "") + ") r",
                                   {}, {});
    EXPECT_TRUE(rows) << Message(rows);
    for (size_t i = 0; rows && i < rows->size(); ++i) lines.push_back(table + " " + (*rows)[i].Text(0));
  }
  std::sort(lines.begin(), lines.end());
  return lines;
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

/// Down to a version from the newest with rows in all tables, and up again.
class MigrationsDownTo : public ::testing::TestWithParam<int64_t> {};

TEST_P(MigrationsDownTo, HasTheSchemaOfThatVersionAndKeepsTheRows) {
  const int64_t version = GetParam(), steps = static_cast<int64_t>(BuiltInMigrations().size()) - version;
  World world(Server().NewDatabase());
  const auto newest = SchemaOf(world.pool);
  FillTables(world);
  for (const auto& [table, columns] : TablesOf(world.pool)) {
    EXPECT_GT(Count(world.pool, "SELECT count(*) FROM " + table), 0) << table;
  }
  Pool fresh(SettingsFor(Server().NewDatabase()));
  YBIS_ASSERT_OK(Migrator(fresh).Up({}, version));
  const auto tables = TablesOf(fresh);
  const auto rows = DataOf(world.pool, tables, version);

  const auto undone = Migrator(world.pool).Down(steps, {});
  YBIS_ASSERT_OK(undone);
  EXPECT_EQ(undone->size(), static_cast<size_t>(steps));
  EXPECT_EQ(Difference(SchemaOf(world.pool), SchemaOf(fresh)), "");
  EXPECT_EQ(Difference(DataOf(world.pool, tables, version), rows), "");
  if (tables.contains("queue")) {
    EXPECT_EQ(Count(world.pool, std::string("SELECT count(*) FROM queue WHERE ") + kOfHeld),
              tables.contains("holds") ? 0 : 1);
  }

  const auto done = Migrator(world.pool).Up({});
  YBIS_ASSERT_OK(done);
  EXPECT_EQ(done->size(), static_cast<size_t>(steps));
  EXPECT_EQ(Difference(SchemaOf(world.pool), newest), "");
  EXPECT_EQ(Difference(DataOf(world.pool, tables, version), rows), "");
  YBIS_EXPECT_OK(Migrator(world.pool).Check({}));
}

INSTANTIATE_TEST_SUITE_P(EveryVersion, MigrationsDownTo,
                         ::testing::Range(int64_t{0}, static_cast<int64_t>(BuiltInMigrations().size())));

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
