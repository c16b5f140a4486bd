#include "base/json.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace ybis {
namespace {

TEST(ParseJson, RefusesMoreValuesThanAreAllowed) {
  const auto result = ParseJson("[[],[],1,\"a\",{\"k\":null}]", "body", {.max_values = 6});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().message, "body: more than 6 values");
  EXPECT_TRUE(ParseJson("[[],[],1,\"a\",{\"k\":null}]", "body", {.max_values = 7}));
}

TEST(ParseJson, RefusesDepthBeforeBuilding) {
  const std::string deep(200'000, '[');
  const auto result = ParseJson(deep, "body");
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().message, "body: nested deeper than 64 levels");
}

TEST(ParseJson, NamesTheByteOfASyntaxError) {
  const auto result = ParseJson(R"({"a": tru})", "answer");
  ASSERT_FALSE(result);
  EXPECT_NE(result.error().message.find("answer: not JSON at byte 10"), std::string::npos)
      << result.error().message;
}

TEST(ParseJson, RefusesMoreThanTheLimit) {
  EXPECT_EQ(ParseJson("[1,2,3]", "x", {.max_bytes = 3}).error().code, ErrorCode::kTooLarge);
}

TEST(ObjectReader, CollectsEveryProblemWithItsPath) {
  const auto value =
      nlohmann::json::parse(R"({"name": 3, "count": 99, "mode": "fast", "extra": 1, "tags": ["a", 2]})");
  ObjectReader reader(value, "spec");
  reader.RequiredString("name");
  reader.RequiredString("title");
  reader.Int("count", 1, 0, 10);
  reader.Choice("mode", "slow", {"slow", "safe"});
  reader.Strings("tags");
  const Status status = reader.Finish();
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().message,
            "spec.name: must be a string, is number; spec.title: is required; spec.count: must be a whole "
            "number from 0 "
            "to 10; spec.mode: must be one of slow, safe; spec.tags[1]: must be a string, is number; "
            "spec.extra: unknown "
            "field");
}

TEST(ObjectReader, SaysWhenItIsNoObject) {
  const nlohmann::json value = 3;
  EXPECT_EQ(ObjectReader(value, "spec").Finish().error().message, "spec: must be an object, is number");
}

TEST(ObjectReader, RefusesIntegersThatDoNotFit) {
  const auto value = nlohmann::json::parse(R"({"n": 18446744073709551615})");
  ObjectReader reader(value, "");
  reader.Int("n", 0, 0, INT64_MAX);
  EXPECT_FALSE(reader.Finish());
}

TEST(DumpJson, ReplacesInvalidUtf8) { EXPECT_EQ(DumpJson("a\xff"), "\"a\xEF\xBF\xBD\""); }

}  // namespace
}  // namespace ybis
