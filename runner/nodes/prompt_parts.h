#pragma once
// Pieces of prompts that several nodes share.
#include <map>
#include <string>

#include "runner/nodes/node.h"
#include "runner/nodes/repository_facts.h"

namespace ybis::runner {

/// The objective with the task's parameters filled in.
std::string ObjectiveText(const NodeContext& context);
/// spec.json as text, or a line that says there is none.
std::string SpecText(const NodeContext& context);
std::string PlanText(const NodeContext& context);
/// The commands that will judge the change.
std::string ChecksText(const NodeContext& context, const RepositoryFacts& facts);
/// Paths that the plan names, in its order, those to create left out.
std::vector<std::string> PlannedPaths(const NodeContext& context);

/// Has files of the list that are missing from the worktree brought from the task's checkout, if it has one.
Outcome<void> BringMissing(NodeContext& context, const std::vector<std::string>& paths, std::stop_token stop);

/// Facts about a prompt for input.json: name, version, digests of its parts.
nlohmann::json PromptInput(const PreparedPrompt& prompt);
/// Facts about the calls for the summary: model, calls, tokens, cost, whether replayed.
nlohmann::json ModelSummary(const ModelCaller& model);

/// Asks for edits, sends misses back, and applies the whole set. Used by executor and repair.
Outcome<NodeOutput> AskForEdits(NodeContext& context, const PreparedPrompt& prompt, std::stop_token stop);

}  // namespace ybis::runner
