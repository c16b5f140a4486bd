#pragma once
// Reading YAML from outside (yaml-cpp behind a guard) into JSON, keeping where every value stood.
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace ybis {

struct YamlLimits {
  size_t max_bytes = 1024 * 1024;
  size_t max_depth = 48;
  size_t max_nodes = 100'000;
};

/// One YAML document as JSON. Scalars follow the YAML 1.2 core schema (plain true/false/null/int/float;
/// quoted = string).
struct YamlDocument {
  std::shared_ptr<const nlohmann::json> value;
  std::string source;
  std::map<std::string, int> lines;  ///< JSON pointer ("/nodes/0/type") to line, from 1

  /// "file.yaml:12" for a pointer; the nearest known parent's line when the field is absent.
  std::string Where(std::string_view pointer) const;
};

/// Parses every document of a text. Aliases, anchors, tags, merge keys, duplicate keys, non-scalar keys, NUL
/// bytes and anything over the limits are refused with file and line, before a tree is built.
Result<std::vector<YamlDocument>> ParseYamlDocuments(std::string_view text, std::string_view source,
                                                     YamlLimits limits = {});
/// The same where exactly one document is expected.
Result<YamlDocument> ParseYaml(std::string_view text, std::string_view source, YamlLimits limits = {});

}  // namespace ybis
