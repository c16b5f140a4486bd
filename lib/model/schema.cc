// The adapter over valijson: the one file that knows its types (it costs half a minute to compile).
// Without this the library aborts the process over a schema it dislikes.
#define VALIJSON_USE_EXCEPTIONS 1
#include <nlohmann/json.hpp>
#include <valijson/adapters/nlohmann_json_adapter.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/validation_results.hpp>
#include <valijson/validator.hpp>

#include "model/answer.h"
#include "model/schema_shape.h"

namespace ybis::model {
namespace {

using nlohmann::json;
using valijson::adapters::NlohmannJsonAdapter;

constexpr size_t kMaxProblems = 10;

Unexpected Wrong(const std::string& what) { return Fail(ErrorCode::kInvalid, "schema: " + what); }

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
  YBIS_ASSIGN(const json safe, BoundedSchema(schema));
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
