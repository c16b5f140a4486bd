#include "model/schema_shape.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "base/json.h"

namespace ybis::model {
namespace {

using nlohmann::json;

constexpr size_t kMaxSchema = 256 * 1024;
constexpr int kMaxHops = 16;
/// Of all that a judgement of one value may visit.
constexpr size_t kMaxExpanded = 100'000;
/// Levels of all that references lead to, one below the other: the library descends by recursion.
constexpr size_t kMaxLevels = 1'000;

/// What a place in a schema is. The library takes whatever a reference leads to for a schema, so only what
/// was checked as one may be led to.
enum class Role { kSchema, kMap, kData };

template <size_t N>
bool IsOneOf(std::string_view key, const std::array<std::string_view, N>& names) {
  return std::find(names.begin(), names.end(), key) != names.end();
}

Role RoleOf(Role parent, std::string_view key) {
  constexpr std::array<std::string_view, 4> kMaps = {"properties", "definitions", "$defs", "dependencies"};
  constexpr std::array<std::string_view, 4> kData = {"enum", "const", "default", "examples"};
  if (parent == Role::kData) return Role::kData;
  if (parent == Role::kMap) return Role::kSchema;
  if (IsOneOf(key, kMaps)) return Role::kMap;
  return IsOneOf(key, kData) ? Role::kData : Role::kSchema;
}

/// Keywords whose schemas judge the very value that the schema around them judges, or a value once more.
bool JudgesAgain(std::string_view key) {
  constexpr std::array<std::string_view, 10> kNames = {
      "allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependencies", "contains", "propertyNames"};
  return IsOneOf(key, kNames);
}

Unexpected Wrong(const std::string& what) { return Fail(ErrorCode::kInvalid, "schema: " + what); }

std::string Quoted(const std::string& reference) {
  return fmt::format("'$ref': '{}'", reference.substr(0, 100));
}

/// Without the keywords that run regular expressions. A property that happens to have such a name stays.
json WithoutPatterns(const json& node, Role role = Role::kSchema) {
  if (role == Role::kData || !node.is_structured()) return node;
  json out = node.is_array() ? json::array() : json::object();
  if (node.is_array()) {
    for (const json& child : node) out.push_back(WithoutPatterns(child));
    return out;
  }
  for (const auto& [key, child] : node.items()) {
    const bool is_pattern = key == "pattern" || key == "patternProperties" || key == "format";
    if (role != Role::kSchema || !is_pattern) out[key] = WithoutPatterns(child, RoleOf(role, key));
  }
  return out;
}

/// One step of a reference: the schema that it names.
Result<const json*> TargetOf(const json& root, const std::string& reference) {
  if (!reference.starts_with("#/")) return Wrong(Quoted(reference) + " is not within the schema");
  const json* target = nullptr;
  Role role = Role::kSchema;
  try {
    json::json_pointer pointer(reference.substr(1));
    if (root.contains(pointer)) target = &root.at(pointer);
    std::vector<std::string> names;
    for (; !pointer.empty(); pointer.pop_back()) names.push_back(pointer.back());
    const json* parent = &root;
    for (auto name = names.rbegin(); target != nullptr && name != names.rend(); ++name) {
      role = parent->is_array() && role != Role::kData ? Role::kSchema : RoleOf(role, *name);
      parent = parent->is_array() ? &parent->at(std::stoul(*name)) : &parent->at(*name);
    }
  } catch (const json::exception&) {
    target = nullptr;
  }
  if (target == nullptr) return Wrong(Quoted(reference) + " leads nowhere");
  if (role != Role::kSchema) return Wrong(Quoted(reference) + " leads to what is no schema");
  return target;
}

/// The end of a chain of references.
Result<const json*> FinalTarget(const json& root, const std::string& reference) {
  std::string next = reference;
  for (int hop = 0; hop < kMaxHops; ++hop) {
    YBIS_ASSIGN(const json* target, TargetOf(root, next));
    const auto further = target->is_object() ? target->find("$ref") : target->end();
    if (!target->is_object() || further == target->end()) return target;
    if (!further->is_string()) return Wrong("'$ref' must be a string");
    next = further->get<std::string>();
  }
  return Wrong(Quoted(reference) + " goes round in circles");
}

/// The references of a schema as a graph whose points are the schemas that they lead to.
class References {
 public:
  explicit References(const json& root) : root_(root) {}

