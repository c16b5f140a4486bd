#include "runner/engine/journal.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/log.h"
#include "tests/runner/engine/fake_core.h"
#include "tests/support/temp_dir.h"

namespace ybis::runner {
namespace {

TEST(Journal, MasksSecretsThatJsonWouldEscape) {
  const std::string secret = "a\"b\\c-secret";
  log::RegisterSecret(secret);
  const testing::TempDir dir;
  FakeCore core;
  const int64_t epoch = core.Take();
  auto folder = RunFolder::Create(dir.path(), {.run_id = "run-1", .epoch = epoch}, core);
  ASSERT_TRUE(folder);
  Journal journal(*folder, core, SystemClock());
  ASSERT_TRUE(journal.Event("key", "TYPE", "said " + secret, {{"list", {"x", "it is " + secret}}}, {}));
  ASSERT_TRUE(journal.Flush({}));
  const nlohmann::json line = nlohmann::json::parse(core.artifacts.at("logs.jsonl"));
  EXPECT_EQ(line["message"], "said ***");
  EXPECT_EQ(line["fields"]["list"][1], "it is ***");
  EXPECT_EQ(core.events.at("key").message, "said ***");
  EXPECT_EQ((*core.events.at("key").fields)["list"][1], "it is ***");
}

}  // namespace
}  // namespace ybis::runner
