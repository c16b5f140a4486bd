// The schemas of crds/: nothing that somebody may write is without a bound, and nothing without a word about
// it.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/yaml.h"
#include "tests/support/source_dir.h"

namespace ybis::api {
namespace {

using nlohmann::json;

json ReadCrd(const std::string& plural) {
  const std::string name = "ybis.dev_" + plural + ".yaml";
  return *ParseYaml(ReadFile(testing::SourceDir() + "/crds/" + name).value(), name).value().value;
}

/// What the schema's type leaves open, or "".
std::string Unbounded(const json& schema) {
  const std::string type = schema.value("type", "");
  const auto has = [&](const char* key) { return schema.contains(key); };
  if (type == "string" && !has("maxLength") && !has("enum") && !has("format")) return "maxLength";
  if (type == "array" && !has("maxItems")) return "maxItems";
  if (type == "object" && !has("properties") && !has("maxProperties")) return "maxProperties";
  const bool anything = type.empty() && !schema.value("x-kubernetes-int-or-string", false);
  if (anything && (!has("maxLength") || !has("maxProperties"))) return "maxLength or maxProperties";
  return {};
}

/// Looks at a schema and all beneath it.
void Check(const json& schema, const std::string& path, bool is_property) {
  EXPECT_EQ(Unbounded(schema), "") << path << " lacks it";
  EXPECT_TRUE(!is_property || schema.contains("description")) << path << " has no description";
  const json properties = schema.value("properties", json::object());
  for (const auto& [name, property] : properties.items()) Check(property, path + "." + name, true);
  if (schema.contains("items")) Check(schema["items"], path + "[]", false);
  const auto values = schema.find("additionalProperties");
  if (values != schema.end() && values->is_object()) Check(*values, path + "{}", false);
}

class Crds : public ::testing::TestWithParam<const char*> {
 protected:
  json crd_ = ReadCrd(GetParam());
};

TEST_P(Crds, BoundAndDescribeEveryField) {
  for (const json& version : crd_["spec"]["versions"]) {
    const json& root = version["schema"]["openAPIV3Schema"];
    EXPECT_NE(root.value("description", ""), "");
    // The others of an object (apiVersion, kind, metadata) are bounded by the API server itself.
    for (const char* part : {"spec", "status"}) Check(root["properties"][part], part, true);
  }
}

TEST_P(Crds, AreShownByKubectlWithColumnsThatAreDescribed) {
  EXPECT_EQ(crd_["spec"]["names"]["categories"], json::array({"ybis"}));
  for (const json& version : crd_["spec"]["versions"]) {
    for (const json& column : version["additionalPrinterColumns"])
      EXPECT_NE(column.value("description", ""), "") << column["name"];
  }
}

INSTANTIATE_TEST_SUITE_P(All, Crds, ::testing::Values("ybistasks", "ybisworkflows", "ybisapprovals"));

}  // namespace
}  // namespace ybis::api
