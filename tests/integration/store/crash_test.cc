// The server dies and comes back while work goes on: nothing is lost, nothing is doubled.
#include <set>
#include <thread>

#include "tests/integration/store/fixture.h"

namespace ybis::testing {
namespace {

using namespace std::chrono_literals;

/// The whole life of a run by one worker; false when some call gave up.
bool Work(World& world, const std::string& run_id, const std::string& worker) {
  const auto claim = world.ledger.Claim(run_id, worker, {}, {});
  if (!claim) return false;
  for (int64_t seq = 1; seq <= 3; ++seq) {
    if (!world.ledger.ReportNode(run_id, NodeReportOf(claim->epoch, seq), {})) return false;
  }
  return world.ledger.Finish(run_id, FinishOf(claim->epoch), {}).has_value();
}

class CrashTest : public ::testing::TestWithParam<bool> {};

TEST_P(CrashTest, NothingIsLostOrDoubledWhenTheServerGoesDownUnderLoad) {
  Postgres server;  // with fsync
  World world(server.NewDatabase(), {100'000, 100'000, 100'000}, {}, 8);
  std::atomic<int> submitted{0};
  std::atomic<int> finished{0};
  std::atomic<int> gave_up{0};
  {
    std::vector<std::jthread> workers;
    for (int w = 0; w < 6; ++w) {
      workers.emplace_back([&, w](std::stop_token stop) {
        for (int i = 0; !stop.stop_requested(); ++i) {
          const auto run = world.queue.Submit(Submission(std::to_string(w) + "-" + std::to_string(i)));
          if (!run) {
            ++gave_up;
            continue;
          }
          ++submitted;
          if (Work(world, run->run_id, "worker-" + std::to_string(w))) {
            ++finished;
          } else {
            ++gave_up;
          }
        }
      });
    }
    for (int round = 0; round < 3; ++round) {
      std::this_thread::sleep_for(1500ms);
      if (GetParam()) {
        server.KillHard();
        server.Start();
      } else {
        server.Restart();
      }
    }
    std::this_thread::sleep_for(1500ms);
  }
  std::printf("%d runs through 3 outages, %d calls gave up\n", finished.load(), gave_up.load());
  EXPECT_GT(finished, 50);
  EXPECT_EQ(gave_up, 0);
  EXPECT_EQ(Count(world.pool, "SELECT count(*) FROM runs"), submitted);
  EXPECT_EQ(Count(world.pool, "SELECT count(*) FROM runs WHERE state = 'Completed'"), finished);
  EXPECT_EQ(Count(world.pool, "SELECT count(*) FROM node_executions"), finished * 3);
  EXPECT_EQ(Count(world.pool, "SELECT count(*) FROM leases"), 0);
  EXPECT_EQ(Count(world.pool, "SELECT count(*) FROM queue"), 0);
  EXPECT_EQ(Count(world.pool, "SELECT count(*) FROM events WHERE type = 'RUN_COMPLETED'"), finished);
}

INSTANTIATE_TEST_SUITE_P(Outage, CrashTest, ::testing::Values(false, true), [](const auto& param) {
  return std::string(param.param ? "KilledHard" : "Restarted");
});

TEST(Crash, AWaitingRunIsFoundAgainAfterARestart) {
  Postgres server(PostgresOptions{.fsync = false});
  World world(server.NewDatabase(), {1, 10, 10});
  const std::string busy = Dispatched(world, "busy");
  YBIS_ASSERT_OK(world.queue.Submit(Submission("waiting")));
  server.KillHard();
  server.Start();
  YBIS_ASSERT_OK(world.queue.Cancel(busy, "make room"));
  const auto admitted = world.queue.Admit();
  YBIS_ASSERT_OK(admitted);
  ASSERT_EQ(admitted->size(), 1u);
  EXPECT_EQ(admitted->front().task_name, "waiting");
}

TEST(Crash, AnOutageLongerThanTheLimitIsAnErrorThatMayBeRepeated) {
  Postgres server(PostgresOptions{.fsync = false});
  auto settings = SettingsFor(server.Url());
  settings.acquire_timeout = 300ms;
  store::Pool pool(settings);
  EXPECT_EQ(Count(pool, "SELECT 1"), 1);
  server.Stop();
  const auto down = pool.Execute("SELECT 1", {}, {});
  YBIS_EXPECT_CODE(down, kUnavailable);
  EXPECT_TRUE(down.error().retryable);
  server.Start();
  EXPECT_EQ(Count(pool, "SELECT 1"), 1);
}

}  // namespace
}  // namespace ybis::testing
