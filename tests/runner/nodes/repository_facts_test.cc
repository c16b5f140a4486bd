#include "runner/nodes/repository_facts.h"

#include <gtest/gtest.h>

namespace ybis::runner {
namespace {

const std::map<std::string, std::string> kRepository = {
    {"README.md", "An inventory."},
    {"src/inventory.py", "def total_price(items):\n    return 0\n"},
    {"src/report.py", "from inventory import total_price\n"},
    {"src/unrelated.py", "x = 1\n"},
};

std::vector<std::string> Rank(const std::string& query) {
  std::vector<std::string> files;
  for (const auto& [path, text] : kRepository) files.push_back(path);
  return RankFiles(files, query, [](const std::string& path) { return kRepository.at(path); });
}

TEST(RankFiles, PutsNamedFilesFirst) {
  const auto ranked = Rank("Mend total_price; see src/report.py.");
  ASSERT_EQ(ranked.size(), 2U);
  EXPECT_EQ(ranked[0], "src/report.py");
  EXPECT_EQ(ranked[1], "src/inventory.py");
}

TEST(RankFiles, FindsFilesByTheIdentifiersTheyHold) {
  const auto ranked = Rank("total_price ignores the quantity");
  EXPECT_EQ(ranked, (std::vector<std::string>{"src/inventory.py", "src/report.py"}));
}

TEST(RankFiles, NamesNothingForAnObjectiveThatFitsNothing) {
  EXPECT_TRUE(Rank("zzzz qqqq").empty());
  EXPECT_TRUE(Rank("").empty());
}

TEST(RankFiles, DoesNotTakePartsOfNamesForNames) {
  // Too short to be found as an identifier: only its name can bring it.
  const auto rank = [](const std::string& query) {
    return RankFiles({"db.py"}, query, [](const std::string&) { return std::string(); });
  };
  for (const char* query : {"look at db.pyc", "look at mydb.py", "look at old/db.py", "look at db.py/x"}) {
    EXPECT_TRUE(rank(query).empty()) << query;
  }
  for (const char* query : {"look at db.py", "db.py", "(db.py)", "db.py."}) {
    EXPECT_EQ(rank(query), std::vector<std::string>{"db.py"}) << query;
  }
}

TEST(FactsText, ListsFilesLanguagesAndChecksInAFence) {
  RepositoryFacts facts{.files = {"a.py", "b\nc.py"}, .languages = {{"Python", 2}}, .readme = "Hello\n"};
  facts.checks.push_back({"pytest", {"python3", "-m", "pytest"}, {}});
  const std::string text = FactsText(facts);
  EXPECT_NE(text.find("Python (2 files)"), std::string::npos);
  EXPECT_NE(text.find("python3 -m pytest"), std::string::npos);
  EXPECT_NE(text.find("b?c.py"), std::string::npos) << "a line break in a name must not make a line";
  EXPECT_NE(text.find("<<<DATA "), std::string::npos);
}

TEST(FactsText, CapsTheList) {
  RepositoryFacts facts;
  for (int i = 0; i < 1000; ++i) facts.files.push_back(fmt::format("f{:04}", i));
  const std::string text = FactsText(facts);
  EXPECT_NE(text.find("f0399"), std::string::npos);
  EXPECT_EQ(text.find("f0400"), std::string::npos);
  EXPECT_NE(text.find("(and 600 more)"), std::string::npos);
}

}  // namespace
}  // namespace ybis::runner