  Status Check() {
    YBIS_TRY(Add(root_));
    // More targets are found while the list is walked; all of them lie within the root, so it ends.
    for (size_t i = 0; i < found_.size(); ++i) YBIS_TRY(Add(*found_[i]));
    const size_t expanded = Expand(root_);
    if (is_cyclic_ && judges_again_) {
      return Wrong(
          "a schema that holds itself must have no '$ref' below allOf, anyOf, oneOf, not, if, then, else, "
          "dependencies, contains or propertyNames");
    }
    return !is_cyclic_ && expanded > kMaxExpanded ? TooLarge() : Status();
  }

 private:
  struct Point {
    size_t size = 0;
    size_t levels = 0;
    std::vector<const json*> targets;
    bool open = false;
    std::optional<size_t> expanded;
  };

  static Status TooLarge() {
    return Wrong(fmt::format("with its references it has more than {} parts", kMaxExpanded));
  }

  Status Add(const json& node) {
    const auto [at, is_new] = points_.try_emplace(&node);
    if (!is_new) return {};
    YBIS_TRY(Walk(node, {}, at->second));
    levels_ += at->second.levels;
    parts_ += at->second.size;
    if (levels_ > kMaxLevels) {
      return Wrong(fmt::format("its references nest deeper than {} levels", kMaxLevels));
    }
    return parts_ > kMaxExpanded ? TooLarge() : Status();
  }

  /// Where in the schema around it a place is.
  struct Place {
    Role role = Role::kSchema;
    bool again = false;   ///< below a keyword that judges a value again
    bool stored = false;  ///< in a definition: it judges nothing until a reference leads there
    size_t level = 1;
  };

  Status Walk(const json& node, const Place& place, Point& point) {
    ++point.size;
    point.levels = std::max(point.levels, place.level);
    if (!node.is_structured()) return {};
    Place below = place;
    ++below.level;
    if (node.is_array()) {
      if (place.role == Role::kMap) below.role = Role::kSchema;
      for (const json& child : node) YBIS_TRY(Walk(child, below, point));
      return {};
    }
    for (const auto& [key, child] : node.items()) {
      const bool is_keyword = place.role == Role::kSchema;
      if (is_keyword && key == "$ref" && child.is_string()) {
        YBIS_ASSIGN(const json* target, FinalTarget(root_, child.get_ref<const std::string&>()));
        if (!place.stored) point.targets.push_back(target);
        found_.push_back(target);
        judges_again_ = judges_again_ || place.again;
      }
      below.role = RoleOf(place.role, key);
      below.again = place.again || (is_keyword && JudgesAgain(key));
      below.stored = place.stored || (is_keyword && (key == "definitions" || key == "$defs"));
      YBIS_TRY(Walk(child, below, point));
    }
    return {};
  }

  /// How many parts a schema has with all that it refers to; notes when it refers to itself.
  size_t Expand(const json& node) {
    Point& point = points_.at(&node);
    if (point.expanded) return *point.expanded;
    if (point.open) {
      is_cyclic_ = true;
      return 0;
    }
    point.open = true;
    size_t sum = point.size;
    for (const json* target : point.targets) sum = std::min(sum + Expand(*target), kMaxExpanded + 1);
    point.open = false;
    point.expanded = sum;
    return sum;
  }

  const json& root_;
  std::map<const json*, Point> points_;
  std::vector<const json*> found_;
  size_t levels_ = 0;
  size_t parts_ = 0;
  bool is_cyclic_ = false;
  bool judges_again_ = false;
};

}  // namespace

Result<json> BoundedSchema(const json& schema) {
  if (!schema.is_object()) return Wrong("must be an object");
  if (DumpJson(schema).size() > kMaxSchema) return Wrong(fmt::format("longer than {} bytes", kMaxSchema));
  json safe = WithoutPatterns(schema);
  YBIS_TRY(References(safe).Check());
  return safe;
}

}  // namespace ybis::model
