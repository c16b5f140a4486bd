#include "workflow/graph.h"

#include <nlohmann/json.hpp>

namespace ybis::workflow {
namespace {

using api::Edge;
using api::NodeSpec;
using api::WorkflowSpec;
using nlohmann::json;

using Reach = std::set<std::string, std::less<>>;

/// All nodes reachable from `start` over the edges `targets(name)` gives.
template <class Targets>
Reach ReachableFrom(const std::vector<std::string>& start, Targets targets) {
  Reach seen;
  std::vector<std::string> open = start;
  while (!open.empty()) {
    const std::string name = std::move(open.back());
    open.pop_back();
    if (!seen.insert(name).second) continue;
    for (const std::string& to : targets(name)) open.push_back(to);
  }
  return seen;
}

std::vector<std::string> Targets(const WorkflowSpec& spec, const std::string& name) {
  std::vector<std::string> out;
  if (const NodeSpec* node = FindNode(spec, name)) {
    for (const Edge& edge : node->next) out.push_back(edge.to);
  }
  return out;
}

std::vector<std::string> Sources(const WorkflowSpec& spec, const std::string& name) {
  std::vector<std::string> out;
  for (const NodeSpec& node : spec.nodes) {
    for (const Edge& edge : node.next) {
      if (edge.to == name) out.push_back(node.name);
    }
  }
  return out;
}

/// A node of an unknown type may be a misspelt repair: its loop is not called uncapped for that.
bool Capped(const NodeSpec& node) {
  return node.max_visits > 0 || node.type == "repair" || !KnownNodeTypes().contains(node.type);
}

/// Whether `node` lies on a loop that no capped node is part of.
bool OnUncappedLoop(const WorkflowSpec& spec, const NodeSpec& node) {
  if (Capped(node)) return false;
  const auto uncapped_targets = [&](const std::string& name) {
    std::vector<std::string> out = Targets(spec, name);
    std::erase_if(out, [&](const std::string& to) {
      const NodeSpec* target = FindNode(spec, to);
      return target == nullptr || Capped(*target);
    });
    return out;
  };
  return ReachableFrom(uncapped_targets(node.name), uncapped_targets).contains(node.name);
}

bool GoodName(const std::string& name) {
  if (name.empty() || name.size() > 63) return false;
  return std::all_of(name.begin(), name.end(),
                     [](unsigned char c) { return std::isalnum(c) != 0 || c == '_' || c == '-'; });
}

std::string At(const WorkflowSpec& spec, size_t i) {
  return fmt::format("nodes[{}] '{}'", i, spec.nodes[i].name);
}

/// A misspelt setting would silently ask people nothing.
void CheckHumanApproval(const WorkflowSpec& spec, size_t i, std::vector<std::string>& problems) {
  constexpr size_t kMaxMessage = 1024;
  const NodeSpec& node = spec.nodes[i];
  if (node.type != "human_approval" || !node.config) return;
  for (const auto& [key, value] : node.config->items()) {
    if (key != "message") {
      problems.push_back(fmt::format("{}: config.{}: unknown; a human_approval node takes message",
                                     At(spec, i), key.substr(0, 64)));
    } else if (!value.is_string() || value.get_ref<const std::string&>().size() > kMaxMessage) {
      problems.push_back(
          fmt::format("{}: config.message: must be a text of at most {} bytes", At(spec, i), kMaxMessage));
    }
  }
}

/// The settings that a node of a type takes, where the runner checks their values; human_approval has its own
/// check above.
const std::map<std::string, Reach, std::less<>>& ConfigKeys() {
  static const std::map<std::string, Reach, std::less<>> keys = {
      {"spec_generator", {}},
      {"planner", {}},
      {"executor", {"adapter", "argv", "patch", "timeoutSeconds"}},
      {"repair", {}},
      {"verifier", {"requirePass"}},
      {"gate", {"allowUnverified", "allowBinary", "allowEmpty"}},
      {"command", {"argv", "timeoutSeconds"}},
      {"passthrough", {}}};
  return keys;
}

/// A misspelt setting would silently change nothing.
void CheckConfigKeys(const WorkflowSpec& spec, size_t i, std::vector<std::string>& problems) {
  const NodeSpec& node = spec.nodes[i];
  const auto known = ConfigKeys().find(node.type);
  if (known == ConfigKeys().end() || !node.config) return;
  for (const auto& [key, value] : node.config->items()) {
    if (known->second.contains(key)) continue;
    problems.push_back(
        fmt::format("{}: config.{}: unknown; a {} node takes {}", At(spec, i), key.substr(0, 64), node.type,
                    known->second.empty() ? "no config" : fmt::format("{}", fmt::join(known->second, ", "))));
  }
}

/// What a run keeps beside the nodes' outputs, which stand under their names.
bool Reserved(const NodeSpec& node) {
  static const Reach kTaken = {"approvedAt", "diff", "error", "failure", "usage"};
  return kTaken.contains(node.name) || (KnownNodeTypes().contains(node.name) && node.name != node.type);
}

void CheckNodes(const WorkflowSpec& spec, std::vector<std::string>& problems) {
  Reach names;
  for (size_t i = 0; i < spec.nodes.size(); ++i) {
    const NodeSpec& node = spec.nodes[i];
    if (!GoodName(node.name))
      problems.push_back(At(spec, i) + ": a name is 1 to 63 letters, digits, '-' or '_'");
    if (Reserved(node))
      problems.push_back(At(spec, i) + ": the name is taken: it means something else in a run's state");
    if (!names.insert(node.name).second) problems.push_back(At(spec, i) + ": the name stands twice");
    if (!KnownNodeTypes().contains(node.type)) {
      problems.push_back(fmt::format("{}: unknown type '{}'; known are {}", At(spec, i),
                                     node.type.substr(0, 64), fmt::join(KnownNodeTypes(), ", ")));
    }
    CheckHumanApproval(spec, i, problems);
    CheckConfigKeys(spec, i, problems);
    for (const Edge& edge : node.next) {
      if (FindNode(spec, edge.to) == nullptr)
        problems.push_back(
            fmt::format("{}: next names '{}', which is no node", At(spec, i), edge.to.substr(0, 64)));
    }
  }
}

/// Whether each edge leads to one node.
bool EdgesAreSure(const WorkflowSpec& spec) {
  Reach names;
  for (const NodeSpec& node : spec.nodes) {
    if (!names.insert(node.name).second) return false;
  }
  return std::all_of(spec.nodes.begin(), spec.nodes.end(), [&](const NodeSpec& node) {
    return std::all_of(node.next.begin(), node.next.end(),
                       [&](const Edge& edge) { return names.contains(edge.to); });
  });
}

/// What cannot be reached is told only where no other problem may be the reason for it.
void CheckPaths(const WorkflowSpec& spec, std::vector<std::string>& problems) {
  const bool sure = EdgesAreSure(spec);
  const bool has_entry = sure && FindNode(spec, spec.entry_point) != nullptr;
  const bool has_exits =
      sure && !spec.exit_points.empty() &&
      std::all_of(spec.exit_points.begin(), spec.exit_points.end(),
                  [&](const std::string& name) { return FindNode(spec, name) != nullptr; });
  const Reach from_entry =
      ReachableFrom({spec.entry_point}, [&](const std::string& name) { return Targets(spec, name); });
  const Reach to_exit =
      ReachableFrom(spec.exit_points, [&](const std::string& name) { return Sources(spec, name); });
  for (size_t i = 0; i < spec.nodes.size(); ++i) {
    const NodeSpec& node = spec.nodes[i];
    if (has_entry && !from_entry.contains(node.name))
      problems.push_back(At(spec, i) + ": cannot be reached from the entry point");
    if (has_exits && !to_exit.contains(node.name))
      problems.push_back(At(spec, i) + ": no path leads from it to an exit point");
    if (OnUncappedLoop(spec, node))
      problems.push_back(At(spec, i) + ": is on a loop without a cap; give a node of the loop maxVisits");
  }
}

void CheckEnds(const WorkflowSpec& spec, std::vector<std::string>& problems) {
  if (FindNode(spec, spec.entry_point) == nullptr)
    problems.push_back(
        fmt::format("entryPoint names '{}', which is no node", spec.entry_point.substr(0, 64)));
  if (spec.exit_points.empty()) problems.push_back("exitPoints: at least one node must be named");
  for (const std::string& name : spec.exit_points) {
    if (FindNode(spec, name) == nullptr)
      problems.push_back(fmt::format("exitPoints names '{}', which is no node", name.substr(0, 64)));
  }
}

/// The value at a dotted path, or nullptr.
const json* Lookup(const json& state, std::string_view path) {
  const json* at = &state;
  while (!path.empty()) {
    const size_t dot = path.find('.');
    const std::string key(path.substr(0, dot));
    if (!at->is_object()) return nullptr;
    const auto it = at->find(key);
    if (it == at->end()) return nullptr;
    at = &*it;
    path = dot == std::string_view::npos ? std::string_view() : path.substr(dot + 1);
  }
  return at;
}

bool Holds(const api::When& when, const json& state) {
  const json* value = Lookup(state, when.path);
  switch (when.op) {
    case api::When::Op::kExists:
      return (value != nullptr) == (*when.value == true);
    case api::When::Op::kEquals:
      return value != nullptr && *value == *when.value;
    case api::When::Op::kIn:
      return value != nullptr &&
             std::find(when.value->begin(), when.value->end(), *value) != when.value->end();
  }
  return false;
}

const Edge* ErrorEdge(const NodeSpec& node) {
  for (const Edge& edge : node.next) {
    if (edge.to == kErrorHandler) return &edge;
  }
  return nullptr;
}

const Edge* RepairEdge(const WorkflowSpec& spec, const NodeSpec& node) {
  for (const Edge& edge : node.next) {
    const NodeSpec* target = FindNode(spec, edge.to);
    if (!edge.when && target != nullptr && target->type == "repair") return &edge;
  }
  return nullptr;
}

/// The edge to follow after success, or nullptr.
const Edge* Route(const WorkflowSpec& spec, const NodeSpec& node, const NodeOutcome& outcome,
                  const json& state) {
  for (const Edge& edge : node.next) {
    if (edge.when && Holds(*edge.when, state)) return &edge;
  }
  const Edge* repair = node.type == "gate" ? RepairEdge(spec, node) : nullptr;
  if (repair != nullptr && !outcome.approved) return outcome.decision == "repair" ? repair : nullptr;
  for (const Edge& edge : node.next) {
    if (!edge.when && &edge != repair && edge.to != kErrorHandler) return &edge;
  }
  return nullptr;
}

/// The first repair node of a walk outwards from `start`, level by level, or nullptr.
const NodeSpec* NearestRepair(const WorkflowSpec& spec, const std::string& start) {
  Reach seen = {start};
  std::vector<std::string> level = Targets(spec, start);
  while (!level.empty()) {
    std::vector<std::string> next;
    for (const std::string& name : level) {
      const NodeSpec* node = FindNode(spec, name);
      if (node == nullptr || !seen.insert(name).second) continue;
      if (node->type == "repair") return node;
      for (std::string& to : Targets(spec, name)) next.push_back(std::move(to));
    }
    level = std::move(next);
  }
  return nullptr;
}

}  // namespace

const std::set<std::string, std::less<>>& KnownNodeTypes() {
  static const std::set<std::string, std::less<>> kTypes = {
      "spec_generator", "planner", "executor",    "verifier",      "gate",
      "repair",         "command", "passthrough", "human_approval"};
  return kTypes;
}

const NodeSpec* RepairNodeFor(const WorkflowSpec& spec, const std::string& name) {
  if (const NodeSpec* repair = NearestRepair(spec, name)) return repair;
  const Reach before =
      ReachableFrom(Sources(spec, name), [&](const std::string& at) { return Sources(spec, at); });
  for (const NodeSpec& node : spec.nodes) {
    if (node.type != "gate" || !before.contains(node.name)) continue;
    if (const NodeSpec* repair = NearestRepair(spec, node.name)) return repair;
  }
  return nullptr;
}

const NodeSpec* FindNode(const WorkflowSpec& spec, std::string_view name) {
  for (const NodeSpec& node : spec.nodes) {
    if (node.name == name) return &node;
  }
  return nullptr;
}

bool IsExit(const WorkflowSpec& spec, std::string_view name) {
  return std::find(spec.exit_points.begin(), spec.exit_points.end(), name) != spec.exit_points.end();
}

std::vector<std::string> Validate(const WorkflowSpec& spec) {
  std::vector<std::string> problems;
  if (spec.nodes.empty()) problems.push_back("nodes: at least one is needed");
  CheckNodes(spec, problems);
  CheckEnds(spec, problems);
  CheckPaths(spec, problems);
  return problems;
}

NextStep Next(const WorkflowSpec& spec, const std::string& name, const NodeOutcome& outcome,
              const json& state) {
  const NodeSpec* node = FindNode(spec, name);
  if (node == nullptr) return {NextStep::Kind::kNoRoute, ""};
  if (outcome.error) {
    const Edge* handler = ErrorEdge(*node);
    return handler != nullptr ? NextStep{NextStep::Kind::kNode, handler->to}
                              : NextStep{NextStep::Kind::kUnhandledError, ""};
  }
  const Edge* edge = Route(spec, *node, outcome, state);
  if (edge != nullptr) return {NextStep::Kind::kNode, edge->to};
  return {IsExit(spec, name) || (node->type == "gate" && !outcome.approved) ? NextStep::Kind::kEnd
                                                                            : NextStep::Kind::kNoRoute,
          ""};
}

int64_t VisitCap(const WorkflowSpec& spec, const NodeSpec& node, int64_t max_repairs) {
  if (node.type == "repair")
    return node.max_visits > 0 ? std::min(node.max_visits, max_repairs) : max_repairs;
  if (node.max_visits > 0) return node.max_visits;
  const Reach after =
      ReachableFrom(Targets(spec, node.name), [&](const std::string& at) { return Targets(spec, at); });
  return after.contains(node.name) ? 100 : 1;
}

}  // namespace ybis::workflow
