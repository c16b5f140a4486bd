#include "runner/nodes/test_detection.h"

#include <gtest/gtest.h>

#include <map>

namespace ybis::runner {
namespace {

std::vector<std::string> NamesFor(const std::map<std::string, std::string>& files) {
  std::vector<std::string> paths;
  for (const auto& [path, text] : files) paths.push_back(path);
  std::vector<std::string> names;
  const auto has = [&](const std::string& path) { return files.contains(path); };
  const auto read = [&](const std::string& path) {
    const auto it = files.find(path);
    return it == files.end() ? "" : it->second;
  };
  for (const Check& check : DetectChecks(paths, has, read)) names.push_back(check.name);
  return names;
}

using Names = std::vector<std::string>;

TEST(DetectChecks, FindsPytestByFileNameOrConfiguration) {
  EXPECT_EQ(NamesFor({{"tests/test_a.py", ""}}), Names{"pytest"});
  EXPECT_EQ(NamesFor({{"a_test.py", ""}}), Names{"pytest"});
  EXPECT_EQ(NamesFor({{"pyproject.toml", "[tool.pytest.ini_options]\n"}}), Names{"pytest"});
  EXPECT_EQ(NamesFor({{"app.py", ""}}), Names{});
}

TEST(DetectChecks, FindsMakeTargets) {
  EXPECT_EQ(NamesFor({{"Makefile", "all:\n\techo\ntest: all\n\t./t\n"}}), Names{"make test"});
  EXPECT_EQ(NamesFor({{"Makefile", "check:\n\t./t\n"}}), Names{"make check"});
  EXPECT_EQ(NamesFor({{"Makefile", "test := 1\nall:\n"}}), Names{});
}

TEST(DetectChecks, FindsTheOthers) {
  EXPECT_EQ(NamesFor({{"CMakeLists.txt", "enable_testing()"}}), Names{"ctest"});
  EXPECT_EQ(NamesFor({{"package.json", R"({"scripts":{"test":"jest"}})"}}), Names{"npm test"});
  EXPECT_EQ(NamesFor({{"package.json", R"({"scripts":{"test":"echo no test specified && exit 1"}})"}}),
            Names{});
  EXPECT_EQ(NamesFor({{"package.json", "not json"}}), Names{});
  EXPECT_EQ(NamesFor({{"go.mod", ""}}), Names{"go test"});
  EXPECT_EQ(NamesFor({{"Cargo.toml", ""}}), Names{"cargo test"});
  EXPECT_EQ(NamesFor({{"ruff.toml", ""}}), Names{"ruff"});
  EXPECT_EQ(NamesFor({}), Names{});
}

TEST(DetectChecks, BuildsBeforeCtest) {
  // The list of a large repository is cut: the file that tells need not be on it.
  const auto checks = DetectChecks(
      {}, [](const std::string& path) { return path == "CMakeLists.txt"; },
      [](const std::string&) { return "enable_testing()"; });
  ASSERT_EQ(checks.size(), 1U);
  EXPECT_EQ(checks[0].before.size(), 2U);
}

}  // namespace
}  // namespace ybis::runner
