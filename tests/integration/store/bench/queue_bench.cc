// Figures of the queue on a private Postgres with fsync and synchronous_commit on, beside pgbench running the
// same statements on the same server:
//   claim → finish on one pool of connections; submit → dispatched; a durable node beside a bare commit;
//   admission past many runs that wait for their lane; and a whole cycle while an old snapshot keeps every
//   dead row.
#include <fmt/format.h>

#include <cstdio>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "base/process.h"
#include "control/run_ledger.h"
#include "control/task_queue.h"
#include "store/database.h"
#include "store/migrations.h"
#include "tests/support/figure.h"
#include "tests/support/must.h"
#include "tests/support/postgres.h"
#include "tests/support/submission.h"

namespace ybis {
namespace {

using Steady = std::chrono::steady_clock;

constexpr int kClients = 8;
constexpr int kRunsEach = 500;
constexpr int kRounds = 5;

using testing::Must;
using testing::OneNodeSubmission;
using testing::PrintFigure;
using testing::Wanted;

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values.at(values.size() / 2);
}

double Seconds(Steady::time_point since) {
  return std::chrono::duration<double>(Steady::now() - since).count();
}

/// Dispatched runs c<client>-<i> for `prefix`, written directly.
void MakeRuns(store::Pool& pool, const std::string& prefix) {
  const auto submission = OneNodeSubmission("bench", "task");
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
  const std::string tell = Bound(notify, {"ARRAY['ybis_task']", "ARRAY['bench/task']"});
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
    const auto run = Must(queue.Submit(OneNodeSubmission("bench", "task")));
    if (submit_ms != nullptr) submit_ms->push_back(Seconds(start) * 1000);
    api::FinishReport report;
    report.epoch = Must(ledger.Claim(run.run_id, "bench", {}, {})).epoch;
    report.outcome = "Completed";
    Must(ledger.Finish(run.run_id, report, {}));
  }
  return count / Seconds(begin);
}

/// Ours and pgbench's in turn, so that both meet the same moods of the machine.
void CompareWithPgbench(const testing::Postgres& server, const std::string& url, store::Pool& pool) {
  std::vector<double> ratios, rates, theirs_rates;
  for (int round = 1; round <= kRounds; ++round) {
    const std::string ours_prefix = fmt::format("o{}c", round), theirs_prefix = fmt::format("p{}c", round);
    MakeRuns(pool, ours_prefix);
    MakeRuns(pool, theirs_prefix);
    rates.push_back(ClaimAndFinish(pool, ours_prefix));
    theirs_rates.push_back(Pgbench(server, url, pool, theirs_prefix));
    ratios.push_back(100 * rates.back() / theirs_rates.back());
    std::fprintf(stderr, "claim and finish: %.0f runs/s, pgbench %.0f runs/s (%.0f%%)\n", rates.back(),
                 theirs_rates.back(), ratios.back());
  }
  const auto done = Must(pool.Execute("SELECT count(*) FROM runs WHERE state <> 'Completed'", {}, {}));
  if (done[0].Int(0) != 0) throw std::runtime_error("runs are left over");
  PrintFigure("claim and finish, 8 connections", Median(rates), "runs/s");
  PrintFigure("the same by pgbench", Median(theirs_rates), "runs/s");
  PrintFigure("queue beside pgbench, median of pairs", Median(ratios), "%", Wanted::kAtLeast, 80);
}

