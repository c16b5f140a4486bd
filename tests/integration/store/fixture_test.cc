#include "tests/integration/store/fixture.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <thread>

#include "base/digest.h"

namespace ybis::testing {
namespace {

control::AdmissionLimits Migrated(store::Pool& pool, control::AdmissionLimits limits) {
  const auto done = store::Migrator(pool).Up({});
  if (!done) throw std::runtime_error(done.error().message);
  return limits;
}

}  // namespace

Postgres& Server() {
  static Postgres server(PostgresOptions{.fsync = false, .max_connections = 200});
  return server;
}

World::World(std::string database_url, control::AdmissionLimits given_limits,
             control::LedgerSettings ledger_settings, int pool_size)
    : url(std::move(database_url)),
      pool(SettingsFor(url, pool_size)),
      limits(Migrated(pool, given_limits)),
      queue(pool, limits),
      ledger(pool, ledger_settings),
      calls(pool),
      watchdog(pool) {}

control::TaskSubmission Submission(const std::string& name, api::Priority priority,
                                   const std::string& repository, const std::string& ns) {
  control::TaskSubmission submission;
  submission.uid = NewUuid();
  submission.namespace_name = ns;
  submission.name = name;
  submission.generation = 1;
  submission.spec.title = name;
  submission.spec.objective = "Make it so.";
  submission.spec.priority = priority;
  submission.spec.repository.url =
      repository.empty() ? "https://git.example/" + submission.uid + ".git" : repository;
  submission.workflow.name = "ybis-native";
  submission.workflow.entry_point = "planner";
  submission.workflow.exit_points = {"done"};
  const auto config = std::make_shared<const nlohmann::json>(nlohmann::json::object());
  submission.workflow.nodes = {{"planner", "planner", {{"done", {}}}, config, 0, 1},
                               {"done", "passthrough", {}, config, 0, 1}};
  return submission;
}

std::string Dispatched(World& world, const std::string& name) {
  const auto run = world.queue.Submit(Submission(name));
  EXPECT_TRUE(run) << Message(run);
  if (!run) return {};
  EXPECT_EQ(run->state, control::RunState::kDispatched);
  return run->run_id;
}

int64_t Claimed(World& world, const std::string& run_id, const std::string& holder) {
  const auto claim = world.ledger.Claim(run_id, holder, {}, {});
  EXPECT_TRUE(claim) << Message(claim);
  return claim ? claim->epoch : -1;
}

api::NodeReport NodeReportOf(int64_t epoch, int64_t seq, const std::string& node) {
  api::NodeReport report;
  report.epoch = epoch;
  report.seq = seq;
  report.node = node;
  report.type = node;
  report.outcome = "ok";
  report.started = report.finished = std::chrono::system_clock::now();
  report.checkpoint.seq = seq;
  report.checkpoint.next_node = "executor";
  report.checkpoint.visits = {{node, seq}};
  report.checkpoint.state = std::make_shared<const nlohmann::json>(nlohmann::json{{"seq", seq}});
  report.checkpoint.base_commit = "0123456789abcdef0123456789abcdef01234567";
  report.checkpoint.patch = fmt::format("patch {}", seq);
  return report;
}

api::FinishReport FinishOf(int64_t epoch, const std::string& outcome) {
  api::FinishReport report;
  report.epoch = epoch;
  report.outcome = outcome;
  return report;
}

bool SomebodyWaits(World& world) {
  for (int i = 0; i < 500; ++i) {
    if (Count(world.pool,
              "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid "
              "WHERE a.datname = current_database() AND NOT l.granted") > 0) {
      return true;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

int64_t Count(store::Pool& pool, const std::string& sql, const store::Params& params) {
  const auto rows = pool.Execute(sql, params, {});
  EXPECT_TRUE(rows) << Message(rows);
  return rows && !rows->empty() ? (*rows)[0].Int(0) : -1;
}

}  // namespace ybis::testing
