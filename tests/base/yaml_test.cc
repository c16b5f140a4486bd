#include "base/yaml.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace ybis {
namespace {

using nlohmann::json;

std::string ErrorOf(const std::string& text) {
  const auto result = ParseYaml(text, "w.yaml");
  return result ? "" : result.error().message;
}

TEST(ParseYaml, GivesScalarsTheirTypes) {
  const auto document = ParseYaml(
      "a: 1\nb: '1'\nc: true\nd: yes\ne: 1.5\nf: ~\ng:\nh: [x, 2]\ni: {}\nj: 1.2.3\nk: -7\nl: 0x1F\n",
      "w.yaml");
  ASSERT_TRUE(document) << document.error().message;
  EXPECT_EQ(
      *document->value,
      json::parse(
          R"({"a":1,"b":"1","c":true,"d":"yes","e":1.5,"f":null,"g":null,"h":["x",2],"i":{},"j":"1.2.3","k":-7,"l":31})"));
}

TEST(ParseYaml, KnowsTheLineOfEveryValue) {
  const auto document = ParseYaml("name: x\nnodes:\n  - name: a\n    type: gate\n  - name: b\n", "w.yaml");
  ASSERT_TRUE(document);
  EXPECT_EQ(document->Where("/nodes/0/type"), "w.yaml:4");
  EXPECT_EQ(document->Where("/nodes/1/type"), "w.yaml:5");
  EXPECT_EQ(document->Where("/nodes/1"), "w.yaml:5");
}

TEST(ParseYaml, RefusesWhatCouldExplodeOrMislead) {
  EXPECT_EQ(ErrorOf("a: &x [1]\nb: *x\n"), "w.yaml:1: anchors (&name) are not allowed; write the value out");
  EXPECT_EQ(ErrorOf("a: 1\nb: 2\na: 3\n"), "w.yaml:3: the key 'a' stands twice");
  EXPECT_EQ(ErrorOf("<<: {a: 1}\n"), "w.yaml:1: merge keys (<<) are not allowed; write the values out");
  EXPECT_EQ(ErrorOf("a: !!python/object x\n").substr(0, 17), "w.yaml:1: the tag");
  EXPECT_EQ(ErrorOf("[1, 2]: x\n"), "w.yaml:1: a key must be a string");
  EXPECT_NE(ErrorOf("a: 1\n---\nb: 2\n").find("holds 2 documents"), std::string::npos);
  EXPECT_EQ(ErrorOf(""), "w.yaml: is empty");
  EXPECT_NE(ErrorOf("a: [1\nb: 2"), "");
  EXPECT_NE(ErrorOf(std::string("a: \0b", 5)).find("NUL"), std::string::npos);
}

TEST(ParseYaml, RefusesWhatCanBeginNoDocument) {
  EXPECT_EQ(ErrorOf("# A comment\n, a: 1\n"), "w.yaml:2: not YAML: this can begin no document");
  EXPECT_NE(ErrorOf("a: 1\n...\n]\n"), "");
  EXPECT_NE(ErrorOf("---\n---\n").find("holds 2 documents"), std::string::npos);
}

TEST(ParseYaml, RefusesDepthWithoutOverflowingTheStack) {
  EXPECT_NE(ErrorOf(std::string(200'000, '[')).find("nested deeper"), std::string::npos);
  std::string indented;
  for (int i = 0; i < 900; ++i) indented += std::string(static_cast<size_t>(i), ' ') + "a:\n";
  EXPECT_NE(ErrorOf(indented).find("nested deeper"), std::string::npos);
  EXPECT_NE(ErrorOf("a: " + std::string(60, '[') + std::string(60, ']')).find("nested deeper than 48"),
            std::string::npos);
}

}  // namespace
}  // namespace ybis