/// A node's report, checkpoint and all, beside a commit of one row of one number.
void DurableNode(store::Pool& pool) {
  constexpr int kNodes = 200;
  Must(pool.Execute("CREATE TABLE bare (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, n bigint)", {},
                    {}));
  control::TaskQueue queue(pool, {100'000, 100'000, 100'000});
  control::RunLedger ledger(pool);
  const std::string run_id = Must(queue.Submit(OneNodeSubmission("bench", "task"))).run_id;
  api::NodeReport report;
  report.epoch = Must(ledger.Claim(run_id, "bench", {}, {})).epoch;
  report.node = "only";
  report.type = "passthrough";
  report.visit = 1;
  report.outcome = "ok";
  report.started = report.finished = SystemClock().Now();
  report.output = std::make_shared<const nlohmann::json>(nlohmann::json{{"summary", std::string(1000, 'x')}});
  report.checkpoint.next_node = "only";
  report.checkpoint.state = report.output;
  report.checkpoint.patch = std::string(2000, 'p');
  std::vector<double> ratios, node_ms, commits;
  const auto next_xid = [&] {
    return Must(pool.Execute("SELECT pg_current_xact_id()::text::bigint", {}, {}))[0].Int(0);
  };
  for (int round = 0; round < kRounds; ++round) {
    auto begin = Steady::now();
    for (int i = 0; i < kNodes; ++i) Must(pool.Execute("INSERT INTO bare (n) VALUES ($1)", {i}, {}));
    const double bare = Seconds(begin);
    const int64_t xid = next_xid();
    begin = Steady::now();
    for (int i = 0; i < kNodes; ++i) {
      report.checkpoint.seq = ++report.seq;
      Must(ledger.ReportNode(run_id, report, {}));
    }
    node_ms.push_back(Seconds(begin) * 1000 / kNodes);
    ratios.push_back(node_ms.back() / (bare * 1000 / kNodes));
    commits.push_back(static_cast<double>(next_xid() - xid - 1) / kNodes);
  }
  PrintFigure("durable node", Median(node_ms), "ms");
  PrintFigure("commits a durable node", Median(commits), "", Wanted::kAtMost, 1);
  // Of a few kilobytes, with the lease renewed; LangGraph's saver takes 2.5 to 6.
  PrintFigure("durable node beside a bare commit", Median(ratios), "×", Wanted::kAtMost, 2.5);
  report.epoch = 0;
  Must(queue.Fail(run_id, {api::FailureClass::kInfra, "Done", "done"}));
}

/// 20,000 runs wait for one lane that is taken; one of another lane comes after them.
void BlockedLane(store::Pool& pool) {
  control::TaskQueue queue(pool, {0, 0, 1});
  Must(pool.Transact(
      [&](store::Transaction& tx) -> Status {
        const std::string ids = "(SELECT 'wait' || i AS id FROM generate_series(1, 20000) i) ids";
        YBIS_TRY(
            tx.ExecScript("INSERT INTO tasks (uid, namespace, name) SELECT id, 'bench', id FROM " + ids));
        YBIS_TRY(tx.ExecScript("INSERT INTO runs (run_id, task_uid, number) SELECT id, id, 1 FROM " + ids));
        YBIS_TRY(tx.ExecScript("INSERT INTO run_orders SELECT id, '{}', '{}', '{}', 3600, 3 FROM " + ids));
        return tx.ExecScript(
            "INSERT INTO queue (priority, position, run_id, namespace, lane) "
            "SELECT 1, nextval('queue_position'), id, 'bench', 'one' FROM " +
            ids);
      },
      {}));
  Must(pool.Execute("ANALYZE", {}, {}));
  Must(queue.Admit());  // the lane's one place
  std::vector<double> ms;
  for (int i = 0; i < 20; ++i) {
    const auto begin = Steady::now();
    Must(queue.Admit());
    ms.push_back(Seconds(begin) * 1000);
  }
  PrintFigure("admission past 20,000 runs of a full lane", Median(ms), "ms", Wanted::kAtMost, 10);
  Must(pool.Execute("DELETE FROM queue", {}, {}));
  Must(pool.Execute("DELETE FROM leases", {}, {}));
}

void OldSnapshot(store::Pool& pool, store::PoolSettings settings) {
  control::TaskQueue queue(pool, {100'000, 100'000, 100'000});
  control::RunLedger ledger(pool);
  std::vector<double> submit_ms;
  const double before = Cycle(queue, ledger, 1000, &submit_ms);
  std::sort(submit_ms.begin(), submit_ms.end());
  PrintFigure("task submitted → run dispatched, p50", submit_ms[500], "ms");
  PrintFigure("task submitted → run dispatched, p99", submit_ms[990], "ms");
  settings.size = 1;
  store::Pool old_pool(settings);
  Must(old_pool.Transact(
      [&](store::Transaction& old) -> Status {
        YBIS_TRY(old.Exec("SET LOCAL idle_in_transaction_session_timeout = 0"));
        YBIS_TRY(old.Exec("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"));
        YBIS_TRY(old.Exec("SELECT count(*) FROM runs"));
        Cycle(queue, ledger, 12'500);  // four updates of queue and leases each
        const double after = Cycle(queue, ledger, 1000);
        PrintFigure("queue's rate", before, "cycles/s");
        PrintFigure("queue's rate behind an old snapshot and 50,000 updates", 100 * after / before, "%",
                    Wanted::kAtLeast, 80);
        return {};
      },
      {}));
}

void Run(const std::set<std::string>& parts) {
  const auto wanted = [&](const char* part) { return parts.empty() || parts.count(part) != 0; };
  testing::Postgres server;
  const std::string url = server.NewDatabase();
  store::PoolSettings settings;
  settings.url = url;
  settings.size = kClients;
  store::Pool pool(settings);
  Must(store::Migrator(pool).Up({}));
  if (wanted("pgbench")) CompareWithPgbench(server, url, pool);
  if (wanted("node")) DurableNode(pool);
  if (wanted("lane")) BlockedLane(pool);
  if (wanted("snapshot")) OldSnapshot(pool, settings);
}

}  // namespace
}  // namespace ybis

/// ybis_queue_bench [pgbench] [node] [lane] [snapshot]; none: all.
int main(int argc, char** argv) {
  try {
    ybis::Run(std::set<std::string>(argv + 1, argv + argc));
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
