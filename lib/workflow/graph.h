#pragma once
// A workflow's graph: every problem it has, and which node comes next.
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "api/workflow.h"

namespace ybis::workflow {

/// The node that takes over from one that fails, when that one lists it.
inline constexpr std::string_view kErrorHandler = "error_handler";

/// The node types a runner knows. Anything else is refused at load, never passed through.
const std::set<std::string, std::less<>>& KnownNodeTypes();

/// Every problem of a workflow, each naming the node ("nodes[2] 'verify': next names 'gat', which is no
/// node"). Checked: names unique and well formed, types known, entry and exits exist, next names exist, every
/// node reachable from the entry, an exit reachable from every node, and every loop has a node with maxVisits
/// (repair nodes are capped by limits.maxRepairs). Empty = valid.
std::vector<std::string> Validate(const api::WorkflowSpec& spec);

/// How a node ended, for routing.
struct NodeOutcome {
  bool error = false;    ///< it failed: goes to an `error_handler` if the node lists one
  bool approved = true;  ///< gate nodes: its decision was "approved"
  std::string decision;  ///< gate nodes: approved, repair, blocked, rejected
};

/// Where to go after `node`: kEnd when it is an exit point (and listed no edge that applies), a node's name,
/// or an error when an error has no handler or no edge applies.
struct NextStep {
  enum class Kind { kNode, kEnd, kUnhandledError, kNoRoute } kind = Kind::kEnd;
  std::string node;
};

/// The routing rule: an error goes to the next node of type `error_handler`-named edge if listed; explicit
/// edges whose `when` holds come first, in order; a gate that did not approve but asks for repair goes to the
/// listed node of type `repair`; else the first edge without `when`. `state` is what `when` paths read
/// ("gate.decision").
NextStep Next(const api::WorkflowSpec& spec, const std::string& node, const NodeOutcome& outcome,
              const nlohmann::json& state);

/// Where a revision by a person goes on: the repair node nearest to `node`, the gate or human_approval node
/// that waits, along its edges; else the nearest to a gate that leads to it. Null when there is none.
const api::NodeSpec* RepairNodeFor(const api::WorkflowSpec& spec, const std::string& node);

const api::NodeSpec* FindNode(const api::WorkflowSpec& spec, std::string_view name);
bool IsExit(const api::WorkflowSpec& spec, std::string_view name);

/// How often a node may run: its maxVisits, for a repair node without one `max_repairs`, else 1 outside loops
/// and 100 in.
int64_t VisitCap(const api::WorkflowSpec& spec, const api::NodeSpec& node, int64_t max_repairs);

}  // namespace ybis::workflow
