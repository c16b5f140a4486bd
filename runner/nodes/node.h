#pragma once
// What a node type is: one function, and one row in the table of registry.cc.
#include <nlohmann/json_fwd.hpp>
#include <stop_token>
#include <string>
#include <string_view>

#include "api/run_api.h"
#include "base/clock.h"
#include "runner/engine/fault.h"
#include "runner/engine/journal.h"
#include "runner/engine/project_files.h"
#include "runner/engine/run_folder.h"
#include "runner/git/worktree.h"
#include "runner/nodes/command_runner.h"
#include "runner/nodes/model_caller.h"

namespace ybis::runner {

/// All that a node may use, for one visit. The worktree is as the checkpoint says.
struct NodeContext {
  const api::RunOrder& order;
  const api::NodeSpec& node;
  const nlohmann::json& state;  ///< outputs of earlier nodes, by type and by name
  int64_t visit = 1;
  int64_t repairs_left = 0;  ///< of a gate: how often the repair node it lists may still run
  git::Worktree& tree;
  CommandRunner& commands;
  ModelCaller& model;
  RunFolder& folder;
  Journal& journal;
  ProjectFiles& project;
};

/// What a node produced.
struct NodeOutput {
  nlohmann::json state;    ///< an object: what later nodes and edges read, and output.json
  nlohmann::json input;    ///< an object: what went in, by digest where it is big; input.json
  nlohmann::json summary;  ///< an object: the small form for the record
  std::string decision;    ///< of a gate, else empty
  bool waits = false;      ///< the walk stops here for a person
};

using NodeFunction = Outcome<NodeOutput> (*)(NodeContext& context, std::stop_token stop);

/// What becomes of the changes that a node makes to the worktree.
enum class Effect {
  kReads,      ///< it makes none
  kScratches,  ///< they are undone: a check may leave caches and build results
  kEdits,      ///< they are part of the change
};

struct NodeType {
  std::string_view name;
  NodeFunction run;
  Effect effect;
};

/// The type of that name, or nullptr.
const NodeType* FindNodeType(std::string_view name);

// The node types, one file each.
Outcome<NodeOutput> RunSpecGenerator(NodeContext& context, std::stop_token stop);
Outcome<NodeOutput> RunPlanner(NodeContext& context, std::stop_token stop);
Outcome<NodeOutput> RunExecutor(NodeContext& context, std::stop_token stop);
Outcome<NodeOutput> RunRepair(NodeContext& context, std::stop_token stop);
Outcome<NodeOutput> RunVerifier(NodeContext& context, std::stop_token stop);
Outcome<NodeOutput> RunGate(NodeContext& context, std::stop_token stop);
Outcome<NodeOutput> RunCommand(NodeContext& context, std::stop_token stop);
Outcome<NodeOutput> RunHumanApproval(NodeContext& context, std::stop_token stop);
Outcome<NodeOutput> RunPassthrough(NodeContext& context, std::stop_token stop);

}  // namespace ybis::runner
