// Workers, runners and the database killed at random while many tasks are worked off: each task is finished
// exactly once, and nothing stays behind. YBIS_CHAOS_TASKS and YBIS_CHAOS_WORKERS make it larger; `make
// chaos` does.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "base/digest.h"
#include "cli/local/private_postgres.h"
#include "cli/local/task_input.h"
#include "control/task_queue.h"
#include "store/migrations.h"
#include "tests/integration/local/chaos_fleet.h"
#include "tests/integration/local/chaos_model.h"
#include "tests/support/must.h"

namespace ybis::testing {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using nlohmann::json;

int NumberFrom(const char* variable, int otherwise) {
  const char* text = std::getenv(variable);
  return text == nullptr ? otherwise : std::atoi(text);
}

/// Every write of the record that belongs to an epoch, in the order in which the rows were locked: what the
/// fencing is held against, kept by the database itself.
constexpr const char* kWitness = R"(
CREATE TABLE chaos_writes (id bigserial PRIMARY KEY, run_id text, epoch bigint, what text);
CREATE FUNCTION chaos_node() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO chaos_writes (run_id, epoch, what) VALUES (NEW.run_id, NEW.epoch, 'node ' || NEW.seq);
  RETURN NEW; END $$;
CREATE FUNCTION chaos_run() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO chaos_writes (run_id, epoch, what) VALUES (NEW.run_id, NEW.epoch, NEW.state);
  RETURN NEW; END $$;
CREATE TRIGGER chaos_node AFTER INSERT ON node_executions FOR EACH ROW EXECUTE FUNCTION chaos_node();
CREATE TRIGGER chaos_run AFTER UPDATE ON runs FOR EACH ROW EXECUTE FUNCTION chaos_run();
)";

class LocalChaos : public ::testing::Test {
 protected:
  LocalChaos() {
    machine_.Ybis({"task", "list"});
    const std::string config = fmt::format(
        "models:\n  - {{name: counting, provider: openai, endpoint: \"{}\", model: counting}}\n"
        "limits: {{maxRuns: 256, maxRunsPerNamespace: 256, maxRunsPerRepositoryBranch: 256}}\n",
        model_.Endpoint());
    std::ofstream(machine_.path() / "config/config.yaml") << config;
    env_ = machine_.env();
    repository_ = machine_.Repository("hello");
    machine_.Git(repository_, {"config", "core.logAllRefUpdates", "always"});
    database_ = Must(cli::PrivatePostgres(machine_.path() / "data/postgres").Ensure({}));
    pool_ = std::make_unique<store::Pool>(store::PoolSettings{
        .url = database_.url, .size = 2, .acquire_timeout = 60s, .statement_timeout = 60s});
    const Status witness =
        pool_->Transact([&](store::Transaction& tx) -> Status { return tx.ExecScript(kWitness); }, {});
    EXPECT_TRUE(witness) << witness.error().message;
  }

  void CreateTasks(int count) {
    control::TaskQueue queue(*pool_, {});
    const control::Config config = Must(control::LoadConfig(
        {.profile = "dev", .file = machine_.path() / "config/config.yaml", .environment = {}}));
    for (int i = 0; i < count; ++i) {
      cli::TaskInput input = Must(cli::TaskFromFlags({.name = fmt::format("chaos-{:04}", i),
                                                      .objective = "Write answer.txt.",
                                                      .repo = repository_,
                                                      .verify = {"test -s answer.txt"}}));
      input.spec.limits.max_infra_retries = 20;
      Must(queue.Enqueue(cli::SubmissionOf(config, input, NewUuid())));
    }
  }

  int64_t Number(const std::string& sql) { return Must(pool_->Execute(sql, {}, {}))[0].Int(0); }
  std::string Lines(const std::string& sql) {
    const auto rows = Must(pool_->Execute(sql, {}, {}));
    std::string text;
    for (size_t i = 0; i < rows.size() && i < 20; ++i) text += rows[i].Text(0) + "\n";
    return text;
  }

  /// Lets things die until every run is over; false when that took longer than `limit`.
  bool WorkOff(ChaosFleet& fleet, int tasks, std::chrono::seconds limit);
  void ExpectEachFinishedOnce(int tasks);
  void ExpectFenced();
  void ExpectPaidOnce(const ChaosFleet& fleet, int tasks);
  void ExpectDeliveredOnce(int tasks);
  void ExpectNothingLeft();

  CountingModel model_;
  Machine machine_;
  std::map<std::string, std::string> env_;
  std::string repository_;
  cli::PrivatePostgres::Use database_;
  std::unique_ptr<store::Pool> pool_;
  int64_t paid_twice_ = 0;
};

