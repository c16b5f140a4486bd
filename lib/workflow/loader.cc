#include "workflow/loader.h"

#include <nlohmann/json.hpp>

#include "base/yaml.h"
#include "workflow/graph.h"

namespace ybis::workflow {

/// The built-in files by name; made at build from configs/workflows (ybis_embed).
std::string_view BuiltInFile(std::string_view name);

namespace {

using nlohmann::json;

constexpr std::pair<const char*, const char*> kFileKeys[] = {{"entry_point", "entryPoint"},
                                                             {"exit_points", "exitPoints"},
                                                             {"max_visits", "maxVisits"},
                                                             {"timeout_seconds", "timeoutSeconds"}};

/// The file form's snake_case keys as the CR has them.
void Rename(json& object) {
  for (const auto& [from, to] : kFileKeys) {
    if (!object.contains(from)) continue;
    object[to] = std::move(object[from]);
    object.erase(from);
  }
}

json ToSpecForm(const json& document) {
  if (document.is_object() && document.value("kind", json()) == "YbisWorkflow" && document.contains("spec")) {
    json spec = document["spec"];
    const json name = document.value(json::json_pointer("/metadata/name"), json());
    if (spec.is_object() && name.is_string()) spec["name"] = name;
    return spec;
  }
  json spec = document;
  if (!spec.is_object()) return spec;
  Rename(spec);
  if (spec.contains("nodes") && spec["nodes"].is_array()) {
    for (json& node : spec["nodes"]) {
      if (node.is_object()) Rename(node);
    }
  }
  return spec;
}

/// "file:12: nodes[2] 'x': …" where the problem names a node, else "file: …".
std::string Located(const YamlDocument& document, const std::string& problem) {
  size_t index = 0;
  if (std::sscanf(problem.c_str(), "nodes[%zu]", &index) == 1) {
    for (const char* prefix : {"/nodes/", "/spec/nodes/"}) {
      const std::string pointer = prefix + std::to_string(index);
      if (document.lines.contains(pointer)) return document.Where(pointer) + ": " + problem;
    }
  }
  return document.source + ": " + problem;
}

}  // namespace

Result<api::WorkflowSpec> LoadWorkflow(std::string_view yaml, std::string_view source) {
  YBIS_ASSIGN(const YamlDocument document, ParseYaml(yaml, source));
  auto spec = api::ParseWorkflowSpec(ToSpecForm(*document.value), "", "");
  if (!spec) return Fail(spec.error().code, Located(document, spec.error().message));
  std::vector<std::string> problems = Validate(*spec);
  if (problems.empty()) return std::move(*spec);
  for (std::string& problem : problems) problem = Located(document, problem);
  return Fail(ErrorCode::kInvalid, fmt::format("{}", fmt::join(problems, "; ")));
}

std::vector<std::string> BuiltInWorkflowNames() { return {"self-improve", "ybis-native"}; }

Result<api::WorkflowSpec> BuiltInWorkflow(std::string_view name) {
  const std::string wanted = name == "ybis_native" ? "ybis-native" : std::string(name);
  const std::string_view text = BuiltInFile(wanted + ".yaml");
  if (text.empty()) {
    return Fail(ErrorCode::kNotFound,
                fmt::format("workflow '{}' is neither built in ({}) nor a YbisWorkflow", name.substr(0, 253),
                            fmt::join(BuiltInWorkflowNames(), ", ")));
  }
  return LoadWorkflow(text, wanted + ".yaml");
}

}  // namespace ybis::workflow
