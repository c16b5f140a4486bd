// The adapter over valijson: the one file that knows its types (it costs half a minute to compile).
// Without this the library aborts the process over a schema it dislikes.
#define VALIJSON_USE_EXCEPTIONS 1
#include <nlohmann/json.hpp>
#include <valijson/adapters/nlohmann_json_adapter.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/validation_results.hpp>
#include <valijson/validator.hpp>

#include "base/json.h"
#include "model/answer.h"

namespace ybis::model {
namespace {

using nlohmann::json;
using valijson::adapters::NlohmannJsonAdapter;

constexpr size_t kMaxProblems = 10;
constexpr size_t kMaxSchema = 256 * 1024;
constexpr int kMaxHops = 16;

Unexpected Wrong(const std::string& what) { return Fail(ErrorCode::kInvalid, "schema: " + what); }

/// Follows a chain of references to its end.
Status CheckReference(const json& root, const std::string& reference) {
  std::string next = reference;
  for (int hop = 0; hop < kMaxHops; ++hop) {
    if (!next.starts_with("#/"))
      return Wrong(fmt::format("'$ref': '{}' is not within the schema", next.substr(0, 100)));
    const json* target = nullptr;
    try {
      const json::json_pointer pointer(next.substr(1));
      if (root.contains(pointer)) target = &root.at(pointer);
    } catch (const json::exception&) {
    }
    if (target == nullptr) return Wrong(fmt::format("'$ref': '{}' leads nowhere", next.substr(0, 100)));
    const auto further = target->is_object() ? target->find("$ref") : target->end();
    if (!target->is_object() || further == target->end()) return {};
    if (!further->is_string()) return Wrong("'$ref' must be a string");
    next = further->get<std::string>();
  }
  return Wrong(fmt::format("'$ref': '{}' goes round in circles", reference.substr(0, 100)));
}

Status CheckNode(const json& root, const json& node) {
  if (node.is_object()) {
    const auto reference = node.find("$ref");
    if (reference != node.end() && reference->is_string())
      YBIS_TRY(CheckReference(root, reference->get<std::string>()));
  }
  if (!node.is_structured()) return {};
  for (const json& child : node) YBIS_TRY(CheckNode(root, child));
  return {};
}

/// Without the keywords that run regular expressions. A property that happens to have such a name stays.
json WithoutPatterns(const json& node, bool is_map_of_schemas = false) {
  if (node.is_array()) {
    json out = json::array();
    for (const json& child : node) out.push_back(WithoutPatterns(child));
    return out;
  }
  if (!node.is_object()) return node;
  json out = json::object();
  for (const auto& [key, child] : node.items()) {
    if (!is_map_of_schemas && (key == "pattern" || key == "patternProperties" || key == "format")) continue;
    if (!is_map_of_schemas && (key == "enum" || key == "const" || key == "default" || key == "examples")) {
      out[key] = child;
      continue;
    }
    const bool map = !is_map_of_schemas && (key == "properties" || key == "definitions" || key == "$defs");
    out[key] = WithoutPatterns(child, map);
  }
  return out;
}

std::string Place(const std::vector<std::string>& context) {
  std::string place;
  for (const std::string& part : context) {
    if (part != "<root>") place += part;
  }
  return place.empty() ? "the whole" : place;
}

std::string Problems(valijson::ValidationResults& results) {
  std::vector<std::string> problems;
  valijson::ValidationResults::Error error;
  while (problems.size() < kMaxProblems && results.popError(error)) {
    problems.push_back(fmt::format("{}: {}", Place(error.context), error.description));
  }
  return fmt::format("{}", fmt::join(problems, "; "));
}

Status Populate(const json& schema, valijson::Schema& out) {
  if (!schema.is_object()) return Wrong("must be an object");
  if (DumpJson(schema).size() > kMaxSchema) return Wrong(fmt::format("longer than {} bytes", kMaxSchema));
  YBIS_TRY(CheckNode(schema, schema));
  const json safe = WithoutPatterns(schema);
  try {
    valijson::SchemaParser(valijson::SchemaParser::kDraft7).populateSchema(NlohmannJsonAdapter(safe), out);
  } catch (const std::exception& failure) {
    return Wrong(failure.what());
  }
  return {};
}

}  // namespace

Status CheckSchema(const json& schema) {
  valijson::Schema parsed;
  return Populate(schema, parsed);
}

Status ValidateAgainst(const json& schema, const json& value) {
  valijson::Schema parsed;
  YBIS_TRY(Populate(schema, parsed));
  try {
    valijson::ValidationResults results;
    valijson::Validator validator(valijson::Validator::kStrongTypes);
    if (validator.validate(parsed, NlohmannJsonAdapter(value), &results)) return {};
    return Fail(ErrorCode::kInvalid, Problems(results));
  } catch (const std::exception& failure) {
    return Wrong(failure.what());
  }
}

}  // namespace ybis::model
