// `ybis backup` of 100,000 runs beside pg_dump alone, on the same server in turn: both write a compressed
// dump of the same tables and put it on disk. The backup also reads the dump again for its digest and checks
// its contents.
#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "base/process.h"
#include "cli/local/backup/create.h"
#include "store/migrations.h"
#include "tests/support/figure.h"
#include "tests/support/must.h"
#include "tests/support/postgres.h"
#include "tests/support/temp_dir.h"

namespace ybis {
namespace {

namespace fs = std::filesystem;
using Steady = std::chrono::steady_clock;
using testing::Must;

constexpr int kRuns = 100'000;
constexpr int kRounds = 3;

/// Finished runs with orders, three nodes, two artifacts, three model calls and six journal entries each.
void Fill(store::Pool& pool) {
  const std::string runs = fmt::format("generate_series(1, {}) i", kRuns);
  const std::string md5s = "md5(i::text || n) || md5(n || i::text) || md5(i || 'x' || n)";
  const std::vector<std::string> statements = {
      "INSERT INTO tasks (uid, namespace, name, runs) SELECT md5(i::text), 'bench', 'task-' || i, 1 FROM " +
          runs,
      "INSERT INTO runs (run_id, task_uid, number, state, started, finished, result) SELECT md5(i::text) || "
      "'-1', "
      "md5(i::text), 1, 'Completed', now(), now(), json_build_object('commit', md5(i || 'c')) FROM " +
          runs,
      "INSERT INTO run_orders SELECT md5(i::text) || '-1', json_build_object('objective', repeat('Make it "
      "so. ', 20) || "
      "i), '{\"name\":\"ybis-native\"}', '{}', 3600, 3 FROM " +
          runs,
      "INSERT INTO node_executions SELECT md5(i::text) || '-1', n, 1, 'node' || n, 'executor', 1, 'ok', '', "
      "now(), now(), "
      "'{}', json_build_object('digest', " +
          md5s + "), 'next', '{}', json_build_object('state', " + md5s + "), md5(i::text), repeat(" + md5s +
          " || chr(10), 4) FROM " + runs + ", generate_series(1, 3) n",
      "INSERT INTO events (run_id, key, type, message) SELECT md5(i::text) || '-1', 'k' || n, 'RUN_EVENT', "
      "'entry ' || n || "
      "' of ' || i FROM " +
          runs + ", generate_series(1, 6) n",
      "INSERT INTO llm_calls (run_id, node, visit, call, request_digest, state, answer, expires) SELECT "
      "md5(i::text) || "
      "'-1', 'node', 1, n, md5(n || 'r' || i), 'done', json_build_object('text', repeat(" +
          md5s + ", 5)), now() FROM " + runs + ", generate_series(1, 3) n",
      "INSERT INTO blobs (digest, size, bytes) SELECT md5(n || 'b' || i), 1, convert_to(repeat(" + md5s +
          ", 3), 'UTF8') FROM " + runs + ", generate_series(1, 2) n",
      "INSERT INTO artifacts (run_id, name, digest, size) SELECT md5(i::text) || '-1', 'artifact-' || n, "
      "md5(n || 'b' || i), "
      "1 FROM " +
          runs + ", generate_series(1, 2) n"};
  for (const std::string& sql : statements) {
    const auto work = [&](store::Transaction& tx) -> Status {
      YBIS_TRY(tx.NoTimeLimit());
      return tx.ExecScript(sql);
    };
    Must(pool.Transact(work, {}));
  }
}

double Alone(const testing::Postgres& server, const std::string& url, const fs::path& file) {
  const auto begin = Steady::now();
  ProcessSpec spec;
  spec.argv = {server.bin_dir() / "pg_dump", "--format=custom", "--file=" + file.string(), url};
  spec.env = {{"PATH", "/usr/bin:/bin"}};
  spec.timeout = std::chrono::minutes(30);
  const auto result = Must(RunProcess(spec, {}));
  if (result.exit_code != 0) throw std::runtime_error(result.error_output);
  if (const Status synced = cli::SyncPath(file); !synced) throw std::runtime_error(synced.error().message);
  return std::chrono::duration<double>(Steady::now() - begin).count();
}

double Backup(const cli::BackupSite& site, int64_t& bytes) {
  const auto begin = Steady::now();
  const auto folder = Must(cli::BackupFolder::Open(site.Backups()));
  const auto made = Must(cli::CreateBackup(site, folder, {}, {}));
  const double seconds = std::chrono::duration<double>(Steady::now() - begin).count();
  bytes = made.manifest.TotalBytes();
  fs::remove_all(made.path);
  return seconds;
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

void Run() {
  testing::Postgres server;
  testing::TempDir dir;
  const std::string url = server.NewDatabase();
  store::Pool pool({.url = url, .size = 2});
  Must(store::Migrator(pool).Up({}));
  Fill(pool);
  const cli::BackupSite site{{dir.path() / "data", dir.path() / "config"}, url, pool, cli::NoProgress};
  std::vector<double> alone, ours;
  int64_t bytes = 0;
  for (int round = 0; round < kRounds; ++round) {  // in turn, so that both meet the same machine
    alone.push_back(Alone(server, url, dir.path() / "alone.dump"));
    ours.push_back(Backup(site, bytes));
  }
  testing::PrintFigure("backup of 100,000 runs", Median(ours), "s");
  testing::PrintFigure("its size", static_cast<double>(bytes) / 1e6, "MB");
  testing::PrintFigure("backup beside pg_dump alone", Median(ours) / Median(alone), "×",
                       testing::Wanted::kAtMost, 1.3);
}

}  // namespace
}  // namespace ybis

int main() {
  try {
    ybis::Run();
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
