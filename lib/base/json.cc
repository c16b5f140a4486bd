#include "base/json.h"

#include <cmath>
#include <nlohmann/json.hpp>

namespace ybis {
namespace {

using nlohmann::json;

/// Counts depth and values while parsing, and keeps where and why a text is not JSON.
class ShapeCheck final : public nlohmann::json_sax<json> {
 public:
  explicit ShapeCheck(const JsonLimits& limits) : limits_(limits) {}
  bool null() override { return Count(); }
  bool boolean(bool) override { return Count(); }
  bool number_integer(number_integer_t) override { return Count(); }
  bool number_unsigned(number_unsigned_t) override { return Count(); }
  bool number_float(number_float_t, const string_t&) override { return Count(); }
  bool string(string_t&) override { return Count(); }
  bool binary(binary_t&) override { return Count(); }
  bool start_object(std::size_t) override { return Enter(); }
  bool key(string_t&) override { return true; }
  bool end_object() override { return Leave(); }
  bool start_array(std::size_t) override { return Enter(); }
  bool end_array() override { return Leave(); }
  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception& error) override {
    problem_ = fmt::format("not JSON at byte {}: {}", position, Reason(error.what()));
    return false;
  }
  const std::string& problem() const { return problem_; }

 private:
  bool Count() {
    if (++values_ <= limits_.max_values) return true;
    problem_ = fmt::format("more than {} values", limits_.max_values);
    return false;
  }
  bool Enter() {
    if (++depth_ <= limits_.max_depth) return Count();
    problem_ = fmt::format("nested deeper than {} levels", limits_.max_depth);
    return false;
  }
  bool Leave() {
    --depth_;
    return true;
  }
  /// The library's text without its own prefix, short enough for a log line.
  static std::string Reason(std::string_view what) {
    const size_t colon = what.find(": ");
    return std::string(what.substr(colon == std::string_view::npos ? 0 : colon + 2)).substr(0, 200);
  }
  JsonLimits limits_;
  size_t depth_ = 0;
  size_t values_ = 0;
  std::string problem_;
};

}  // namespace

Result<json> ParseJson(std::string_view text, std::string_view source, JsonLimits limits) {
  if (text.size() > limits.max_bytes) {
    return Fail(ErrorCode::kTooLarge,
                fmt::format("{}: {} bytes, more than the {} allowed", source, text.size(), limits.max_bytes));
  }
  ShapeCheck check(limits);
  if (!json::sax_parse(text.begin(), text.end(), &check)) {
    return Fail(ErrorCode::kInvalid, fmt::format("{}: {}", source, check.problem()));
  }
  json value = json::parse(text.begin(), text.end(), nullptr, false);
  if (value.is_discarded()) return Fail(ErrorCode::kInvalid, fmt::format("{}: not JSON", source));
  return value;
}

std::string DumpJson(const json& value) { return value.dump(-1, ' ', false, json::error_handler_t::replace); }

