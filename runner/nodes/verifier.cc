// verifier: runs the task's checks, or those that the repository brings, and measures what they say.
#include <nlohmann/json.hpp>

#include "base/json.h"
#include "runner/nodes/node.h"
#include "runner/nodes/repository_facts.h"
#include "runner/nodes/task_command.h"

namespace ybis::runner {
namespace {

using nlohmann::json;

struct CheckList {
  std::string source = "none";
  std::vector<Check> checks;
};

CheckList ChecksOf(const NodeContext& context, const RepositoryFacts& facts) {
  CheckList list;
  for (const auto& argv : context.order.spec.verification.commands) {
    list.checks.push_back({fmt::format("{}", fmt::join(argv, " ")), argv, {}});
  }
  if (!list.checks.empty()) {
    list.source = "task";
  } else if (!facts.checks.empty()) {
    list = {"detected", facts.checks};
  }
  return list;
}

json CheckJson(const Check& check, const std::vector<std::string>& argv, const CommandResult& result) {
  return {{"name", check.name},
          {"argv", argv},
          {"exitCode", result.exit_code},
          {"passed", result.Succeeded()},
          {"timedOut", result.timed_out},
          {"durationSeconds", std::chrono::duration<double>(result.elapsed).count()},
          {"outputTail", OutputTail(result.output)}};
}

/// The check, or the step before it that failed.
Outcome<json> RunCheck(const NodeContext& context, const Check& check, std::stop_token stop) {
  const auto timeout = std::chrono::seconds(context.order.spec.verification.timeout_seconds);
  for (const auto& argv : check.before) {
    YBIS_TAKE(const CommandResult result, RunTaskCommand(context, argv, timeout, stop));
    if (!result.Succeeded()) return CheckJson(check, argv, result);
  }
  YBIS_TAKE(const CommandResult result, RunTaskCommand(context, check.argv, timeout, stop));
  return CheckJson(check, check.argv, result);
}

/// config.requirePass: the node fails, and with it the run or on to error_handler, unless checks ran and all
/// of them passed. Without it what they say is the gate's to judge.
Outcome<bool> RequiresPass(const NodeContext& context) {
  if (!context.node.config) return false;
  ObjectReader reader(*context.node.config, fmt::format("node {}: config", context.node.name));
  const bool required = reader.Bool("requirePass", false);
  const Status checked = reader.Finish();
  if (!checked)
    return FaultUnexpected(
        TaskFault(api::FailureClass::kInvalid, "NodeConfigInvalid", checked.error().message));
  return required;
}

Outcome<void> CheckPassed(const NodeContext& context, const json& report) {
  if (report["failed"] == 0 && report["passed"] > 0) return {};
  std::string failed;
  for (const json& check : report["checks"]) {
    if (!check["passed"].get<bool>())
      failed += (failed.empty() ? "" : ", ") + check["name"].get<std::string>();
  }
  return FaultUnexpected(
      TaskFault(api::FailureClass::kVerify, "VerificationFailed",
                fmt::format("node {}: {}; verifier.json has what was said", context.node.name,
                            failed.empty() ? "no check ran, and all must pass" : "not passed: " + failed)));
}

/// A detected check needs tools that the image may lack: then it is skipped, not failed.
std::string MissingTool(const NodeContext& context, const Check& check) {
  std::vector<std::vector<std::string>> commands = check.before;
  commands.push_back(check.argv);
  for (const auto& argv : commands) {
    if (!context.commands.IsInstalled(argv.front())) return argv.front();
  }
  return {};
}

}  // namespace

Outcome<NodeOutput> RunVerifier(NodeContext& context, std::stop_token stop) {
  YBIS_TAKE(const bool must_pass, RequiresPass(context));
  YBIS_TAKE(const RepositoryFacts facts, ReadFacts(context.tree, stop));
  const CheckList list = ChecksOf(context, facts);
  YBIS_ASSIGN_FAULT(FaultSource::kWorktree, const std::string digest, context.tree.PatchDigest(stop));
  json report = {{"source", list.source},
                 {"patchDigest", digest},
                 {"checks", json::array()},
                 {"skipped", json::array()}};
  int64_t passed = 0;
  int64_t failed = 0;
  for (const Check& check : list.checks) {
    const std::string missing = list.source == "detected" ? MissingTool(context, check) : "";
    if (!missing.empty()) {
      report["skipped"].push_back(
          {{"name", check.name}, {"reason", fmt::format("the runner's image has no {}", missing)}});
      continue;
    }
    YBIS_TAKE(json result, RunCheck(context, check, stop));
    ++(result["passed"].get<bool>() ? passed : failed);
    context.journal.Info("check run", {{"check", check.name}, {"exitCode", result["exitCode"]}});
    report["checks"].push_back(std::move(result));
  }
  report["passed"] = passed;
  report["failed"] = failed;
  YBIS_PASS(context.folder.PutArtifact("verifier.json", report, stop));
  if (must_pass) YBIS_PASS(CheckPassed(context, report));
  json names = json::array();
  for (const Check& check : list.checks) names.push_back(check.name);
  return NodeOutput{
      .state = report,
      .input = {{"source", list.source}, {"checks", names}, {"patchDigest", digest}},
      .summary = {{"passed", passed}, {"failed", failed}, {"skipped", report["skipped"].size()}}};
}

}  // namespace ybis::runner
