#include "runner/policy/gate.h"

#include <nlohmann/json.hpp>

#include "base/json.h"
#include "base/utf8.h"
#include "runner/policy/glob.h"

namespace ybis::runner {
namespace {

using nlohmann::json;

constexpr size_t kMaxMessage = 1024;  // of a failure

struct GateInput {
  const GateFacts& facts;
  const api::RunPolicy& policy;
  const api::LimitsSpec& limits;
  const GateConfig& config;

  /// Another round while there is one, else `otherwise`.
  Decision RepairOr(Decision otherwise) const {
    return facts.repairs_left > 0 ? Decision::kRepair : otherwise;
  }
};

RuleVerdict Verified(const GateInput& in) {
  const GateFacts& facts = in.facts;
  if (!facts.checks_failed.empty()) {
    return {.verdict = in.RepairOr(Decision::kRejected),
            .message = fmt::format("{} of {} checks failed", facts.checks_failed.size(),
                                   facts.checks_failed.size() + static_cast<size_t>(facts.checks_passed)),
            .details = facts.checks_failed};
  }
  if (facts.checks_passed > 0 || in.config.allow_unverified) return {};
  return {.verdict = Decision::kBlocked,
          .message = facts.verifier_ran
                         ? "no check could be run on this repository: name some in spec.verification.commands"
                         : "no verifier ran on this change before the gate: put a verifier node before it",
          .details = facts.checks_skipped};
}

RuleVerdict ProtectedPaths(const GateInput& in) {
  std::vector<std::string> hits;
  for (const ChangedFile& file : in.facts.changes) {
    for (const std::string& path : {file.path, file.old_path}) {
      if (path.empty()) continue;
      const std::string glob = FirstCovering(in.policy.protected_paths, path);
      if (!glob.empty()) hits.push_back(fmt::format("{} (protected by {})", path, glob));
    }
  }
  if (hits.empty()) return {};
  return {.verdict = Decision::kBlocked,
          .message = "the change touches protected paths: " + fmt::format("{}", fmt::join(hits, ", ")),
          .details = hits};
}

RuleVerdict ChangedFiles(const GateInput& in) {
  const auto count = static_cast<int64_t>(in.facts.changes.size());
  if (count <= in.policy.max_changed_files) return {};
  return {.verdict = Decision::kBlocked,
          .message = fmt::format("{} files changed, more than the {} of policy.maxChangedFiles", count,
                                 in.policy.max_changed_files)};
}

RuleVerdict DiffSize(const GateInput& in) {
  if (in.facts.diff_bytes <= in.policy.max_diff_bytes) return {};
  return {.verdict = Decision::kBlocked,
          .message = fmt::format("the diff has {} bytes, more than the {} of policy.maxDiffBytes",
                                 in.facts.diff_bytes, in.policy.max_diff_bytes)};
}

RuleVerdict Secrets(const GateInput& in) {
  if (in.facts.secrets.empty()) return {};
  std::vector<std::string> findings;
  for (const SecretFinding& finding : in.facts.secrets) findings.push_back(finding.Text());
  return {.verdict = in.RepairOr(Decision::kBlocked),
          .message =
              "the added lines hold what looks like credentials; read them from the environment instead: " +
              fmt::format("{}", fmt::join(findings, ", ")),
          .details = findings};
}

RuleVerdict FileKinds(const GateInput& in) {
  std::vector<std::string> odd;
  for (const ChangedFile& file : in.facts.changes) {
    if (file.symlink) odd.push_back(file.path + " (symbolic link)");
    if (file.submodule) odd.push_back(file.path + " (submodule)");
    if (file.binary && !in.config.allow_binary) odd.push_back(file.path + " (binary)");
  }
  if (odd.empty()) return {};
  return {.verdict = Decision::kBlocked,
          .message =
              "the change holds what a text review cannot judge: " + fmt::format("{}", fmt::join(odd, ", ")),
          .details = odd};
}

RuleVerdict Budget(const GateInput& in) {
  const api::Usage& usage = in.facts.usage;
  const int64_t tokens = usage.tokens_in + usage.tokens_out;
  if (in.limits.max_tokens > 0 && tokens > in.limits.max_tokens) {
    return {.verdict = Decision::kRejected,
            .message = fmt::format("{} tokens used, more than the {} of spec.limits.maxTokens", tokens,
                                   in.limits.max_tokens)};
  }
  if (in.limits.max_cost_usd > 0 && usage.cost_usd > in.limits.max_cost_usd) {
    return {.verdict = Decision::kRejected,
            .message = fmt::format("{:.4f} USD spent, more than the {:.4f} of spec.limits.maxCostUSD",
                                   usage.cost_usd, in.limits.max_cost_usd)};
  }
  return {};
}

RuleVerdict NotEmpty(const GateInput& in) {
  if (!in.facts.changes.empty() || in.config.allow_empty) return {};
  return {.verdict = in.RepairOr(Decision::kRejected),
          .message = "nothing was changed: the objective may be met already, or be too vague to act on"};
}

struct Rule {
  std::string_view name;
  RuleVerdict (*judge)(const GateInput&);
  api::FailureClass failure_class;
  std::string_view reason;
};

/// In order of precedence among verdicts of the same gravity.
constexpr Rule kRules[] = {
    {"budget", Budget, api::FailureClass::kBudget, "BudgetExhausted"},
    {"protected-paths", ProtectedPaths, api::FailureClass::kPolicy, "PolicyBlocked"},
    {"secrets", Secrets, api::FailureClass::kPolicy, "PolicyBlocked"},
    {"file-kinds", FileKinds, api::FailureClass::kPolicy, "PolicyBlocked"},
    {"changed-files", ChangedFiles, api::FailureClass::kPolicy, "PolicyBlocked"},
    {"diff-size", DiffSize, api::FailureClass::kPolicy, "PolicyBlocked"},
    {"verified", Verified, api::FailureClass::kVerify, "VerificationFailed"},
    {"not-empty", NotEmpty, api::FailureClass::kAgent, "NothingChanged"},
};

api::Failure FailureOf(const Rule& rule, const RuleVerdict& verdict) {
  const bool blocked = verdict.verdict == Decision::kBlocked;
  std::string message = fmt::format("gate rule {}: {}", rule.name, verdict.message);
  if (rule.failure_class == api::FailureClass::kVerify && !verdict.details.empty()) {
    message += fmt::format(" ({}); see verifier.json", fmt::join(verdict.details, ", "));
  }
  message.resize(CutAtCharacter(message, kMaxMessage).size());
  return {.failure_class = blocked ? api::FailureClass::kPolicy : rule.failure_class,
          .reason = blocked ? "PolicyBlocked" : std::string(rule.reason),
          .message = std::move(message)};
}

}  // namespace

std::string_view ToString(Decision decision) {
  switch (decision) {
    case Decision::kApproved:
      return "approved";
    case Decision::kRepair:
      return "repair";
    case Decision::kBlocked:
      return "blocked";
    case Decision::kRejected:
      return "rejected";
  }
  return "";
}

Result<GateConfig> ParseGateConfig(const json& config) {
  ObjectReader reader(config, "config");
  GateConfig out;
  out.allow_unverified = reader.Bool("allowUnverified", false);
  out.allow_binary = reader.Bool("allowBinary", false);
  out.allow_empty = reader.Bool("allowEmpty", false);
  YBIS_TRY(reader.Finish());
  return out;
}

GateResult Judge(const GateFacts& facts, const api::RunPolicy& policy, const api::LimitsSpec& limits,
                 const GateConfig& config) {
  const GateInput input{facts, policy, limits, config};
  GateResult result;
  for (const Rule& rule : kRules) {
    RuleVerdict verdict = rule.judge(input);
    verdict.rule = rule.name;
    if (verdict.verdict > result.decision) {
      result.decision = verdict.verdict;
      result.failure.reset();
      if (verdict.verdict > Decision::kRepair) result.failure = FailureOf(rule, verdict);
    }
    result.rules.push_back(std::move(verdict));
  }
  return result;
}

json GateJson(const GateFacts& facts, const GateResult& result) {
  json rules = json::array();
  for (const RuleVerdict& rule : result.rules) {
    rules.push_back({{"rule", rule.rule},
                     {"passed", rule.verdict == Decision::kApproved},
                     {"verdict", ToString(rule.verdict)},
                     {"message", rule.message},
                     {"details", rule.details}});
  }
  json paths = json::array();
  for (const ChangedFile& file : facts.changes) {
    if (paths.size() == 200) break;
    paths.push_back(file.path);
  }
  json out = {{"decision", ToString(result.decision)},
              {"patchDigest", facts.patch_digest},
              {"rules", std::move(rules)},
              {"facts",
               {{"filesChanged", facts.changes.size()},
                {"insertions", facts.insertions},
                {"deletions", facts.deletions},
                {"diffBytes", facts.diff_bytes},
                {"checksPassed", facts.checks_passed},
                {"checksFailed", facts.checks_failed.size()},
                {"repairsLeft", facts.repairs_left},
                {"paths", std::move(paths)}}},
              {"failure", nullptr}};
  if (result.failure) out["failure"] = api::ToJson(*result.failure);
  return out;
}

}  // namespace ybis::runner
