#include "api/workflow.h"

#include <nlohmann/json.hpp>

#include "base/json.h"

namespace ybis::api {
namespace {

using nlohmann::json;

constexpr size_t kMaxNodes = 100;
constexpr size_t kMaxEdges = 16;

std::optional<When> ReadWhen(const json& object, const std::string& path, ObjectReader& parent) {
  ObjectReader reader(object, path);
  When when;
  when.path = reader.RequiredString("path");
  const std::pair<const char*, When::Op> operators[] = {
      {"equals", When::Op::kEquals}, {"in", When::Op::kIn}, {"exists", When::Op::kExists}};
  int given = 0;
  for (const auto& [name, op] : operators) {
    const json* value = reader.Member(name);
    if (value == nullptr) continue;
    ++given;
    when.op = op;
    when.value = std::make_shared<json>(*value);
    const bool good = op == When::Op::kIn       ? value->is_array() && !value->empty()
                      : op == When::Op::kExists ? value->is_boolean()
                                                : value->is_primitive();
    if (!good)
      reader.Problem(
          fmt::format("{}: equals takes a scalar, in a list, exists true or false", reader.PathOf(name)));
  }
  if (given != 1) reader.Problem(path + ": needs exactly one of equals, in, exists");
  parent.Adopt(reader.Finish());
  return when;
}

/// A name alone, or {to, when}.
std::vector<Edge> ReadEdges(ObjectReader& reader) {
  std::vector<Edge> edges;
  const json* list = reader.Array("next");
  if (list == nullptr) return edges;
  if (list->size() > kMaxEdges)
    reader.Problem(fmt::format("{}: may hold at most {} edges", reader.PathOf("next"), kMaxEdges));
  for (size_t i = 0; i < list->size(); ++i) {
    const std::string path = fmt::format("{}[{}]", reader.PathOf("next"), i);
    const json& item = (*list)[i];
    if (item.is_string()) {
      edges.push_back({item.get<std::string>(), std::nullopt});
      continue;
    }
    ObjectReader edge(item, path);
    Edge out{edge.RequiredString("to"), std::nullopt};
    if (const json* when = edge.Object("when")) out.when = ReadWhen(*when, path + ".when", edge);
    reader.Adopt(edge.Finish());
    edges.push_back(std::move(out));
  }
  return edges;
}

NodeSpec ReadNode(const json& object, const std::string& path, ObjectReader& parent) {
  ObjectReader reader(object, path);
  NodeSpec node;
  node.name = reader.RequiredString("name");
  node.type = reader.RequiredString("type");
  if (node.name.size() > 63) reader.Problem(path + ".name: may be at most 63 characters long");
  node.next = ReadEdges(reader);
  const json* config = reader.Object("config");
  node.config = std::make_shared<json>(config != nullptr ? *config : json::object());
  node.timeout_seconds = reader.Int("timeoutSeconds", 0, 0, 604'800);
  node.max_visits = reader.Int("maxVisits", 0, 0, 100);
  parent.Adopt(reader.Finish());
  return node;
}

json EdgeJson(const Edge& edge) {
  if (!edge.when) return edge.to;
  constexpr const char* kNames[] = {"equals", "in", "exists"};
  return {
      {"to", edge.to},
      {"when", {{"path", edge.when->path}, {kNames[static_cast<int>(edge.when->op)], *edge.when->value}}}};
}

json NodeJson(const NodeSpec& node) {
  json out = {{"name", node.name}, {"type", node.type}};
  for (const Edge& edge : node.next) out["next"].push_back(EdgeJson(edge));
  if (node.config && !node.config->empty()) out["config"] = *node.config;
  if (node.timeout_seconds != 0) out["timeoutSeconds"] = node.timeout_seconds;
  if (node.max_visits != 0) out["maxVisits"] = node.max_visits;
  return out;
}

}  // namespace

Result<WorkflowSpec> ParseWorkflowSpec(const json& spec, const std::string& name, const std::string& path) {
  ObjectReader reader(spec, path);
  WorkflowSpec out;
  out.name = reader.String("name", name);
  out.description = reader.String("description");
  out.version = reader.String("version");
  out.entry_point = reader.RequiredString("entryPoint");
  out.exit_points = reader.Strings("exitPoints");
  const json* nodes = reader.Array("nodes");
  if (nodes == nullptr || nodes->empty() || nodes->size() > kMaxNodes) {
    reader.Problem(fmt::format("{}: must hold 1 to {} nodes", reader.PathOf("nodes"), kMaxNodes));
  } else {
    for (size_t i = 0; i < nodes->size(); ++i) {
      out.nodes.push_back(ReadNode((*nodes)[i], fmt::format("{}[{}]", reader.PathOf("nodes"), i), reader));
    }
  }
  YBIS_TRY(reader.Finish());
  return out;
}

json ToJson(const WorkflowSpec& spec) {
  json out = {{"name", spec.name}, {"entryPoint", spec.entry_point}, {"exitPoints", spec.exit_points}};
  if (!spec.description.empty()) out["description"] = spec.description;
  if (!spec.version.empty()) out["version"] = spec.version;
  for (const NodeSpec& node : spec.nodes) out["nodes"].push_back(NodeJson(node));
  return out;
}

Result<Workflow> ParseWorkflow(const json& object) {
  Workflow workflow;
  YBIS_ASSIGN(workflow.meta, ParseObjectMeta(object));
  const auto spec = object.find("spec");
  if (spec == object.end()) return Fail(ErrorCode::kInvalid, "spec: is required");
  YBIS_ASSIGN(workflow.spec, ParseWorkflowSpec(*spec, workflow.meta.name));
  const auto status = object.find("status");
  if (status == object.end() || !status->is_object()) return workflow;
  ObjectReader reader(*status, "status");
  workflow.observed_generation = reader.Int("observedGeneration", 0, 0, INT64_MAX);
  if (const json* conditions = reader.Array("conditions")) {
    for (size_t i = 0; i < conditions->size(); ++i) {
      YBIS_ASSIGN(auto condition, ParseCondition((*conditions)[i], fmt::format("status.conditions[{}]", i)));
      workflow.conditions.push_back(std::move(condition));
    }
  }
  return workflow;
}

}  // namespace ybis::api
