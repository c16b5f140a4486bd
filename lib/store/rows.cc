#include <fmt/format.h>

#include <charconv>
#include <nlohmann/json.hpp>
#include <pqxx/pqxx>

#include "base/json.h"
#include "store/database.h"

namespace ybis::store {
namespace {

const pqxx::result& ResultOf(const void* result) { return *static_cast<const pqxx::result*>(result); }

/// Elements quoted, so that any text passes.
std::string ArrayText(const std::vector<std::string>& values) {
  std::string out = "{";
  for (const std::string& value : values) {
    if (out.size() > 1) out.push_back(',');
    out.push_back('"');
    for (const char c : value) {
      if (c == '"' || c == '\\') out.push_back('\\');
      out.push_back(c);
    }
    out.push_back('"');
  }
  return out + "}";
}

template <class Number>
Number ParseNumber(std::string_view text) {
  Number value{};
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (problem != std::errc() || end != text.data() + text.size()) {
    throw std::logic_error(fmt::format("database: '{}' is not a number", text));
  }
  return value;
}

}  // namespace

Param::Param(int64_t value) : text_(std::to_string(value)) {}
Param::Param(uint64_t value) : text_(std::to_string(value)) {}
Param::Param(double value) : text_(fmt::format("{}", value)) {}
Param::Param(TimePoint value) : text_(FormatRfc3339Micro(value)) {}
Param::Param(const std::vector<std::string>& values) : text_(ArrayText(values)) {}

Param Param::Bytes(std::string bytes) {
  Param out(std::move(bytes));
  out.binary_ = true;
  return out;
}

Param Param::Json(const nlohmann::json& value) { return {DumpJson(value)}; }

Param Param::Json(const std::shared_ptr<const nlohmann::json>& value) {
  return value ? Json(*value) : Param(nullptr);
}

Rows::Rows(std::shared_ptr<const void> result) : result_(std::move(result)) {}
size_t Rows::size() const { return ResultOf(result_.get()).size(); }
int64_t Rows::affected() const { return static_cast<int64_t>(ResultOf(result_.get()).affected_rows()); }

bool Row::IsNull(int column) const { return ResultOf(result_)[static_cast<int>(index_)][column].is_null(); }

std::string_view Row::Raw(int column) const {
  const auto field = ResultOf(result_)[static_cast<int>(index_)][column];
  return {field.c_str(), field.size()};
}

std::string Row::Text(int column) const { return std::string(Raw(column)); }
int64_t Row::Int(int column) const { return IsNull(column) ? 0 : ParseNumber<int64_t>(Raw(column)); }
double Row::Double(int column) const { return IsNull(column) ? 0 : ParseNumber<double>(Raw(column)); }
bool Row::Bool(int column) const { return Raw(column) == "t"; }

TimePoint Row::Time(int column) const {
  std::string text = Text(column);  // "2026-01-31 12:00:00.123456+00": sessions run in UTC
  if (text.size() > 22 - 3 && text.ends_with("+00")) {
    text[10] = 'T';
    text.replace(text.size() - 3, 3, "Z");
  }
  const auto time = ParseRfc3339(text);
  if (!time) throw std::logic_error("database: " + time.error().message);
  return *time;
}

std::optional<TimePoint> Row::OptionalTime(int column) const {
  if (IsNull(column)) return std::nullopt;
  return Time(column);
}

std::string Row::Bytes(int column) const {
  if (IsNull(column)) return {};
  return pqxx::binarystring(ResultOf(result_)[static_cast<int>(index_)][column]).str();
}

std::shared_ptr<const nlohmann::json> Row::Json(int column) const {
  if (IsNull(column)) return nullptr;
  return std::make_shared<const nlohmann::json>(nlohmann::json::parse(Raw(column)));
}

}  // namespace ybis::store
