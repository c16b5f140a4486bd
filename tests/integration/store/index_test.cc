// What statements read and write of big tables, by Postgres' own counts.
#include <nlohmann/json.hpp>

#include "control/lessons.h"
#include "control/task_catalog.h"
#include "store/run_store.h"
#include "tests/integration/store/fixture.h"

namespace ybis::testing {
namespace {

using control::TaskOrder;

/// One connection, so that what it counted can be flushed.
struct Counted {
  Counted() : world(Server().NewDatabase(), {}, {}, 1) {}

  int64_t Of(const std::string& table, const std::string& sum) {
    YBIS_EXPECT_OK(world.pool.Execute("SELECT pg_stat_force_next_flush()", {}, {}));
    return Count(world.pool, "SELECT (" + sum + ")::bigint FROM pg_stat_user_tables WHERE relname = $1",
                 {table});
  }
  /// Rows that `work` reads of `table`; run so often that a kept plan is among those looked at.
  int64_t Read(const std::string& table, const std::function<void()>& work) {
    const std::string reads = "coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0)";
    const int64_t before = Of(table, reads);
    for (int i = 0; i < kTimes; ++i) work();
    return (Of(table, reads) - before) / kTimes;
  }
  static constexpr int kTimes = 12;
  World world;
};

/// Tasks t1, t2, … of one namespace with a run each, and a lesson of each; the higher, the older.
void Fill(store::Pool& pool, int64_t tasks) {
  const store::Params count = {tasks};
  for (const char* sql :
       {"INSERT INTO tasks (uid, namespace, name, runs, created) SELECT gen_random_uuid()::text, 'default', "
        "'t' || i, 1, now() - i * interval '1 minute' FROM generate_series(1, $1::bigint) i",
        "INSERT INTO runs (run_id, task_uid, number, state) SELECT 'run-' || name, uid, 1, 'Completed' FROM "
        "tasks LIMIT $1",
        "INSERT INTO run_orders SELECT run_id, '{}', '{}', '{}', 1, 1 FROM runs LIMIT $1",
        "INSERT INTO lessons SELECT r.run_id, 1, '', '', '[]', '', '', 1, t.created FROM runs r JOIN tasks t "
        "ON t.uid = r.task_uid LIMIT $1"}) {
    YBIS_ASSERT_OK(pool.Execute(sql, count, {}));
  }
  YBIS_ASSERT_OK(pool.Execute("ANALYZE", {}, {}));
}

TEST(Indexes, ListsAndFindsReadNoMoreThanTheyShow) {
  constexpr int64_t kTasks = 5'000;
  Counted counted;
  store::Pool& pool = counted.world.pool;
  Fill(pool, kTasks);
  control::TaskCatalog catalog(pool);
  for (const TaskOrder order : {TaskOrder::kNewest, TaskOrder::kOldest}) {
    const auto list = [&] {
      const auto tasks = catalog.List({.namespace_name = "default", .limit = 20, .order = order}, {});
      YBIS_ASSERT_OK(tasks);
      ASSERT_EQ(tasks->size(), 20u);
      EXPECT_EQ(tasks->front().name, order == TaskOrder::kNewest ? "t1" : "t5000");
    };
    EXPECT_LT(counted.Read("tasks", list), 100);
    EXPECT_LT(counted.Read("runs", list), 100);
  }
  for (const char* reference : {"t2500", "run-t2500"}) {
    const auto find = [&] { EXPECT_EQ(catalog.Find("default", reference, {})->name, "t2500"); };
    EXPECT_LT(counted.Read("tasks", find), 10) << reference;
    EXPECT_LT(counted.Read("runs", find), 10) << reference;
  }
  const auto name_taken = [&] {
    const auto taken = pool.Single(
        [](store::Transaction& tx) {
          return store::RunStore(tx).NameTaken({"", "default", "new", 1});
        },
        std::stop_token{});
    YBIS_ASSERT_OK(taken);
    EXPECT_FALSE(*taken);
  };
  EXPECT_LT(counted.Read("tasks", name_taken), 10);
  control::LearningCatalog learning(pool);
  EXPECT_LT(counted.Read("lessons", [&] { EXPECT_EQ(learning.Lessons(20, {})->size(), 20u); }), 100);
}

TEST(Indexes, ATaskIsFoundByTheBeginningOfItsUid) {
  Counted counted;
  Fill(counted.world.pool, 50);
  control::TaskCatalog catalog(counted.world.pool);
  const std::string uid = catalog.Find("default", "t7", {})->uid;
  EXPECT_EQ(catalog.Find("default", uid, {})->name, "t7");
  EXPECT_EQ(catalog.Find("default", uid.substr(0, 13), {})->name, "t7");
  YBIS_EXPECT_CODE(catalog.Find("default", uid.substr(0, 3), {}), kNotFound);
  YBIS_EXPECT_CODE(catalog.Find("elsewhere", uid.substr(0, 13), {}), kNotFound);
  YBIS_EXPECT_CODE(catalog.Find("elsewhere", uid, {}), kNotFound);
}

/// An index on a column that they write would make each of these updates write every index of the table.
TEST(Indexes, ClaimsHeartbeatsNodesAndFinishesLeaveTheIndexesAlone) {
  Counted counted;
  World& world = counted.world;
  for (int i = 0; i < 100; ++i) {
    const std::string run_id = Dispatched(world, "t" + std::to_string(i));
    const int64_t epoch = Claimed(world, run_id);
    YBIS_ASSERT_OK(world.ledger.Heartbeat(run_id, {epoch, "planner"}, {}));
    YBIS_ASSERT_OK(world.ledger.ReportNode(run_id, NodeReportOf(epoch, 1), {}));
    YBIS_ASSERT_OK(world.ledger.Finish(run_id, FinishOf(epoch), {}));
  }
  for (const char* table : {"runs", "leases", "tasks"}) {
    const int64_t updates = counted.Of(table, "n_tup_upd"), hot = counted.Of(table, "n_tup_hot_upd");
    std::printf("%s: %ld of %ld updates left the indexes alone\n", table, static_cast<long>(hot),
                static_cast<long>(updates));
    EXPECT_GE(updates, 100) << table;
    EXPECT_GE(hot * 10, updates * 9) << table;
  }
}

}  // namespace
}  // namespace ybis::testing
