#include "tests/integration/backup/fixture.h"

#include <nlohmann/json.hpp>

#include "store/migrations.h"
#include "tests/support/must.h"
#include "tests/support/submission.h"

namespace ybis::testing {

Postgres& BackupServer() {
  static Postgres server(PostgresOptions{.fsync = false});
  return server;
}

Site::Site(bool migrated)
    : folders{dir.path() / "data", dir.path() / "config"}, url(BackupServer().NewDatabase()) {
  std::filesystem::create_directories(folders.data);
  std::filesystem::create_directories(folders.config);
  pool = std::make_unique<store::Pool>(store::PoolSettings{.url = url, .size = 6});
  if (!migrated) return;
  Must(store::Migrator(*pool).Up({}));
}

std::filesystem::path Site::Create(const cli::CreateRequest& request) {
  const auto folder = cli::BackupFolder::Open(At().Backups());
  EXPECT_TRUE(folder) << folder.error().message;
  const auto made = cli::CreateBackup(At(), *folder, request, {});
  EXPECT_TRUE(made) << made.error().message;
  return made ? made->path : std::filesystem::path();
}

Result<cli::RestoreReport> Site::Restore(const std::filesystem::path& path,
                                         std::vector<std::string> components, bool force) {
  YBIS_ASSIGN(const auto folder, cli::BackupFolder::Open(At().Backups()));
  return cli::RestoreBackup(At(), folder, {path, std::move(components), force}, {});
}

std::string Site::AddRun(const std::string& name, bool finish) {
  auto submission = OneNodeSubmission("local", name);
  submission.spec.objective = "Grüße \\ ' \" \n\t end";
  control::TaskQueue queue(*pool, {100'000, 100'000, 100'000});
  control::RunLedger ledger(*pool);
  const std::string run_id = Must(queue.Submit(submission)).run_id;
  const auto claim = Must(ledger.Claim(run_id, "test", {}, {}));
  if (!finish) return run_id;
  api::FinishReport report;
  report.epoch = claim.epoch;
  report.outcome = "Completed";
  Must(ledger.Finish(run_id, report, {}));
  return run_id;
}

std::map<std::string, std::string> Site::Digests() {
  std::map<std::string, std::string> digests;
  for (const store::Relation& relation : store::MadeRelations()) {
    if (!relation.table || relation.name == "_journal") continue;
    const auto rows = pool->Execute(
        "SELECT count(*) || ' ' || coalesce(md5(string_agg(t::text, '|' ORDER BY t::text)), '') FROM " +
            relation.name + " t",
        {}, {});
    digests[relation.name] = rows ? (*rows)[0].Text(0) : "none";
  }
  return digests;
}

int64_t Site::Count(const std::string& sql) {
  const auto rows = pool->Execute(sql, {}, {}, store::InDoubt::kRepeat);
  EXPECT_TRUE(rows) << rows.error().message;
  return rows ? (*rows)[0].Int(0) : -1;
}

}  // namespace ybis::testing
