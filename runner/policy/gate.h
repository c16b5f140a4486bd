#pragma once
// The gate: policy judged on facts that the runner measured itself. Pure: no I/O, no clock.
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "api/run_api.h"
#include "runner/policy/secret_scan.h"

namespace ybis::runner {

enum class Decision { kApproved, kRepair, kBlocked, kRejected };
std::string_view ToString(Decision decision);  ///< approved, repair, blocked, rejected

/// One file of the cumulative change.
struct ChangedFile {
  std::string path;
  std::string old_path;  ///< of a rename, else empty
  bool binary = false;
  bool symlink = false;    ///< a link now or before
  bool submodule = false;  ///< a gitlink now or before
};

struct GateFacts {
  bool verifier_ran = false;
  int64_t checks_passed = 0;
  std::vector<std::string> checks_failed;   ///< names
  std::vector<std::string> checks_skipped;  ///< "name: why"
  std::vector<ChangedFile> changes;
  int64_t insertions = 0;
  int64_t deletions = 0;
  int64_t diff_bytes = 0;
  std::string patch_digest;
  std::vector<SecretFinding> secrets;
  api::Usage usage;
  int64_t repairs_left = 0;  ///< how often repair may still run
};

/// What the node's config may relax or tighten.
struct GateConfig {
  bool allow_unverified = false;  ///< approve although no check ran
  bool allow_binary = false;
  bool allow_empty = false;  ///< approve although nothing changed
};
Result<GateConfig> ParseGateConfig(const nlohmann::json& config);

struct RuleVerdict {
  std::string rule;
  Decision verdict = Decision::kApproved;  ///< approved = passed
  std::string message;                     ///< why not, and what to do; empty when passed
  std::vector<std::string> details;        ///< paths, check names or findings
};

struct GateResult {
  Decision decision = Decision::kApproved;
  std::vector<RuleVerdict> rules;       ///< every rule, also those that passed
  std::optional<api::Failure> failure;  ///< present for blocked and rejected
};

/// Judges by every rule; the gravest verdict decides (rejected, blocked, repair, approved). A verdict of
/// repair with no repair left becomes what the rule says instead.
GateResult Judge(const GateFacts& facts, const api::RunPolicy& policy, const api::LimitsSpec& limits,
                 const GateConfig& config);

/// gate.json.
nlohmann::json GateJson(const GateFacts& facts, const GateResult& result);

}  // namespace ybis::runner
