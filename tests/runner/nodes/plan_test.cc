#include "runner/nodes/plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace ybis::runner {
namespace {

using nlohmann::json;

const std::vector<std::string> kFiles = {"README.md", "src/app.py", "src/util/text.py"};

json PlanWith(json files) { return {{"summary", "s"}, {"steps", {"one"}}, {"files", std::move(files)}}; }

bool Exists(const std::string& path) { return std::find(kFiles.begin(), kFiles.end(), path) != kFiles.end(); }

std::string Check(json files) {
  json plan;
  return CheckPlan(PlanWith(std::move(files)), kFiles, Exists, plan);
}

TEST(CheckPlan, TakesFilesThatFitTheRepository) {
  json plan;
  const json answer = PlanWith({{{"path", "src/app.py"}, {"action", "modify"}},
                                {{"path", "src/new.py"}, {"action", "create"}, {"reason", "r"}},
                                {{"path", "README.md"}, {"action", "delete"}}});
  EXPECT_EQ(CheckPlan(answer, kFiles, Exists, plan), "");
  EXPECT_EQ(plan["files"].size(), 3U);
  EXPECT_EQ(plan["files"][1]["reason"], "r");
}

TEST(CheckPlan, SendsBackInventedNamesWithTheNearest) {
  const std::string problem = Check({{{"path", "lib/text.py"}, {"action", "modify"}}});
  EXPECT_NE(problem.find("lib/text.py does not exist"), std::string::npos);
  EXPECT_NE(problem.find("there is src/util/text.py"), std::string::npos);
  EXPECT_NE(Check({{{"path", "gone.py"}, {"action", "delete"}}}).find("cannot be deleted"),
            std::string::npos);
}

/// The list of a large repository is cut; what is not on it may be there all the same.
TEST(CheckPlan, AsksTheRepositoryAndNotTheList) {
  json plan;
  const auto check = [&](const char* path, const char* action) {
    return CheckPlan(PlanWith({{{"path", path}, {"action", action}}}), {}, Exists, plan);
  };
  EXPECT_EQ(check("src/util/text.py", "modify"), "");
  EXPECT_NE(check("src/util/text.py", "create").find("exists already"), std::string::npos);
}

TEST(CheckPlan, SendsBackACreateOfWhatExists) {
  EXPECT_NE(Check({{{"path", "README.md"}, {"action", "create"}}}).find("exists already"), std::string::npos);
}

TEST(CheckPlan, SendsBackPathsThatLeaveTheTree) {
  for (const char* path : {"/etc/passwd", "../x", "a/../../x", ".git/config", "..", "a/.."}) {
    EXPECT_NE(Check({{{"path", path}, {"action", "create"}}}).find("not a path inside"), std::string::npos)
        << path;
  }
}

TEST(CheckPlan, SendsBackWrongShapes) {
  json plan;
  EXPECT_NE(CheckPlan(json{{"nonsense", 1}}, kFiles, Exists, plan), "");
  EXPECT_NE(Check(json::array()), "");
  EXPECT_NE(Check({{{"path", "x"}, {"action", "explode"}}}), "");
  EXPECT_NE(Check({"text"}), "");
  EXPECT_NE(Check({{{"path", "x"}, {"action", "create"}}, {{"path", "x"}, {"action", "create"}}})
                .find("named twice"),
            std::string::npos);
}

}  // namespace
}  // namespace ybis::runner
