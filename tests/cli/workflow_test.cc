#include <gtest/gtest.h>

#include <sstream>

#include "cli/verb.h"
#include "tests/support/temp_dir.h"

namespace ybis::cli {
namespace {

struct Outcome {
  int code;
  std::string out;
  std::string err;
};

Outcome Ybis(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "ybis");
  std::vector<const char*> argv;
  for (const std::string& argument : arguments) argv.push_back(argument.c_str());
  std::ostringstream out, err;
  const int code = Run(static_cast<int>(argv.size()), argv.data(), out, err);
  return {code, out.str(), err.str()};
}

TEST(Workflow, ShowsTheGraphOfABuiltInOne) {
  const Outcome outcome = Ybis({"workflow", "show", "ybis-native"});
  EXPECT_EQ(outcome.code, kExitOk);
  EXPECT_NE(outcome.out.find("spec*    spec_generator  -       plan\n"), std::string::npos) << outcome.out;
  EXPECT_NE(outcome.out.find("gate     gate            -       repair, (exit)\n"), std::string::npos)
      << outcome.out;
}

TEST(Workflow, LintNamesFileAndLine) {
  testing::TempDir dir;
  const auto file =
      dir.Write("w.yaml", "name: w\nentry_point: a\nexit_points: [a]\nnodes:\n  - {name: a, type: magic}\n");
  const Outcome outcome = Ybis({"workflow", "lint", file});
  EXPECT_EQ(outcome.code, kExitUsage);
  EXPECT_NE(outcome.err.find("w.yaml:5: nodes[0] 'a': unknown type 'magic'"), std::string::npos)
      << outcome.err;
}

TEST(Workflow, UnknownNameIsNotFound) {
  const Outcome outcome = Ybis({"workflow", "show", "none"});
  EXPECT_EQ(outcome.code, kExitNotFound);
  EXPECT_TRUE(outcome.out.empty());
}

TEST(Run, WrongUseIsTwoAndHelpIsZero) {
  EXPECT_EQ(Ybis({}).code, kExitUsage);
  EXPECT_EQ(Ybis({"wrokflow"}).code, kExitUsage);
  EXPECT_EQ(Ybis({"workflow", "list", "-o", "xml"}).code, kExitUsage);
  EXPECT_EQ(Ybis({"--help"}).code, kExitOk);
  EXPECT_NE(Ybis({"version"}).out.find("ybis 0."), std::string::npos);
}

}  // namespace
}  // namespace ybis::cli
