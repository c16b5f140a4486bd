#pragma once
// What the tests of the store and the control core over Postgres share: one server a program, one database a
// test, and a task to submit.
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "api/run_api.h"
#include "control/llm_calls.h"
#include "control/run_ledger.h"
#include "control/task_queue.h"
#include "control/watchdog.h"
#include "store/database.h"
#include "store/migrations.h"
#include "tests/support/postgres.h"

namespace ybis::testing {

/// The server of this program, with fsync off: what is tested here does not crash it.
Postgres& Server();

inline store::PoolSettings SettingsFor(const std::string& url, int size = 8) {
  store::PoolSettings settings;
  settings.url = url;
  settings.size = size;
  return settings;
}

/// A migrated database and everything on top of it.
struct World {
  explicit World(std::string database_url, control::AdmissionLimits given_limits = {},
                 control::LedgerSettings ledger_settings = {}, int pool_size = 8);

  std::string url;
  store::Pool pool;
  control::AdmissionLimits limits;
  control::TaskQueue queue;
  control::RunLedger ledger;
  control::LlmCalls calls;
  control::Watchdog watchdog;
};

/// A submission of its own repository unless `repository` is given.
control::TaskSubmission Submission(const std::string& name, api::Priority priority = api::Priority::kMedium,
                                   const std::string& repository = {}, const std::string& ns = "default");

/// Submits and expects it to be dispatched; returns the run's id.
std::string Dispatched(World& world, const std::string& name);
/// Claims as `holder` and returns the epoch; fails the test when that does not work.
int64_t Claimed(World& world, const std::string& run_id, const std::string& holder = "pod-1");

api::NodeReport NodeReportOf(int64_t epoch, int64_t seq, const std::string& node = "planner");
api::FinishReport FinishOf(int64_t epoch, const std::string& outcome = "Completed");
/// Until another session of the database waits for a lock; false when none does for seconds.
bool SomebodyWaits(World& world);
/// One number from a statement.
int64_t Count(store::Pool& pool, const std::string& sql, const store::Params& params = {});

template <class T>
std::string Message(const Result<T>& result) {
  return result ? "no error" : std::string(ToString(result.error().code)) + ": " + result.error().message;
}

}  // namespace ybis::testing

#define YBIS_EXPECT_OK(expression)                                       \
  do {                                                                   \
    const auto& ybis_outcome = (expression);                             \
    EXPECT_TRUE(ybis_outcome) << ::ybis::testing::Message(ybis_outcome); \
  } while (false)
#define YBIS_ASSERT_OK(expression)                                       \
  do {                                                                   \
    const auto& ybis_outcome = (expression);                             \
    ASSERT_TRUE(ybis_outcome) << ::ybis::testing::Message(ybis_outcome); \
  } while (false)
#define YBIS_EXPECT_CODE(expression, expected)                                             \
  do {                                                                                     \
    const auto& ybis_outcome = (expression);                                               \
    EXPECT_TRUE(!ybis_outcome && ybis_outcome.error().code == ::ybis::ErrorCode::expected) \
        << "wanted " #expected ", got " << ::ybis::testing::Message(ybis_outcome);         \
  } while (false)
