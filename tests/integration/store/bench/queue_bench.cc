// Figures of the queue on a private Postgres with fsync and synchronous_commit on, beside pgbench running the
// same statements on the same server:
//   claim → finish on one pool of connections; submit → dispatched; and a whole cycle while an old snapshot
//   keeps every dead row.
#include <fmt/format.h>

#include <cstdio>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/digest.h"
#include "base/process.h"
#include "control/run_ledger.h"
#include "control/task_queue.h"
#include "store/database.h"
#include "store/migrations.h"
#include "tests/support/postgres.h"

namespace ybis {
namespace {

using Steady = std::chrono::steady_clock;

constexpr int kClients = 8;
constexpr int kRunsEach = 500;

template <class T>
T Must(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message);
  return std::move(*result);
}

void Must(Status status) {
  if (!status) throw std::runtime_error(status.error().message);
}

double Seconds(Steady::time_point since) {
  return std::chrono::duration<double>(Steady::now() - since).count();
}

control::TaskSubmission Submission() {
  control::TaskSubmission submission;
  submission.uid = NewUuid();
  submission.namespace_name = "bench";
  submission.name = "task";
  submission.generation = 1;
  submission.spec.objective = "Make it so.";
  submission.spec.repository.url = "https://git.example/" + submission.uid;
  submission.workflow.name = "w";
  submission.workflow.entry_point = "only";
  submission.workflow.exit_points = {"only"};
  submission.workflow.nodes = {
      {"only", "passthrough", {}, std::make_shared<const nlohmann::json>(nlohmann::json::object()), 0, 1}};
  return submission;
}

/// Dispatched runs c<client>-<i> for `prefix`, written directly.
void MakeRuns(store::Pool& pool, const std::string& prefix) {
  const auto submission = Submission();
  const nlohmann::json workflow = {{"name", "w"}, {"spec", api::ToJson(submission.workflow)}};
  Must(pool.Transact(
      [&](store::Transaction& tx) -> Status {
        const std::string ids = fmt::format(
            "(SELECT '{}' || c || '-' || i AS id FROM generate_series(0, {}) c, generate_series(1, {}) i) "
            "ids",
            prefix, kClients - 1, kRunsEach);
        YBIS_TRY(
            tx.ExecScript("INSERT INTO tasks (uid, namespace, name) SELECT id, 'bench', id FROM " + ids));
        YBIS_TRY(tx.ExecScript(
            "INSERT INTO runs (run_id, task_uid, number, state) SELECT id, id, 1, 'Dispatched' FROM " + ids));
        YBIS_TRY(
            tx.Exec("INSERT INTO run_orders SELECT id, $1::json, $2::json, $3::json, 3600, 3 FROM " + ids,
                    {store::Param::Json(api::ToJson(submission.spec)), store::Param::Json(workflow),
                     store::Param::Json(api::ToJson(submission.policy))}));
        return tx.ExecScript(
            "INSERT INTO leases (run_id, position, namespace, lane, epoch) "
            "SELECT id, nextval('lease_position'), 'bench', id, 0 FROM " +
            ids);
      },
      {}));
  Must(pool.Execute("ANALYZE", {}, {}));
}

double ClaimAndFinish(store::Pool& pool, const std::string& prefix) {
  control::RunLedger ledger(pool);
  const auto begin = Steady::now();
  {
    std::vector<std::jthread> clients;
    for (int c = 0; c < kClients; ++c) {
      clients.emplace_back([&, c] {
        for (int i = 1; i <= kRunsEach; ++i) {
          const std::string run_id = fmt::format("{}{}-{}", prefix, c, i);
          api::FinishReport report;
          report.epoch = Must(ledger.Claim(run_id, "bench", {}, {})).epoch;
          report.outcome = "Completed";
          Must(ledger.Finish(run_id, report, {}));
        }
      });
    }
  }
  return kClients * kRunsEach / Seconds(begin);
}

/// The statements that one claim and one finish send, as the server logged them.
std::vector<std::string> LoggedStatements(store::Pool& pool) {
  const auto rows = Must(
      pool.Execute("SELECT statement FROM pg_prepared_statements WHERE statement LIKE 'WITH l AS (UPDATE "
                   "leases l SET epoch%' "
                   "OR statement LIKE 'WITH l AS (DELETE FROM leases%' OR statement LIKE 'SELECT pg_notify%' "
                   "ORDER BY prepare_time",
                   {}, {}));
  std::vector<std::string> statements;
  for (size_t i = 0; i < rows.size(); ++i) statements.push_back(rows[i].Text(0));
  return statements;
}

std::string Bound(std::string sql, const std::vector<std::string>& values) {
  for (size_t i = values.size(); i > 0; --i) {
    const std::string mark = fmt::format("${}", i);
    for (size_t at = sql.find(mark); at != std::string::npos; at = sql.find(mark, at)) {
      sql.replace(at, mark.size(), values[i - 1]);
    }
  }
  return sql + ";\n";
}

double Pgbench(const testing::Postgres& server, const std::string& url, store::Pool& pool,
               const std::string& prefix) {
  testing::TempDir dir;
  std::string claim, finish, notify;
  for (const std::string& sql : LoggedStatements(pool)) {
    if (sql.starts_with("WITH l AS (UPDATE")) claim = sql;
    if (sql.starts_with("WITH l AS (DELETE")) finish = sql;
    if (sql.starts_with("SELECT pg_notify")) notify = sql;
  }
  if (claim.empty() || finish.empty() || notify.empty()) throw std::runtime_error("statements not found");
  const std::string id = ":id";
  const std::string tell = Bound(notify, {"'ybis_task'", "ARRAY['bench/task']"});
  const std::string script = "\\set i :i + 1\nSELECT '" + prefix +
                             "' || :client_id || '-' || :i AS id \\gset\n" +
                             Bound(claim, {":'id'", "'bench'", "300"}) + tell +
                             Bound(finish, {":'id'::text", "'Completed'::text", "NULL", "NULL", "NULL", "''",
                                            "'RUN_COMPLETED'", "''", "1"}) +
                             tell;
  // The name is worked out by the client: no statement more than ours.
  std::string body = script;
  const std::string select =
      body.substr(body.find("SELECT '"), body.find("\\gset\n") + 6 - body.find("SELECT '"));
  body.replace(body.find(select), select.size(), "");
  for (size_t at = body.find(":'id'"); at != std::string::npos; at = body.find(":'id'")) {
    body.replace(at, 5, fmt::format("('{}' || :client_id::text || '-' || :i::text)", prefix));
  }
  const auto file = dir.Write("script.sql", body);
  ProcessSpec spec;
  spec.argv = {server.bin_dir() / "pgbench",
               "-n",
               "-M",
               "prepared",
               "-c",
               std::to_string(kClients),
               "-j",
               "2",
               "-t",
               std::to_string(kRunsEach),
               "-D",
               "i=0",
               "-f",
               file,
               url};
  spec.env = {{"PATH", "/usr/bin:/bin"}};
  const auto result = Must(RunProcess(spec, {}));
  const size_t at = result.output.find("tps = ");
  if (result.exit_code != 0 || at == std::string::npos) throw std::runtime_error(result.error_output);
  return std::stod(result.output.substr(at + 6));
}

/// Submit (dispatched at once), claim and finish, `count` times; cycles a second.
double Cycle(control::TaskQueue& queue, control::RunLedger& ledger, int count,
             std::vector<double>* submit_ms = nullptr) {
  const auto begin = Steady::now();
  for (int i = 0; i < count; ++i) {
    const auto start = Steady::now();
    const auto run = Must(queue.Submit(Submission()));
    if (submit_ms != nullptr) submit_ms->push_back(Seconds(start) * 1000);
    api::FinishReport report;
    report.epoch = Must(ledger.Claim(run.run_id, "bench", {}, {})).epoch;
    report.outcome = "Completed";
    Must(ledger.Finish(run.run_id, report, {}));
  }
  return count / Seconds(begin);
}

void Run() {
  testing::Postgres server;
  const std::string url = server.NewDatabase();
  store::PoolSettings settings;
  settings.url = url;
  settings.size = kClients;
  store::Pool pool(settings);
  Must(store::Migrator(pool).Up({}));
  for (int round = 1; round <= 3; ++round) {
    const std::string ours_prefix = fmt::format("o{}c", round), theirs_prefix = fmt::format("p{}c", round);
    MakeRuns(pool, ours_prefix);
    MakeRuns(pool, theirs_prefix);
    const double ours = ClaimAndFinish(pool, ours_prefix);
    const double theirs = Pgbench(server, url, pool, theirs_prefix);
    const auto done = Must(pool.Execute("SELECT count(*) FROM runs WHERE state <> 'Completed'", {}, {}));
    std::printf("claim+finish, %d connections: %.0f runs/s, pgbench %.0f runs/s (%.0f%%), %ld left over\n",
                kClients, ours, theirs, 100 * ours / theirs, static_cast<long>(done[0].Int(0)));
  }
  control::TaskQueue queue(pool, {100'000, 100'000, 100'000});
  control::RunLedger ledger(pool);
  std::vector<double> submit_ms;
  const double before = Cycle(queue, ledger, 1000, &submit_ms);
  std::sort(submit_ms.begin(), submit_ms.end());
  std::printf("submit to dispatched: p50 %.1f ms, p99 %.1f ms\n", submit_ms[500], submit_ms[990]);
  store::PoolSettings old_settings = settings;
  old_settings.size = 1;
  store::Pool old_pool(old_settings);
  Must(old_pool.Transact(
      [&](store::Transaction& old) -> Status {
        YBIS_TRY(old.Exec("SET LOCAL idle_in_transaction_session_timeout = 0"));
        YBIS_TRY(old.Exec("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"));
        YBIS_TRY(old.Exec("SELECT count(*) FROM runs"));
        Cycle(queue, ledger, 12'500);  // four updates of queue and leases each
        const double after = Cycle(queue, ledger, 1000);
        std::printf(
            "submit+claim+finish: %.0f/s, behind an old snapshot and 50,000 updates %.0f/s (%.0f%%)\n",
            before, after, 100 * after / before);
        return {};
      },
      {}));
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
