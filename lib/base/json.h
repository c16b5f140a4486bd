#pragma once
// Reading JSON from outside: limits before anything is built, and readers whose errors name the path of the
// field.
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace ybis {

struct JsonLimits {
  size_t max_bytes = 4 * 1024 * 1024;
  size_t max_depth = 64;
  /// A small array or number costs many times its text in memory: "[],[],…" of 40 MB would take over 1 GB.
  size_t max_values = 1'000'000;
};

/// Parses untrusted text; size and depth are checked by SAX before a DOM is built. `source` names it in
/// errors.
Result<nlohmann::json> ParseJson(std::string_view text, std::string_view source, JsonLimits limits = {});

/// Compact text; invalid UTF-8 becomes U+FFFD instead of throwing.
std::string DumpJson(const nlohmann::json& value);
/// The same over several lines, ending in a newline.
std::string DumpJsonPretty(const nlohmann::json& value);

/// Reads the fields of one JSON object and collects what is wrong, each problem with the field's path
/// ("spec.limits.maxRepairs: must be 0 to 20"). Finish() gives them all at once, unknown fields too.
/// Not thread-safe; the json must outlive it.
class ObjectReader {
 public:
  ObjectReader(const nlohmann::json& object, std::string path);

  /// Absent or null leaves the default; a wrong type is a problem.
  std::string String(std::string_view key, std::string fallback = {});
  /// Absent, null, empty or not a string is a problem.
  std::string RequiredString(std::string_view key);
  int64_t Int(std::string_view key, int64_t fallback, int64_t min, int64_t max);
  double Number(std::string_view key, double fallback, double min, double max);
  bool Bool(std::string_view key, bool fallback);
  std::vector<std::string> Strings(std::string_view key);
  /// The value of one of `allowed`, else a problem.
  std::string Choice(std::string_view key, std::string_view fallback,
                     const std::vector<std::string_view>& allowed);
  /// The raw member, or nullptr when absent or null; marks it as known.
  const nlohmann::json* Member(std::string_view key);
  /// A member that must be an object (or absent: nullptr).
  const nlohmann::json* Object(std::string_view key);
  /// A member that must be an array (or absent: nullptr).
  const nlohmann::json* Array(std::string_view key);
  std::string PathOf(std::string_view key) const;

  /// Adds a problem of a nested reader or a check of the caller.
  void Problem(std::string text);
  void Adopt(const Status& status);
  /// Fails with every problem, joined by "; ". With `strict` unknown fields are problems too.
  Status Finish(bool strict = true);

 private:
  const nlohmann::json* object_;
  std::string path_;
  std::vector<std::string> known_;
  std::vector<std::string> problems_;
};

}  // namespace ybis
