#include "cli/table.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "base/yaml.h"

namespace ybis::cli {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;

TEST(Table, AlignsByCharactersAndLeavesNoBlanksAtTheEnd) {
  Table table({"NAME", "STATUS", "TITLE"});
  table.Add({"größe", "Running", "a"});
  table.Add({"x", "Queued", ""});
  std::ostringstream out;
  table.Print(out);
  EXPECT_EQ(out.str(),
            "NAME   STATUS   TITLE\n"
            "größe  Running  a\n"
            "x      Queued\n");
}

TEST(DurationText, NamesAtMostTwoUnits) {
  EXPECT_EQ(DurationText(0ms), "0.0s");
  EXPECT_EQ(DurationText(1234ms), "1.2s");
  EXPECT_EQ(DurationText(59s), "59s");
  EXPECT_EQ(DurationText(192s), "3m12s");
  EXPECT_EQ(DurationText(2h + 5min), "2h5m");
  EXPECT_EQ(DurationText(100h), "4d");
}

TEST(OneLine, CutsAtCharactersAndHidesControls) {
  EXPECT_EQ(OneLine("short", 10), "short");
  EXPECT_EQ(OneLine("a\nb\x1b[31m", 20), "a b [31m");
  EXPECT_EQ(OneLine("äöüß", 3), "äö…");
  EXPECT_EQ(OneLine("äöüß", 4), "äöüß");
  EXPECT_EQ(OneLine("a\u202Eb\u009B2Kc", 20), "a b 2Kc") << "directions and 8-bit controls, too";
}

TEST(ToYaml, ReadsBackAsTheSameValue) {
  const json value = {
      {"name", "x"},
      {"empty", json::array()},
      {"none", nullptr},
      {"text", "line\nnext: # no comment"},
      {"looks", json::array({"true", "1.5", "yes", "", " pad", "- dash", "null", "~", "True", "NULL"})},
      {"numbers", {1, 2.5, -3}},
      {"nested", {{"list", json::array({{{"a", 1}, {"b", {{"c", "d"}}}}, json::array({1, 2})})}}}};
  const auto read = ParseYaml(ToYaml(value), "test");
  ASSERT_TRUE(read) << read.error().message << "\n" << ToYaml(value);
  EXPECT_EQ(*read->value, value) << ToYaml(value);
}

TEST(ToYaml, QuotesWordsThatAnyReaderTakesForAnotherType) {
  for (const char* word : {"No", "TRUE", "Null", "On", "oFF", "Y", "~"})
    EXPECT_EQ(ToYaml(json{{"title", word}}), "title: \"" + std::string(word) + "\"\n");
  EXPECT_EQ(ToYaml(json{{"title", "Nothing"}}), "title: Nothing\n");
}

TEST(Paint, IsOffForAnythingButATerminal) {
  std::ostringstream out;
  EXPECT_FALSE(PaintFor(out).on);
  EXPECT_EQ(PaintFor(out).State("Failed"), "Failed");
  EXPECT_EQ((Paint{true}.State("Failed")), "\x1b[31mFailed\x1b[0m");
}

}  // namespace
}  // namespace ybis::cli