std::string DumpJsonPretty(const json& value) {
  return value.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

ObjectReader::ObjectReader(const json& object, std::string path) : object_(&object), path_(std::move(path)) {
  if (!object.is_object())
    Problem(fmt::format("{}: must be an object, is {}", path_.empty() ? "it" : path_, object.type_name()));
}

std::string ObjectReader::PathOf(std::string_view key) const {
  return path_.empty() ? std::string(key) : fmt::format("{}.{}", path_, key);
}

const json* ObjectReader::Member(std::string_view key) {
  known_.emplace_back(key);
  if (!object_->is_object()) return nullptr;
  const auto it = object_->find(std::string(key));
  return it == object_->end() || it->is_null() ? nullptr : &*it;
}

std::string ObjectReader::String(std::string_view key, std::string fallback) {
  const json* value = Member(key);
  if (value == nullptr) return fallback;
  if (!value->is_string()) {
    Problem(fmt::format("{}: must be a string, is {}", PathOf(key), value->type_name()));
    return fallback;
  }
  return value->get<std::string>();
}

std::string ObjectReader::RequiredString(std::string_view key) {
  const size_t before = problems_.size();
  std::string value = String(key);
  if (value.empty() && problems_.size() == before) Problem(fmt::format("{}: is required", PathOf(key)));
  return value;
}

int64_t ObjectReader::Int(std::string_view key, int64_t fallback, int64_t min, int64_t max) {
  const json* value = Member(key);
  if (value == nullptr) return fallback;
  const bool overflow =
      value->is_number_unsigned() && value->get<uint64_t>() > static_cast<uint64_t>(INT64_MAX);
  if (!value->is_number_integer() || overflow || value->get<int64_t>() < min || value->get<int64_t>() > max) {
    Problem(fmt::format("{}: must be a whole number from {} to {}", PathOf(key), min, max));
    return fallback;
  }
  return value->get<int64_t>();
}

double ObjectReader::Number(std::string_view key, double fallback, double min, double max) {
  const json* value = Member(key);
  if (value == nullptr) return fallback;
  if (!value->is_number() || !std::isfinite(value->get<double>()) || value->get<double>() < min ||
      value->get<double>() > max) {
    Problem(fmt::format("{}: must be a number from {} to {}", PathOf(key), min, max));
    return fallback;
  }
  return value->get<double>();
}

bool ObjectReader::Bool(std::string_view key, bool fallback) {
  const json* value = Member(key);
  if (value == nullptr) return fallback;
  if (!value->is_boolean()) {
    Problem(fmt::format("{}: must be true or false, is {}", PathOf(key), value->type_name()));
    return fallback;
  }
  return value->get<bool>();
}

std::vector<std::string> ObjectReader::Strings(std::string_view key) {
  std::vector<std::string> out;
  const json* values = Array(key);
  if (values == nullptr) return out;
  for (size_t i = 0; i < values->size(); ++i) {
    if ((*values)[i].is_string()) {
      out.push_back((*values)[i].get<std::string>());
    } else {
      Problem(fmt::format("{}[{}]: must be a string, is {}", PathOf(key), i, (*values)[i].type_name()));
    }
  }
  return out;
}

std::string ObjectReader::Choice(std::string_view key, std::string_view fallback,
                                 const std::vector<std::string_view>& allowed) {
  std::string value = String(key, std::string(fallback));
  if (std::find(allowed.begin(), allowed.end(), value) != allowed.end()) return value;
  Problem(fmt::format("{}: must be one of {}", PathOf(key), fmt::join(allowed, ", ")));
  return std::string(fallback);
}

const json* ObjectReader::Object(std::string_view key) {
  const json* value = Member(key);
  if (value == nullptr || value->is_object()) return value;
  Problem(fmt::format("{}: must be an object, is {}", PathOf(key), value->type_name()));
  return nullptr;
}

const json* ObjectReader::Array(std::string_view key) {
  const json* value = Member(key);
  if (value == nullptr || value->is_array()) return value;
  Problem(fmt::format("{}: must be a list, is {}", PathOf(key), value->type_name()));
  return nullptr;
}

void ObjectReader::Problem(std::string text) { problems_.push_back(std::move(text)); }

void ObjectReader::Adopt(const Status& status) {
  if (!status) problems_.push_back(status.error().message);
}

Status ObjectReader::Finish(bool strict) {
  if (strict && object_->is_object()) {
    for (const auto& [key, value] : object_->items()) {
      if (std::find(known_.begin(), known_.end(), key) == known_.end()) {
        Problem(fmt::format("{}: unknown field", PathOf(key.substr(0, 100))));
      }
    }
  }
  if (problems_.empty()) return {};
  return Fail(ErrorCode::kInvalid, fmt::format("{}", fmt::join(problems_, "; ")));
}

}  // namespace ybis