bool LocalChaos::WorkOff(ChaosFleet& fleet, int tasks, std::chrono::seconds limit) {
  const auto begin = std::chrono::steady_clock::now();
  auto next_look = begin, next_word = begin + 30s;
  while (std::chrono::steady_clock::now() < begin + limit) {
    fleet.Step();
    const auto now = std::chrono::steady_clock::now();
    if (now < next_look) continue;
    next_look = now + 500ms;
    const auto over = pool_->Execute(
        "SELECT count(*) FROM runs WHERE state IN ('Completed', 'Failed', 'Cancelled', 'Blocked')", {}, {});
    if (over && (*over)[0].Int(0) == tasks) return true;
    if (over && now > next_word) {
      next_word = now + 30s;
      std::printf(
          "%lld s: %lld of %d over\n",
          static_cast<long long>(std::chrono::duration_cast<std::chrono::seconds>(now - begin).count()),
          static_cast<long long>((*over)[0].Int(0)), tasks);
      std::fflush(stdout);
    }
  }
  return false;
}

void LocalChaos::ExpectEachFinishedOnce(int tasks) {
  EXPECT_EQ(Number("SELECT count(*) FROM tasks"), tasks);
  EXPECT_EQ(Number("SELECT count(*) FROM runs"), tasks) << "one run a task";
  EXPECT_EQ(Number("SELECT count(*) FROM runs WHERE state = 'Completed'"), tasks) << Lines(
      "SELECT run_id || ' ' || state || ' ' || coalesce(failure::text, '') FROM runs "
      "WHERE state <> 'Completed'");
  EXPECT_EQ(Number("SELECT count(*) FROM events WHERE key LIKE 'end:%'"), tasks);
  EXPECT_EQ(Number("SELECT count(DISTINCT run_id) FROM events WHERE key LIKE 'end:%'"), tasks);
  EXPECT_EQ(Number("SELECT count(*) FROM events WHERE type = 'BRANCH_PUSHED'"), tasks);
  EXPECT_EQ(Number("SELECT count(DISTINCT run_id) FROM events WHERE type = 'BRANCH_PUSHED'"), tasks);
}

void LocalChaos::ExpectFenced() {
  EXPECT_EQ(Lines("SELECT run_id || ' seq ' || seq || ' epoch ' || epoch FROM (SELECT run_id, seq, epoch, "
                  "lag(epoch) OVER w AS before, row_number() OVER w AS place FROM node_executions "
                  "WINDOW w AS (PARTITION BY run_id ORDER BY seq)) n WHERE seq <> place OR epoch < before"),
            "")
      << "each node follows the one before it, under the same epoch or a later one";
  EXPECT_EQ(
      Lines("SELECT run_id || ' ' || what || ' epoch ' || epoch || ' after ' || before FROM (SELECT run_id, "
            "what, epoch, max(epoch) OVER (PARTITION BY run_id ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING "
            "AND 1 PRECEDING) AS before FROM chaos_writes) w WHERE epoch < before"),
      "")
      << "nobody writes under an epoch once a later one has written";
  EXPECT_EQ(Lines("SELECT n.run_id || ' epoch ' || n.epoch FROM node_executions n LEFT JOIN events e ON "
                  "e.run_id = n.run_id AND e.key = 'claim:' || n.epoch WHERE e.run_id IS NULL"),
            "")
      << "every epoch that wrote was claimed";
}

/// The one window in which a call is paid twice: its worker dies after the model was asked and before the
/// answer is on record. Then the record counts both.
void LocalChaos::ExpectPaidOnce(const ChaosFleet& fleet, int tasks) {
  const auto bill = model_.Bill();
  EXPECT_EQ(bill.size(), static_cast<size_t>(3 * tasks)) << "spec, plan and edits of each";
  EXPECT_EQ(Number("SELECT count(*) FROM llm_calls WHERE state <> 'done'"), 0);
  EXPECT_EQ(Number("SELECT count(*) FROM llm_calls"), 3 * tasks);
  EXPECT_EQ(Number("SELECT coalesce(sum(llm_calls), 0)::bigint FROM runs"),
            Number("SELECT coalesce(sum(paid_calls), 0)::bigint FROM llm_calls"));
  EXPECT_EQ(Lines("SELECT run_id || ' ' || node || ' ' || paid_calls || ' of ' || tries FROM llm_calls "
                  "WHERE paid_calls < 1 OR paid_calls > tries"),
            "");
  std::map<std::string, int64_t> billed;
  for (const auto& [call, paid] : bill)
    billed[call.substr(0, call.find(' '))] += static_cast<int64_t>(paid.size());
  for (const auto& [run_id, calls] : billed) {
    const auto rows = Must(pool_->Execute("SELECT llm_calls FROM runs WHERE run_id = $1", {run_id}, {}));
    EXPECT_GE(rows[0].Int(0), calls) << "what " << run_id << " has on the model's bill is on record";
  }
  for (const auto& [call, paid] : bill) {
    for (size_t i = 0; i + 1 < paid.size(); ++i) {
      ++paid_twice_;
      // Who held the run when it was asked: the newest claim before.
      const auto rows = Must(pool_->Execute(
          "SELECT message FROM events WHERE run_id = $1 AND key LIKE 'claim:%' AND at <= $2::timestamptz "
          "ORDER BY id DESC LIMIT 1",
          {call.substr(0, call.find(' ')), paid[i].asked}, {}));
      ASSERT_FALSE(rows.empty()) << call;
      const std::string holder = rows[0].Text(0);
      const bool died =
          std::any_of(fleet.dead_workers().begin(), fleet.dead_workers().end(), [&](const Death& death) {
            return holder.find("/" + death.pid + "/") != std::string::npos && death.time >= paid[i].asked &&
                   death.time <= paid[i + 1].asked;
          });
      EXPECT_TRUE(died) << call << " was paid again although " << holder << " lived";
    }
  }
}

