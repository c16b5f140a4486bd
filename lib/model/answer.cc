#include "model/answer.h"

#include <nlohmann/json.hpp>

#include "base/json.h"

namespace ybis::model {
namespace {

constexpr JsonLimits kLimits{.max_bytes = 8 * 1024 * 1024, .max_depth = 64};

std::string_view Trim(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

/// The inside of the first ``` block, whatever language it names. A fence counts at the start of a line only,
/// since the strings of an answer may hold fences too.
std::string_view Fenced(std::string_view text) {
  const size_t open = text.starts_with("```") ? 0 : text.find("\n```");
  if (open == std::string_view::npos) return {};
  const size_t line_end = text.find('\n', open + 1);
  if (line_end == std::string_view::npos) return {};
  const size_t close = text.find("\n```", line_end);
  return text.substr(line_end + 1, close == std::string_view::npos ? close : close - line_end - 1);
}

std::string_view Braced(std::string_view text) {
  const size_t first = text.find('{');
  const size_t last = text.rfind('}');
  if (first == std::string_view::npos || last == std::string_view::npos || last < first) return {};
  return text.substr(first, last - first + 1);
}

}  // namespace

Result<nlohmann::json> ExtractJson(std::string_view text) {
  const std::string_view trimmed = Trim(text);
  if (trimmed.empty()) return Fail(ErrorCode::kInvalid, "the answer is empty");
  Error first_problem;
  for (const std::string_view candidate : {trimmed, Trim(Fenced(trimmed)), Braced(trimmed)}) {
    if (candidate.empty()) continue;
    auto value = ParseJson(candidate, "the answer", kLimits);
    if (value && value->is_object()) return value;
    if (candidate.data() == trimmed.data() && trimmed.front() != '{') continue;
    if (first_problem.message.empty()) {
      first_problem =
          value ? Fail(ErrorCode::kInvalid, "the answer is not a JSON object").value() : value.error();
    }
  }
  if (first_problem.message.empty()) return Fail(ErrorCode::kInvalid, "the answer holds no JSON object");
  return Fail(std::move(first_problem));
}

}  // namespace ybis::model
