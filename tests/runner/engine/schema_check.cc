#include "tests/runner/engine/schema_check.h"

#include <nlohmann/json.hpp>
#include <valijson/adapters/nlohmann_json_adapter.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/validation_results.hpp>
#include <valijson/validator.hpp>

#include "runner/nodes/prompt.h"

namespace ybis::runner {

std::string SchemaProblem(const std::string& name, const nlohmann::json& value) {
  using Adapter = valijson::adapters::NlohmannJsonAdapter;
  valijson::Schema schema;
  const nlohmann::json text = *BuiltInSchema(name).schema;
  valijson::SchemaParser().populateSchema(Adapter(text), schema);
  valijson::ValidationResults results;
  if (valijson::Validator().validate(schema, Adapter(value), &results)) return {};
  valijson::ValidationResults::Error error;
  std::string out = "does not fit";
  while (results.popError(error)) {
    out += "; ";
    for (const std::string& part : error.context) out += part;
    out += ": " + error.description;
  }
  return out;
}

}  // namespace ybis::runner
