// The looks that need a database.
#include "control/health_checks.h"

#include <gtest/gtest.h>

#include "tests/integration/store/fixture.h"

namespace ybis::testing {
namespace {

using control::HealthFinding;
using control::HealthGrade;

TEST(LeasesCheck, WarnsOfRunsPastDueAndOfDeadWorkers) {
  World world(Server().NewDatabase());
  const auto is_gone = [](const std::string& holder) { return holder == "dead"; };
  const auto look = [&] { return control::LeasesCheck(world.pool, is_gone)({}); };
  EXPECT_EQ(look().message, "0 runs under way, none overdue");
  Claimed(world, Dispatched(world, "one"), "alive");
  Dispatched(world, "two");
  EXPECT_EQ(look().grade, HealthGrade::kOk);
  EXPECT_EQ(look().message, "2 runs under way, none overdue");
  const std::string late = Dispatched(world, "late");
  Claimed(world, late, "far away");
  YBIS_ASSERT_OK(
      world.pool.Execute("UPDATE leases SET expires = now() - interval '5 s' WHERE run_id = $1", {late}, {}));
  Claimed(world, Dispatched(world, "killed"), "dead");
  const HealthFinding found = look();
  EXPECT_EQ(found.grade, HealthGrade::kWarning);
  EXPECT_EQ(found.message, "2 of 4 runs have lost their worker");
  EXPECT_FALSE(found.remedy.empty());
  EXPECT_EQ(control::LeasesCheck(world.pool, {})({}).message, "1 of 4 runs have lost their worker")
      << "nobody knows who lives";
}

TEST(MigrationsCheck, IsBrokenUnlessTheSchemaIsThisProgramsOwn) {
  World world(Server().NewDatabase());
  const auto look = [&] { return control::MigrationsCheck(world.pool)({}); };
  EXPECT_EQ(look().grade, HealthGrade::kOk);
  YBIS_ASSERT_OK(store::Migrator(world.pool).Down(1, {}));
  EXPECT_EQ(look().grade, HealthGrade::kBroken);
  EXPECT_NE(look().message.find("lacks migration"), std::string::npos) << look().message;
  EXPECT_NE(look().remedy.find("ybis db migrate"), std::string::npos) << look().remedy;
  YBIS_ASSERT_OK(store::Migrator(world.pool).Up({}));
  YBIS_ASSERT_OK(world.pool.Execute(
      "INSERT INTO _migrations (version, name, checksum) VALUES (99, 'future', 'x')", {}, {}));
  EXPECT_EQ(look().grade, HealthGrade::kBroken);
  EXPECT_NE(look().message.find("0099_future"), std::string::npos) << look().message;
}

TEST(DatabaseChecks, SayThatTheDatabaseIsAway) {
  store::Pool nowhere({.url = "host=/nowhere", .size = 1, .acquire_timeout = std::chrono::milliseconds(100)});
  EXPECT_EQ(control::DatabaseCheck(nowhere, "here")({}).grade, HealthGrade::kBroken);
  for (const auto& check : {control::MigrationsCheck(nowhere), control::LeasesCheck(nowhere, {})})
    EXPECT_NE(check({}).grade, HealthGrade::kOk);
}

}  // namespace
}  // namespace ybis::testing
