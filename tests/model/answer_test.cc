#include "model/answer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace ybis::model {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

TEST(ExtractJson, TakesTheObjectOutOfItsWrapping) {
  const json expected = {{"a", 1}};
  for (const std::string text :
       {R"({"a":1})", "  {\"a\":1}\n", "```json\n{\"a\":1}\n```", "```\n{\"a\":1}\n```\nDone.",
        "Here it is:\n```json\n{\"a\": 1}\n```\nI hope it helps.", "Sure! {\"a\":1} Anything else?"}) {
    const auto value = ExtractJson(text);
    ASSERT_TRUE(value) << text << ": " << value.error().message;
    EXPECT_EQ(*value, expected) << text;
  }
}

TEST(ExtractJson, KeepsFencesWithinStrings) {
  const json expected = {{"content", "x\n```c\nint a;\n```\n"}};
  EXPECT_EQ(*ExtractJson(expected.dump()), expected);
  EXPECT_EQ(*ExtractJson("```json\n" + expected.dump(2) + "\n```"), expected);
}

TEST(ExtractJson, SaysWhatIsWrong) {
  EXPECT_THAT(ExtractJson("").error().message, HasSubstr("empty"));
  EXPECT_THAT(ExtractJson("I'd rather not.").error().message, HasSubstr("no JSON object"));
  EXPECT_THAT(ExtractJson(R"({"a": tru)").error().message, HasSubstr("not JSON at byte"));
  EXPECT_FALSE(ExtractJson("[1,2]"));
  EXPECT_FALSE(ExtractJson("\"text\""));
  EXPECT_FALSE(ExtractJson(std::string(100'000, '{')));
}

const json kPlan = {{"type", "object"},
                    {"required", {"steps"}},
                    {"additionalProperties", false},
                    {"properties",
                     {{"steps", {{"type", "array"}, {"minItems", 1}, {"items", {{"type", "string"}}}}},
                      {"pattern", {{"type", "integer"}}}}}};

TEST(ValidateAgainst, AcceptsWhatFits) {
  EXPECT_TRUE(ValidateAgainst(kPlan, {{"steps", {"one"}}}));
  EXPECT_TRUE(ValidateAgainst(kPlan, {{"steps", {"one"}}, {"pattern", 3}}));
}

TEST(ValidateAgainst, NamesEveryPlace) {
  const auto wrong = ValidateAgainst(kPlan, {{"steps", {"one", 2}}, {"extra", 1}});
  ASSERT_FALSE(wrong);
  EXPECT_THAT(wrong.error().message, HasSubstr("steps"));
  EXPECT_THAT(wrong.error().message, HasSubstr("extra"));
  EXPECT_FALSE(ValidateAgainst(kPlan, {{"steps", json::array()}}));
  EXPECT_FALSE(ValidateAgainst(kPlan, {{"steps", {"one"}}, {"pattern", "a property of that name"}}));
  EXPECT_THAT(ValidateAgainst(kPlan, json::object()).error().message, HasSubstr("steps"));
}

TEST(CheckSchema, RefusesWhatCouldHangOrLeadAway) {
  EXPECT_TRUE(CheckSchema(kPlan));
  EXPECT_TRUE(CheckSchema({{"definitions", {{"a", {{"type", "string"}}}}}, {"$ref", "#/definitions/a"}}));
  EXPECT_THAT(CheckSchema({{"$ref", "http://example.com/s.json"}}).error().message, HasSubstr("not within"));
  EXPECT_THAT(CheckSchema({{"$ref", "#/definitions/none"}}).error().message, HasSubstr("nowhere"));
  const json circle = {
      {"definitions", {{"a", {{"$ref", "#/definitions/b"}}}, {"b", {{"$ref", "#/definitions/a"}}}}},
      {"$ref", "#/definitions/a"}};
  EXPECT_THAT(CheckSchema(circle).error().message, HasSubstr("circles"));
  EXPECT_FALSE(CheckSchema("text"));
  EXPECT_FALSE(CheckSchema({{"type", 3}}));
}

TEST(ValidateAgainst, RunsNoRegularExpressions) {
  const json schema = {{"properties", {{"a", {{"type", "string"}, {"pattern", "^(a+)+$"}}}}}};
  const auto began = std::chrono::steady_clock::now();
  EXPECT_TRUE(ValidateAgainst(schema, {{"a", std::string(50'000, 'a') + "!"}}));
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(1));
}

TEST(ValidateAgainst, FollowsSchemasThatHoldThemselves) {
  const json tree = {
      {"type", "object"},
      {"required", {"name"}},
      {"properties",
       {{"name", {{"type", "string"}}},
        {"children", {{"type", "array"}, {"items", {{"$ref", "#/definitions/node"}}}}}}},
      {"definitions",
       {{"node",
         {{"type", "object"},
          {"required", {"name"}},
          {"properties",
           {{"children", {{"type", "array"}, {"items", {{"$ref", "#/definitions/node"}}}}}}}}}}}};
  EXPECT_TRUE(
      ValidateAgainst(tree, {{"name", "a"}, {"children", {{{"name", "b"}, {"children", json::array()}}}}}));
  EXPECT_FALSE(ValidateAgainst(tree, {{"name", "a"}, {"children", {{{"children", json::array()}}}}}));
}

}  // namespace
}  // namespace ybis::model
