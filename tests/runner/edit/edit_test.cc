#include "runner/edit/edit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace ybis::runner {
namespace {

using ::testing::HasSubstr;

TEST(ParseEdits, ReadsEveryOperation) {
  const auto edits = ParseEditsText(R"({"edits": [
      {"op": "search_replace", "path": "a.c", "search": "x", "replace": "", "occurrences": 2},
      {"op": "write", "path": "b.c", "content": ""},
      {"op": "delete", "path": "c.c"},
      {"op": "rename", "from": "d.c", "to": "e.c"},
      {"op": "diff", "diff": "--- a/f\n+++ b/f\n"}]})");
  ASSERT_TRUE(edits) << edits.error().message;
  ASSERT_EQ(edits->size(), 5u);
  EXPECT_EQ(std::get<SearchReplace>((*edits)[0]).occurrences, 2);
  EXPECT_EQ(std::get<WholeFile>((*edits)[1]).path, "b.c");
  EXPECT_EQ(std::get<DeleteFile>((*edits)[2]).path, "c.c");
  EXPECT_EQ(std::get<RenameFile>((*edits)[3]).to, "e.c");
  EXPECT_THAT(std::get<UnifiedDiff>((*edits)[4]).text, HasSubstr("+++ b/f"));
}

TEST(ParseEdits, NamesEveryProblemWithItsPlace) {
  const auto edits = ParseEditsText(R"({"edits": [
      {"op": "delete", "path": "fine"},
      {"op": "write", "path": "b.c"},
      {"op": "write", "content": "x"},
      {"op": "chmod", "path": "x"},
      {"path": "x"},
      "text",
      {"op": "delete", "path": "x", "force": true},
      {"op": "search_replace", "path": "x", "search": "a", "replace": 7}]})");
  ASSERT_FALSE(edits);
  const std::string& message = edits.error().message;
  for (const char* part :
       {"edits[1].content: is missing", "edits[2].path", "edits[3].op: must be one of", "edits[4].op",
        "edits[5]", "edits[6].force", "edits[7].replace: must be a string"}) {
    EXPECT_THAT(message, HasSubstr(part));
  }
  EXPECT_THAT(message, ::testing::Not(HasSubstr("edits[0]")));
}

TEST(ParseEdits, RefusesOtherShapes) {
  for (const char* text :
       {"", "[]", "{}", "null", R"({"edits": {}})", R"({"edits": [], "more": 1})", "{\"edits\": ["}) {
    EXPECT_FALSE(ParseEditsText(text)) << text;
  }
  EXPECT_EQ(ParseEditsText(R"({"edits": [{"op":"delete","path":"a"},{"op":"delete","path":"b"}]})",
                           {.max_edits = 1})
                .error()
                .code,
            ErrorCode::kTooLarge);
}

TEST(PatchId, IsTheSameForTheSameEditsAndOnlyForThem) {
  const auto id = [](const char* json) { return PatchId(ParseEditsText(json).value()); };
  EXPECT_EQ(id(R"({"edits":[{"op":"write","path":"a","content":"b"}]})"),
            id(R"({ "edits": [ {"content": "\u0062", "path": "a", "op": "write"} ] })"));
  EXPECT_NE(id(R"({"edits":[{"op":"write","path":"a","content":"b"}]})"),
            id(R"({"edits":[{"op":"write","path":"ab","content":""}]})"));
  EXPECT_NE(id(R"({"edits":[{"op":"delete","path":"a"},{"op":"delete","path":"b"}]})"),
            id(R"({"edits":[{"op":"delete","path":"b"},{"op":"delete","path":"a"}]})"));
  EXPECT_EQ(id(R"({"edits":[]})").substr(0, 7), "sha256:");
}

}  // namespace
}  // namespace ybis::runner
