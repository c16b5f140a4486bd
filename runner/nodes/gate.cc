// gate: gathers the facts and has the policy judge them.
#include "runner/policy/gate.h"

#include <nlohmann/json.hpp>

#include "base/digest.h"
#include "runner/nodes/node.h"

namespace ybis::runner {
namespace {

using nlohmann::json;

constexpr unsigned kSymlink = 0120000;
constexpr unsigned kGitlink = 0160000;

/// A result of another patch than the one at hand says nothing.
void ReadVerifier(const json& state, GateFacts& facts) {
  const auto verifier = state.find("verifier");
  if (verifier == state.end() || verifier->value("patchDigest", "") != facts.patch_digest) return;
  facts.verifier_ran = true;
  facts.checks_passed = verifier->value("passed", int64_t{0});
  for (const json& check : verifier->value("checks", json::array())) {
    if (!check.value("passed", false)) facts.checks_failed.push_back(check.value("name", ""));
  }
  for (const json& check : verifier->value("skipped", json::array())) {
    facts.checks_skipped.push_back(fmt::format("{}: {}", check.value("name", ""), check.value("reason", "")));
  }
}

void ReadUsage(const json& state, api::Usage& usage) {
  const json used = state.value("usage", json::object());
  usage.tokens_in = used.value("tokensIn", int64_t{0});
  usage.tokens_out = used.value("tokensOut", int64_t{0});
  usage.cost_usd = used.value("costUSD", 0.0);
  usage.llm_calls = used.value("llmCalls", int64_t{0});
}

void ReadDiff(const git::WorktreeDiff& diff, GateFacts& facts) {
  for (const git::FileChange& file : diff.files) {
    const auto any_mode = [&](unsigned mode) { return file.old_mode == mode || file.new_mode == mode; };
    facts.changes.push_back({.path = file.path,
                             .binary = file.binary,
                             .symlink = any_mode(kSymlink),
                             .submodule = any_mode(kGitlink)});
  }
  facts.insertions = diff.insertions;
  facts.deletions = diff.deletions;
  facts.secrets = FindSecrets(AddedLines(diff.text));
}

Outcome<GateFacts> GatherFacts(const NodeContext& context, std::stop_token stop) {
  constexpr size_t kMaxDiff = 64 * 1024 * 1024;
  YBIS_ASSIGN_FAULT(FaultSource::kWorktree, const git::WorktreeDiff diff, context.tree.Diff(kMaxDiff, stop));
  YBIS_ASSIGN_FAULT(FaultSource::kWorktree, const std::string patch, context.tree.Snapshot(stop));
  GateFacts facts;
  facts.diff_bytes = static_cast<int64_t>(patch.size());
  facts.patch_digest = Digest(patch);
  ReadVerifier(context.state, facts);
  ReadUsage(context.state, facts.usage);
  ReadDiff(diff, facts);
  facts.repairs_left = context.repairs_left;
  return facts;
}

}  // namespace

Outcome<NodeOutput> RunGate(NodeContext& context, std::stop_token stop) {
  const auto config = ParseGateConfig(*context.node.config);
  if (!config) {
    return FaultUnexpected(TaskFault(api::FailureClass::kInvalid, "NodeConfigInvalid",
                                     fmt::format("node {}: {}", context.node.name, config.error().message)));
  }
  YBIS_TAKE(const GateFacts facts, GatherFacts(context, stop));
  const GateResult result = Judge(facts, context.order.policy, context.order.spec.limits, *config);
  const json report = GateJson(facts, result);
  YBIS_PASS(context.folder.PutArtifact("gate.json", report, stop));
  return NodeOutput{.state = report,
                    .input = {{"patchDigest", facts.patch_digest}, {"filesChanged", facts.changes.size()}},
                    .summary = {{"decision", report["decision"]}, {"failure", report["failure"]}},
                    .decision = std::string(ToString(result.decision))};
}

}  // namespace ybis::runner
