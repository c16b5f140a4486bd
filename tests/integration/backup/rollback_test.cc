// ybis db rollback: asked, refused under runs, and never without a way back.
#include <gtest/gtest.h>

#include <future>
#include <nlohmann/json.hpp>
#include <thread>

#include "store/migrations.h"
#include "store/system_journal.h"
#include "tests/integration/backup/fixture.h"
#include "tests/integration/local/machine.h"

namespace ybis::testing {
namespace {

class Rollback : public ::testing::Test {
 protected:
  ProcessResult Run(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"db", "rollback"});
    arguments.insert(arguments.end(), {"--database-url", site_.url});
    return machine_.Ybis(arguments);
  }
  int64_t Applied() { return site_.Count("SELECT count(*) FROM _migrations"); }

  Machine machine_;
  Site site_;
  const int64_t all_ = static_cast<int64_t>(store::BuiltInMigrations().size());
};

TEST_F(Rollback, IsNotDoneUnasked) {
  const auto refused = Run({"1"});
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_NE(refused.error_output.find("--yes"), std::string::npos) << refused.error_output;
  EXPECT_EQ(Applied(), all_);
}

TEST_F(Rollback, IsRefusedWhileALeaseLivesUnlessForced) {
  const std::string run_id = site_.AddRun("live", false);
  const auto refused = Run({"1", "--yes"});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_NE(refused.error_output.find(run_id), std::string::npos) << refused.error_output;
  EXPECT_EQ(Applied(), all_);
  const auto forced = Run({"1", "--yes", "--force"});
  EXPECT_EQ(forced.exit_code, 0) << forced.error_output;
  EXPECT_EQ(Applied(), all_ - 1);
}

TEST_F(Rollback, IsRefusedWhenARunIsTakenUpWhileTheBackupIsMade) {
  std::string run_id;
  std::future<ProcessResult> rollback;
  const auto meanwhile = [&](store::Transaction& tx) -> Status {
    // The backup's entry in the system journal has to wait for this lock.
    YBIS_TRY(tx.Exec("SELECT pg_advisory_xact_lock($1)", {store::kSchemaLock}));
    rollback = std::async(std::launch::async, [this] { return Run({"1", "--yes"}); });
    const std::string waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted";
    for (int i = 0; i < 600 && site_.Count(waiting) == 0; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    run_id = site_.AddRun("late", false);
    return {};
  };
  store::Pool pool({.url = site_.url, .size = 1});
  ASSERT_TRUE(pool.Transact(meanwhile, {}));
  const ProcessResult refused = rollback.get();
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_NE(refused.error_output.find("what was there before"), std::string::npos) << refused.error_output;
  EXPECT_NE(refused.error_output.find(run_id), std::string::npos) << refused.error_output;
  EXPECT_EQ(Applied(), all_);
}

TEST_F(Rollback, IsInTheJournalOfTheDatabase) {
  ASSERT_EQ(Run({"1", "--yes"}).exit_code, 0);
  const auto status = machine_.Ybis({"db", "status", "-o", "wide", "--database-url", site_.url});
  for (const char* what : {"MIGRATION_APPLIED", "BACKUP_CREATED", "MIGRATION_UNDONE"})
    EXPECT_NE(status.output.find(what), std::string::npos) << status.output;
  const auto object = nlohmann::json::parse(
      machine_.Ybis({"db", "status", "-o", "json", "--database-url", site_.url}).output);
  EXPECT_EQ(object["journal"].back()["type"], "MIGRATION_UNDONE") << object.dump(2);
}

TEST_F(Rollback, WhatIsMissingAfterItIsNamedWithTheCommandThatAppliesIt) {
  ASSERT_EQ(Run({"1", "--yes"}).exit_code, 0);
  const auto refused = machine_.Ybis({"task", "list", "--database-url", site_.url});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_NE(refused.error_output.find("`ybis db migrate` brings it up to date"), std::string::npos)
      << refused.error_output;
}

TEST_F(Rollback, LeavesABackupThatBringsAllBack) {
  site_.AddRun("one", true);
  const auto digests = site_.Digests();
  const auto undone = Run({std::to_string(all_), "--yes"});
  ASSERT_EQ(undone.exit_code, 0) << undone.error_output;
  EXPECT_EQ(site_.Count("SELECT count(*) FROM pg_tables WHERE tablename = 'tasks'"), 0);
  const std::string mark = "what was there before: ";
  const size_t at = undone.error_output.find(mark) + mark.size();
  ASSERT_GE(at, mark.size()) << undone.error_output;
  const std::string path = undone.error_output.substr(at, undone.error_output.find('\n', at) - at);
  const auto restored = site_.Restore(path);
  ASSERT_TRUE(restored) << restored.error().message;
  EXPECT_EQ(site_.Digests(), digests);
}

TEST_F(Rollback, OfNothingNeedsNoBackup) {
  Site empty(false);
  const auto nothing = machine_.Ybis({"db", "rollback", "1", "--yes", "--database-url", empty.url});
  EXPECT_EQ(nothing.exit_code, 0) << nothing.error_output;
  EXPECT_EQ(nothing.output, "nothing to do\n");
}

}  // namespace
}  // namespace ybis::testing
