// repair: what verifier and gate found goes back to the model, with the change so far.
#include <nlohmann/json.hpp>

#include "base/json.h"
#include "runner/nodes/node.h"
#include "runner/nodes/prompt.h"
#include "runner/nodes/prompt_parts.h"

namespace ybis::runner {
namespace {

using nlohmann::json;

constexpr size_t kMaxDiffBytes = 64 * 1024;

std::string CheckFindings(const json& verifier) {
  std::string out;
  for (const json& check : verifier.value("checks", json::array())) {
    if (check.value("passed", false)) continue;
    out +=
        fmt::format("The check `{}` failed{} (exit code {}).\n", check.value("name", ""),
                    check.value("timedOut", false) ? " by its time limit" : "", check.value("exitCode", -1));
    out += Fence("output of " + check.value("name", ""), check.value("outputTail", ""));
  }
  return out;
}

std::string RuleFindings(const json& gate) {
  std::string out;
  for (const json& rule : gate.value("rules", json::array())) {
    if (rule.value("passed", false) || rule.value("rule", "") == "verified") continue;
    out += fmt::format("The rule `{}` was broken: {}\n", rule.value("rule", ""), rule.value("message", ""));
  }
  return out;
}

std::string Findings(const json& state) {
  std::string out = CheckFindings(state.value("verifier", json::object()));
  out += RuleFindings(state.value("gate", json::object()));
  return out.empty() ? "(none was recorded)\n" : out;
}

/// What a person asked for when they sent the change back; it holds for every later round too.
std::string FeedbackText(const json& state) {
  const json revision = state.value(json::json_pointer("/@run/revision"), json::object());
  const std::string feedback = revision.value("feedback", "");
  if (feedback.empty()) return {};
  return "A person looked at the change and asks for this:\n" + feedback + "\n\n";
}

}  // namespace

Outcome<NodeOutput> RunRepair(NodeContext& context, std::stop_token stop) {
  YBIS_ASSIGN_FAULT(FaultSource::kWorktree, const git::WorktreeDiff diff,
                    context.tree.Diff(size_t{16} * 1024 * 1024, stop));
  YBIS_PASS(BringMissing(context, PlannedPaths(context), stop));
  std::vector<std::string> wanted;
  for (const git::FileChange& file : diff.files) wanted.push_back(file.path);
  for (const std::string& path : PlannedPaths(context)) wanted.push_back(path);
  const auto files =
      CollectFiles(context.tree, wanted, {.total_bytes = 128 * 1024, .file_bytes = 64 * 1024, .files = 24});
  const bool cut = diff.text.size() > kMaxDiffBytes;
  const std::string diff_text =
      cut ? diff.text.substr(0, diff.text.rfind('\n', kMaxDiffBytes) + 1) : diff.text;
  YBIS_ASSIGN_FAULT(FaultSource::kWorkspace, const PreparedPrompt prompt,
                    BuiltInPrompt("repair",
                                  {{"objective", ObjectiveText(context)},
                                   {"spec", SpecText(context)},
                                   {"round", std::to_string(context.visit)},
                                   {"findings", Findings(context.state)},
                                   {"feedback", FeedbackText(context.state)},
                                   {"diff", Fence(cut ? "diff (only its head is shown)" : "diff", diff_text)},
                                   {"files", FilesText(files)}},
                                  context.order.spec.parameters));
  return AskForEdits(context, prompt, stop);
}

}  // namespace ybis::runner
