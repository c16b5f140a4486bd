// Backups of a real database, taken while others write, and what comes back from them.
#include <sys/stat.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/file.h"
#include "cli/local/backup/restore_intent.h"
#include "store/migrations.h"
#include "store/system_journal.h"
#include "tests/integration/backup/fixture.h"

namespace ybis::testing {
namespace {

namespace fs = std::filesystem;

std::string Read(const fs::path& path) { return ReadFile(path).value_or("none"); }

std::vector<std::string> JournalOf(Site& site, const std::string& type) {
  const auto events =
      site.pool->Transact([](store::Transaction& tx) { return store::SystemJournal(tx).Newest(100); }, {});
  std::vector<std::string> out;
  if (!events) return out;
  for (const auto& event : *events) {
    if (event.type == type) out.push_back(event.message);
  }
  return out;
}

TEST(Backup, RestoredElsewhereHasTheSameRowsInEveryTable) {
  Site from, to;
  for (int i = 0; i < 20; ++i) from.AddRun("t" + std::to_string(i), true);
  from.dir.Write("config/config.yaml", "models: []\n");
  from.dir.Write("config/workflows/mine.yaml", "name: mine\n");
  from.dir.Write("config/secrets/git/token", "hush");
  const auto path = from.Create();
  const auto restored = to.Restore(path);
  ASSERT_TRUE(restored) << restored.error().message;
  EXPECT_EQ(to.Digests(), from.Digests());
  EXPECT_EQ(Read(to.folders.config / "config.yaml"), "models: []\n");
  EXPECT_EQ(Read(to.folders.config / "workflows/mine.yaml"), "name: mine\n");
  EXPECT_FALSE(fs::exists(to.folders.config / "secrets")) << "secrets stay where they are";
  EXPECT_EQ(JournalOf(from, "BACKUP_CREATED").size(), 1u);
  EXPECT_EQ(JournalOf(to, "BACKUP_RESTORED"), std::vector<std::string>{path.filename().string()});
  to.AddRun("goes-on", true);  // sequences stand where they stood
}

TEST(Backup, TakenWhileFourWrite) {
  Site from;
  std::vector<std::jthread> writers;
  std::atomic<bool> stop{false};
  for (int w = 0; w < 4; ++w) {
    writers.emplace_back([&, w] {
      for (int i = 0; !stop; ++i) from.AddRun("w" + std::to_string(w) + "-" + std::to_string(i), i % 3 != 0);
    });
  }
  std::vector<fs::path> paths;
  while (from.Count("SELECT count(*) FROM runs") < 40)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  for (int i = 0; i < 2; ++i) paths.push_back(from.Create());
  stop = true;
  writers.clear();
  int64_t before = 0;
  for (const fs::path& path : paths) {
    Site to;
    const auto restored = to.Restore(path);
    ASSERT_TRUE(restored) << restored.error().message;
    const int64_t runs = to.Count("SELECT count(*) FROM runs");
    EXPECT_GE(runs, 40);
    EXPECT_GE(runs, before);
    before = runs;
    EXPECT_EQ(to.Count("SELECT count(*) FROM run_orders"), runs);
    EXPECT_EQ(to.Count("SELECT count(*) FROM events WHERE key = 'submitted'"), runs);
    EXPECT_EQ(to.Count("SELECT count(*) FROM runs WHERE state = 'Completed'"),
              to.Count("SELECT count(*) FROM metrics"));
    EXPECT_EQ(to.Count("SELECT count(*) FROM runs WHERE state IN ('Running', 'Dispatched')"),
              to.Count("SELECT count(*) FROM leases"));
  }
  Site last;
  ASSERT_TRUE(last.Restore(from.Create()));
  EXPECT_EQ(last.Digests(), from.Digests());
}

TEST(Backup, ComponentsComeBackAlone) {
  Site site;
  site.AddRun("before", true);
  site.dir.Write("config/config.yaml", "old");
  site.dir.Write("data/runs/r1/runs/r1/artifacts/plan.json", "{}");
  site.dir.Write("data/runs/r1/repo.git/HEAD", "scratch");
  site.dir.Write("data/runs/r1/token-1f2e/token", "hush");
  site.dir.Write("data/runs/r1/lock", "");
  const auto path = site.Create({.workspaces = true});
  site.AddRun("after", true);
  site.dir.Write("config/config.yaml", "new");
  site.dir.Write("data/runs/r1/runs/r1/artifacts/plan.json", "changed");
  site.dir.Write("data/runs/r2/keep", "me");
  ASSERT_TRUE(site.Restore(path, {"configs"}));
  EXPECT_EQ(Read(site.folders.config / "config.yaml"), "old");
  EXPECT_EQ(site.Count("SELECT count(*) FROM tasks"), 2);
  ASSERT_TRUE(site.Restore(path, {"workspaces"}));
  EXPECT_EQ(Read(site.folders.data / "runs/r1/runs/r1/artifacts/plan.json"), "{}");
  EXPECT_FALSE(fs::exists(site.folders.data / "runs/r1/repo.git"));
  EXPECT_FALSE(fs::exists(site.folders.data / "runs/r1/token-1f2e")) << "tokens are in no backup";
  EXPECT_FALSE(fs::exists(site.folders.data / "runs/r1/lock"));
  EXPECT_EQ(Read(site.folders.data / "runs/r2/keep"), "me");
  const auto none = site.Restore(path, {"index"});
  ASSERT_FALSE(none);
  EXPECT_NE(none.error().message.find("index"), std::string::npos);
  ASSERT_TRUE(site.Restore(path, {"database"}));
  EXPECT_EQ(site.Count("SELECT count(*) FROM tasks"), 1);
}

TEST(Backup, TheSafetyBackupBringsTheReplacedStateBack) {
  Site site;
  site.AddRun("before", true);
  const auto path = site.Create();
  site.AddRun("after", true);
  site.dir.Write("config/config.yaml", "made later");
  const auto digests = site.Digests();
  const auto restored = site.Restore(path);
  ASSERT_TRUE(restored) << restored.error().message;
  EXPECT_NE(site.Digests(), digests);
  ASSERT_FALSE(restored->safety.empty());
  const auto back = site.Restore(restored->safety);
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(site.Digests(), digests);
}

TEST(Backup, AnEmptyDatabaseIsFilled) {
  Site from, to(false);
  from.AddRun("one", true);
  const auto restored = to.Restore(from.Create());
  ASSERT_TRUE(restored) << restored.error().message;
  EXPECT_EQ(to.Digests(), from.Digests());
  EXPECT_TRUE(restored->safety.empty());
}

TEST(Backup, AnOlderSchemaIsMigratedAfterwards) {
  Site from;
  const auto newest = static_cast<int64_t>(store::BuiltInMigrations().size());
  ASSERT_TRUE(store::Migrator(*from.pool).Down(newest - 4, {}));
  const auto path = from.Create();
  Site to;
  to.AddRun("newer", true);
  const auto restored = to.Restore(path);
  ASSERT_TRUE(restored) << restored.error().message;
  EXPECT_EQ(restored->migrated.size(), static_cast<size_t>(newest - 4));
  EXPECT_TRUE(store::Migrator(*to.pool).Check({}));
  EXPECT_EQ(to.Count("SELECT count(*) FROM tasks"), 0);
}

TEST(Backup, LiveLeasesRefuseARestoreUnlessForced) {
  Site site;
  const auto path = site.Create();
  const std::string run_id = site.AddRun("live", false);
  const auto digests = site.Digests();
  const auto refused = site.Restore(path);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find(run_id), std::string::npos) << refused.error().message;
  EXPECT_EQ(site.Digests(), digests);
  ASSERT_TRUE(site.Restore(path, {}, true));
  EXPECT_EQ(site.Count("SELECT count(*) FROM runs"), 0);
}

TEST(Backup, WorkspacesAreNotSwappedUnderALivingRunnerUnlessForced) {
  Site site;
  site.dir.Write("data/runs/r1/runs/r1/artifacts/plan.json", "old");
  const auto path = site.Create({.workspaces = true});
  site.dir.Write("data/runs/r1/runs/r1/artifacts/plan.json", "new");
  const std::string run_id = site.AddRun("live", false);
  const auto refused = site.Restore(path, {"workspaces"});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kConflict);
  EXPECT_NE(refused.error().message.find(run_id), std::string::npos) << refused.error().message;
  EXPECT_EQ(Read(site.folders.data / "runs/r1/runs/r1/artifacts/plan.json"), "new");
  ASSERT_TRUE(site.Restore(path, {"workspaces"}, true));
  EXPECT_EQ(Read(site.folders.data / "runs/r1/runs/r1/artifacts/plan.json"), "old");
}

