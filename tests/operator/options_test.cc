#include "operator/options.h"

#include <gtest/gtest.h>

#include "tests/support/temp_dir.h"

namespace ybis::op {
namespace {

std::variant<Options, ExitNow> Read(std::vector<std::string> args,
                                    const std::map<std::string, std::string>& environment) {
  args.insert(args.begin(), "ybis-operator");
  std::vector<char*> argv;
  for (std::string& arg : args) argv.push_back(arg.data());
  return ReadOptions(static_cast<int>(argv.size()), argv.data(), environment);
}

TEST(Options, TakeTheDatabaseFromTheEnvironmentAndAFileBeforeIt) {
  const ybis::testing::TempDir dir;
  const auto file = dir.Write("url", "postgresql://file/db\n");
  const std::map<std::string, std::string> environment = {{"DATABASE_URL", "postgresql://env/db"}};
  EXPECT_EQ(std::get<Options>(Read({}, environment)).database_url, "postgresql://env/db");
  EXPECT_EQ(std::get<Options>(Read({"--database-url-file=" + file.string()}, environment)).database_url,
            "postgresql://file/db");
}

TEST(Options, EndWithACodeForEachKindOfMistake) {
  EXPECT_EQ(std::get<ExitNow>(Read({"--no-such-flag"}, {})).code, 64);
  EXPECT_EQ(std::get<ExitNow>(Read({}, {})).code, 78) << "no database";
  EXPECT_EQ(std::get<ExitNow>(Read({"--profile=nowhere"}, {{"DATABASE_URL", "x"}})).code, 78);
  EXPECT_EQ(std::get<ExitNow>(Read({"--metrics-listen=:http"}, {{"DATABASE_URL", "x"}})).code, 78);
  EXPECT_EQ(std::get<ExitNow>(Read({"--help"}, {})).code, 0);
}

}  // namespace
}  // namespace ybis::op
