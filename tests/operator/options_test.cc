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

TEST(Options, HelpTellsEveryExitCode) {
  ::testing::internal::CaptureStdout();
  EXPECT_EQ(std::get<ExitNow>(Read({"--help"}, {})).code, 0);
  const std::string help = ::testing::internal::GetCapturedStdout();
  const size_t codes = help.find("Exit codes:");
  ASSERT_NE(codes, std::string::npos) << help;
  for (const char* code : {"\n  0 ", "\n  1 ", "\n  64 ", "\n  78 "})
    EXPECT_NE(help.find(code, codes), std::string::npos) << code;
}

TEST(Options, TheExampleByHandNamesAnImageThatTheConfigurationTakes) {
  const auto options = Read({}, {{"DATABASE_URL", "x"}, {"YBIS_CONFIG__RUNNER__IMAGE", "registry/runner:1"}});
  EXPECT_EQ(std::get<Options>(options).config.runner.image, "registry/runner:1");
}

}  // namespace
}  // namespace ybis::op
