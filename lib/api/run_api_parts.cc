// JSON forms of the small values that Run API messages and the CR's status share.
#include <nlohmann/json.hpp>

#include "api/run_api.h"
#include "base/json.h"

namespace ybis::api {

using nlohmann::json;

json ToJson(const Failure& value) {
  return {{"class", ToString(value.failure_class)}, {"reason", value.reason}, {"message", value.message}};
}

Result<Failure> ParseFailure(const json& value) {
  ObjectReader reader(value, "failure");
  Failure out;
  const auto failure_class = ParseFailureClass(reader.RequiredString("class"));
  if (failure_class) {
    out.failure_class = *failure_class;
  } else {
    reader.Problem("failure.class: " + failure_class.error().message);
  }
  out.reason = reader.String("reason");
  out.message = reader.String("message");
  YBIS_TRY(reader.Finish());
  return out;
}

json ToJson(const RunResult& value) {
  json out = {{"decision", value.decision},
              {"filesChanged", value.files_changed},
              {"insertions", value.insertions},
              {"deletions", value.deletions}};
  if (!value.branch.empty()) out["branch"] = value.branch;
  if (!value.commit.empty()) out["commit"] = value.commit;
  if (!value.base_commit.empty()) out["baseCommit"] = value.base_commit;
  if (!value.patch_digest.empty()) out["patchDigest"] = value.patch_digest;
  return out;
}

Result<RunResult> ParseRunResult(const json& value) {
  ObjectReader reader(value, "result");
  RunResult out;
  out.decision = reader.String("decision");
  out.branch = reader.String("branch");
  out.commit = reader.String("commit");
  out.base_commit = reader.String("baseCommit");
  out.patch_digest = reader.String("patchDigest");
  out.files_changed = reader.Int("filesChanged", 0, 0, INT64_MAX);
  out.insertions = reader.Int("insertions", 0, 0, INT64_MAX);
  out.deletions = reader.Int("deletions", 0, 0, INT64_MAX);
  YBIS_TRY(reader.Finish());
  return out;
}

json ToJson(const VerificationResult& value) { return {{"passed", value.passed}, {"failed", value.failed}}; }

Result<VerificationResult> ParseVerificationResult(const json& value) {
  ObjectReader reader(value, "verification");
  VerificationResult out;
  out.passed = reader.Int("passed", 0, 0, INT64_MAX);
  out.failed = reader.Int("failed", 0, 0, INT64_MAX);
  YBIS_TRY(reader.Finish());
  return out;
}

json ToJson(const Usage& value) {
  return {{"tokensIn", value.tokens_in},
          {"tokensOut", value.tokens_out},
          {"costUSD", value.cost_usd},
          {"llmCalls", value.llm_calls}};
}

Result<Usage> ParseUsage(const json& value) {
  ObjectReader reader(value, "usage");
  Usage out;
  out.tokens_in = reader.Int("tokensIn", 0, 0, INT64_MAX);
  out.tokens_out = reader.Int("tokensOut", 0, 0, INT64_MAX);
  out.cost_usd = reader.Number("costUSD", 0, 0, 1e12);
  out.llm_calls = reader.Int("llmCalls", 0, 0, INT64_MAX);
  YBIS_TRY(reader.Finish());
  return out;
}

json ToJson(const ArtifactRef& value) {
  return {{"name", value.name}, {"digest", value.digest}, {"size", value.size}};
}

Result<ArtifactRef> ParseArtifactRef(const json& value) {
  ObjectReader reader(value, "artifact");
  ArtifactRef out;
  out.name = reader.RequiredString("name");
  out.digest = reader.RequiredString("digest");
  out.size = reader.Int("size", 0, 0, INT64_MAX);
  YBIS_TRY(reader.Finish());
  return out;
}

json ToJson(const RunPolicy& value) {
  json out = {{"protectedPaths", value.protected_paths},
              {"maxChangedFiles", value.max_changed_files},
              {"maxDiffBytes", value.max_diff_bytes},
              {"network", value.network},
              {"sandboxBestEffort", value.sandbox_best_effort},
              {"allowFileUrls", value.allow_file_urls},
              {"execAllow", value.exec_allow}};
  if (!value.project_root.empty()) out["projectRoot"] = value.project_root;
  return out;
}

Result<RunPolicy> ParseRunPolicy(const json& value) {
  ObjectReader reader(value, "policy");
  RunPolicy out;
  out.protected_paths = reader.Strings("protectedPaths");
  out.max_changed_files = reader.Int("maxChangedFiles", out.max_changed_files, 1, INT64_MAX);
  out.max_diff_bytes = reader.Int("maxDiffBytes", out.max_diff_bytes, 1, INT64_MAX);
  out.network = reader.Bool("network", false);
  out.sandbox_best_effort = reader.Bool("sandboxBestEffort", false);
  out.allow_file_urls = reader.Bool("allowFileUrls", false);
  out.project_root = reader.String("projectRoot");
  out.exec_allow = reader.Strings("execAllow");
  YBIS_TRY(reader.Finish());
  return out;
}

}  // namespace ybis::api