void LocalChaos::ExpectDeliveredOnce(int tasks) {
  const std::string main = machine_.Git(repository_, {"rev-parse", "main"});
  std::istringstream lines(machine_.Git(
      repository_, {"for-each-ref", "refs/heads/ybis", "--format=%(refname) %(parent) %(contents:lines=0)"}));
  std::set<std::string> branches;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string name, parent;
    words >> name >> parent;
    branches.insert(name);
    EXPECT_EQ(parent, main) << name << " is one commit on main";
    std::ifstream log(fs::path(repository_) / ".git/logs" / name);
    const auto pushes = std::count(std::istreambuf_iterator<char>(log), {}, '\n');
    EXPECT_EQ(pushes, 1) << name << " was written once";
    const std::string run_id = name.substr(name.rfind("chaos-") + 11);
    EXPECT_EQ(machine_.Git(repository_, {"show", name + ":answer.txt"}), run_id) << name;
  }
  EXPECT_EQ(branches.size(), static_cast<size_t>(tasks));
  EXPECT_EQ(machine_.Git(repository_, {"status", "--porcelain", "--ignored"}), "");
}

void LocalChaos::ExpectNothingLeft() {
  EXPECT_EQ(Number("SELECT count(*) FROM leases"), 0);
  EXPECT_EQ(Number("SELECT count(*) FROM queue"), 0);
  EXPECT_TRUE(ProcessesOf(machine_).empty());
  for (const auto& entry : fs::directory_iterator(machine_.path() / "data/sockets")) {
    ADD_FAILURE() << "left behind: " << entry.path();
  }
  for (const auto& run : fs::directory_iterator(machine_.path() / "data/runs")) {
    for (const auto& part : fs::directory_iterator(run.path())) {
      const std::string name = part.path().filename();
      EXPECT_TRUE(name == "runs" || name == "runner.log") << "left behind: " << part.path();
    }
  }
}

TEST_F(LocalChaos, EveryTaskIsFinishedExactlyOnceWhateverDies) {
  const int tasks = NumberFrom("YBIS_CHAOS_TASKS", 60);
  const int workers = NumberFrom("YBIS_CHAOS_WORKERS", 8);
  const auto seed = static_cast<unsigned>(NumberFrom("YBIS_CHAOS_SEED", 1));
  const ChaosPace pace{
      .worker = std::chrono::milliseconds(NumberFrom("YBIS_CHAOS_KILL_WORKER_MS", 1000)),
      .runner = std::chrono::milliseconds(NumberFrom("YBIS_CHAOS_KILL_RUNNER_MS", 1500)),
      .database = std::chrono::milliseconds(NumberFrom("YBIS_CHAOS_KILL_DATABASE_MS", 10'000))};
  const auto begin = std::chrono::steady_clock::now();
  ChaosFleet fleet(machine_, env_, workers, pace, seed);
  CreateTasks(tasks);
  ASSERT_TRUE(WorkOff(fleet, tasks, 120s + tasks * 2s)) << Lines(
      "SELECT run_id || ' ' || state || ' attempt ' || attempt FROM runs WHERE state NOT IN ('Completed')");
  const auto took = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  EXPECT_TRUE(fleet.Stop());
  EXPECT_TRUE(fleet.StartAndStopOne());
  ExpectEachFinishedOnce(tasks);
  ExpectFenced();
  ExpectPaidOnce(fleet, tasks);
  ExpectDeliveredOnce(tasks);
  ExpectNothingLeft();
  std::printf(
      "%d tasks, %d workers: %.0f s, %zu workers, %d runners and %d databases killed, %lld attempts, %lld "
      "calls paid twice in the window\n",
      tasks, workers, took, fleet.dead_workers().size(), fleet.killed_runners(), fleet.killed_databases(),
      static_cast<long long>(Number("SELECT coalesce(sum(attempt), 0)::bigint FROM runs")),
      static_cast<long long>(paid_twice_));
}

}  // namespace
}  // namespace ybis::testing