TEST(Backup, ABrokenOffRestoreIsNotJudgedByAnotherDatabase) {
  Site site, other;
  const cli::BackupSite with_other{site.folders, other.url, *other.pool, cli::NoProgress};
  const fs::path staged = cli::StagingInConfig(site.folders, "1f2e") / "config.yaml";
  fs::create_directories(staged.parent_path());
  ASSERT_TRUE(WriteFileAtomic(staged, "restored"));
  struct stat info {};
  ASSERT_EQ(::stat(staged.c_str(), &info), 0);
  const auto database = cli::DatabaseOf(*site.pool, {});
  ASSERT_TRUE(database);
  ASSERT_TRUE(cli::WriteIntent(site.folders,
                               {.id = "1f2e",
                                .backup = "b",
                                .database = true,
                                .database_id = *database,
                                .moves = {{staged, site.folders.config / "config.yaml", info.st_ino}}}));
  ASSERT_TRUE(cli::Record(*site.pool, "BACKUP_RESTORED", "b", {{"restore", "1f2e"}}));  // it was committed

  EXPECT_TRUE(cli::EndBrokenRestore(with_other, {}));
  const auto refused = cli::RecoverRestore(with_other, {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kConflict);
  EXPECT_NE(refused.error().message.find(*database), std::string::npos) << refused.error().message;
  EXPECT_EQ(cli::EndBrokenRestore(with_other, {}, cli::OtherDatabase::kRefuse).error().code,
            ErrorCode::kConflict);
  EXPECT_TRUE(fs::exists(staged));

  const auto ended = cli::RecoverRestore(site.At(), {});
  ASSERT_TRUE(ended) << ended.error().message;
  EXPECT_EQ(*ended, "b");
  EXPECT_EQ(Read(site.folders.config / "config.yaml"), "restored");
}

TEST(Backup, ARunnerOfTheReplacedDatabaseIsFencedOff) {
  Site site;
  const std::string run_id = site.AddRun("live", false);
  const auto path = site.Create();
  const int64_t epoch = site.Count("SELECT epoch FROM leases");
  ASSERT_TRUE(site.Restore(path, {}, true));
  control::RunLedger ledger(*site.pool);
  EXPECT_EQ(ledger.Heartbeat(run_id, {.epoch = epoch}, {}).error().code, ErrorCode::kStale);
  const auto claim = ledger.Claim(run_id, "next", {}, {});
  ASSERT_TRUE(claim) << claim.error().message;
  EXPECT_GT(claim->epoch, epoch + 1);
}

TEST(Backup, AnothersTablesOfTheSameNamesAreLeftAlone) {
  Site from, to(false);
  ASSERT_TRUE(to.pool->Execute("CREATE TABLE runs (theirs int)", {}, {}));
  const auto refused = to.Restore(from.Create());
  ASSERT_FALSE(refused);
  EXPECT_EQ(to.Count("SELECT count(theirs) FROM runs"), 0);
}

TEST(Backup, AnothersTablesInTheSameDatabaseStay) {
  Site site;
  ASSERT_TRUE(site.pool->Execute("CREATE TABLE theirs (n int)", {}, {}));
  ASSERT_TRUE(site.pool->Execute("INSERT INTO theirs VALUES (1)", {}, {}));
  const auto path = site.Create();
  ASSERT_TRUE(site.pool->Execute("INSERT INTO theirs VALUES (2)", {}, {}));
  const auto restored = site.Restore(path);
  ASSERT_TRUE(restored) << restored.error().message;
  EXPECT_EQ(site.Count("SELECT count(*) FROM theirs"), 2);
}

TEST(Backup, ThePasswordIsInNoArgumentAndNoError) {
  const auto environment = std::string("postgresql://u:s3cretpw@/nowhere?host=") + "/nonexistent";
  Site site;
  site.url = environment;  // pg_dump's, not the pool's
  const auto folder = cli::BackupFolder::Open(site.At().Backups());
  ASSERT_TRUE(folder);
  const auto failed = cli::CreateBackup(site.At(), *folder, {}, {});
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().message.find("s3cretpw"), std::string::npos) << failed.error().message;
  EXPECT_TRUE(cli::ListBackups(site.At().Backups()).empty());
  EXPECT_EQ(std::distance(fs::directory_iterator(site.At().Backups()), {}), 1) << "only the lock is left";
}

TEST(Backup, LinksAreNamedAndNotFollowed) {
  Site site;
  const auto outside = site.dir.Write("outside/secret", "not yours");
  site.dir.Write("config/workflows/a.yaml", "a");
  fs::create_symlink(outside, site.folders.config / "workflows/link.yaml");
  const auto folder = cli::BackupFolder::Open(site.At().Backups());
  const auto made = cli::CreateBackup(site.At(), *folder, {}, {});
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(made->skipped, std::vector<std::string>{"workflows/link.yaml"});
}

TEST(Backup, FilesAreForTheUserAlone) {
  Site site;
  const auto path = site.Create();
  for (const auto& entry : fs::directory_iterator(path)) {
    struct stat info {};
    ASSERT_EQ(::stat(entry.path().c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 077U, 0u) << entry.path();
  }
}

TEST(PgTools, AServerNewerThanAllInstalledIsSaidClearly) {
  const auto tools = cli::PgTools::Find(990'001);
  ASSERT_FALSE(tools);
  EXPECT_NE(tools.error().message.find("postgresql-client-99"), std::string::npos) << tools.error().message;
}

}  // namespace
}  // namespace ybis::testing
