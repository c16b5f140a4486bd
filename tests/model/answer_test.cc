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

json Reference(const std::string& name) { return {{"$ref", "#/definitions/" + name}}; }

TEST(CheckSchema, RefusesASchemaThatJudgesAValueByItself) {
  for (const char* keyword : {"allOf", "anyOf", "oneOf", "not", "if", "contains", "propertyNames"}) {
    const json below = std::string(keyword).ends_with("Of") ? json::array({Reference("a")}) : Reference("a");
    const json schema = {{"definitions", {{"a", {{keyword, below}}}}}, {keyword, below}};
    EXPECT_THAT(CheckSchema(schema).error().message, HasSubstr("holds itself")) << keyword;
  }
  const json depends = {{"definitions", {{"a", {{"dependencies", {{"x", Reference("a")}}}}}}},
                        {"allOf", {Reference("a")}}};
  EXPECT_THAT(CheckSchema(depends).error().message, HasSubstr("holds itself"));
  // Each level of the value would double the work.
  const json twice = {{"properties", {{"x", Reference("a")}}}};
  const json tree = {{"definitions", {{"a", {{"allOf", {twice, twice}}}}}}, {"allOf", {Reference("a")}}};
  EXPECT_THAT(CheckSchema(tree).error().message, HasSubstr("holds itself"));
}

TEST(CheckSchema, RefusesWhatItsReferencesMakeTooLarge) {
  json schema = {{"allOf", {Reference("a0")}}, {"definitions", {{"a40", {{"type", "object"}}}}}};
  for (int i = 0; i < 40; ++i) {
    const json next = Reference("a" + std::to_string(i + 1));
    schema["definitions"]["a" + std::to_string(i)] = {{"allOf", {next, next}}};
  }
  EXPECT_THAT(CheckSchema(schema).error().message, HasSubstr("parts"));
}

/// A schema of `length` definitions, each of which leads to the next.
json Chain(int length) {
  const std::string last = "a" + std::to_string(length);
  json schema = {{"allOf", {Reference("a0")}}, {"definitions", {{last, {{"type", "object"}}}}}};
  for (int i = 0; i < length; ++i) {
    schema["definitions"]["a" + std::to_string(i)] = {{"allOf", {Reference("a" + std::to_string(i + 1))}}};
  }
  return schema;
}

TEST(CheckSchema, RefusesReferencesThatNestTooDeep) {
  EXPECT_THAT(CheckSchema(Chain(4000)).error().message, HasSubstr("deeper"));
  const json longest_allowed = Chain(245);
  EXPECT_TRUE(ValidateAgainst(longest_allowed, json::object()));
  EXPECT_FALSE(ValidateAgainst(longest_allowed, 1));
}

TEST(ValidateAgainst, RunsNoRegularExpressions) {
  const json evil = {{"type", "string"}, {"pattern", "^(a+)+$"}};
  const auto began = std::chrono::steady_clock::now();
  for (const json& schema :
       {json{{"properties", {{"a", evil}}}}, json{{"dependencies", {{"properties", evil}}}}}) {
    EXPECT_TRUE(ValidateAgainst(schema, {{"a", std::string(50'000, 'a') + "!"}}));
  }
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(1));
  // What was not looked through as a schema must not become one by a reference.
  EXPECT_THAT(CheckSchema({{"definitions", evil}, {"$ref", "#/definitions"}}).error().message,
              HasSubstr("no schema"));
  EXPECT_THAT(CheckSchema({{"enum", {evil}}, {"allOf", {{{"$ref", "#/enum/0"}}}}}).error().message,
              HasSubstr("no schema"));
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
