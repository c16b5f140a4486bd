#include "cli/local/task_input.h"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "cli/local/session.h"

namespace ybis::cli {
namespace {

using nlohmann::json;

Result<api::WorkflowSpec> WorkflowOf(const TaskFlags& flags, const api::TaskSpec& spec) {
  auto workflow = FindWorkflow(flags.workflow.empty() ? spec.workflow : flags.workflow);
  if (!workflow && workflow.error().code == ErrorCode::kNotFound) {
    return Fail(ErrorCode::kNotFound,
                workflow.error().message + "; on this machine `--workflow FILE` gives its graph");
  }
  return workflow;
}

}  // namespace

Result<TaskInput> ReadTaskFile(const std::string& file, const TaskFlags& flags) {
  YBIS_ASSIGN(const json object, ReadManifest(file, flags, {}));
  const auto task = api::ParseTask(object);
  if (!task) return FailIn(file, task.error());
  TaskInput input{task->meta.name, task->spec, {}};
  input.sync = !flags.no_sync;
  YBIS_ASSIGN(input.workflow, WorkflowOf(flags, input.spec));
  return input;
}

Result<TaskInput> TaskFromFlags(const TaskFlags& flags) {
  YBIS_ASSIGN(const json object, ReadManifest({}, flags, {}));
  TaskInput input;
  YBIS_ASSIGN(input.spec, api::ParseTaskSpec(object["spec"]));
  input.name = object["metadata"]["name"];
  input.sync = !flags.no_sync;
  YBIS_ASSIGN(input.workflow, WorkflowOf(flags, input.spec));
  return input;
}

Status CheckAgainst(const control::Config& config, const api::TaskSpec& spec,
                    const api::WorkflowSpec& workflow, bool needs_model) {
  if (spec.limits.timeout_seconds > config.limits.max_timeout_seconds) {
    return Fail(
        ErrorCode::kInvalid,
        fmt::format("spec.limits.timeoutSeconds: {} is more than the configuration's maxTimeoutSeconds {}",
                    spec.limits.timeout_seconds, config.limits.max_timeout_seconds));
  }
  if (config.FindModel(spec.model.name) != nullptr) return {};
  if (!spec.model.name.empty()) {
    return Fail(
        ErrorCode::kInvalid,
        fmt::format("spec.model.name: '{}' is no model of the configuration; `ybis config show` lists them",
                    spec.model.name));
  }
  const bool asks = std::any_of(workflow.nodes.begin(), workflow.nodes.end(), [](const api::NodeSpec& node) {
    return node.type == "spec_generator" || node.type == "planner" || node.type == "repair" ||
           (node.type == "executor" && node.config->value("adapter", "llm") == "llm");
  });
  if (!asks || !needs_model) return {};
  return Fail(
      ErrorCode::kInvalid,
      "no model is configured: put one into ~/.config/ybis/config.yaml or a file for --config, e.g.\n"
      "  models: [{name: default, endpoint: https://models.example.com/v1, apiKeyFile: /path/to/key}]");
}

std::string CheckoutOf(const std::string& url) {
  constexpr std::string_view kFile = "file://";
  const std::filesystem::path folder = url.starts_with(kFile) ? url.substr(kFile.size()) : url;
  std::error_code ignored;
  const bool checkout = folder.is_absolute() && std::filesystem::exists(folder / ".git", ignored);
  return checkout ? folder.string() : std::string();
}

control::TaskSubmission SubmissionOf(const control::Config& config, const TaskInput& input, std::string uid) {
  control::TaskSubmission submission;
  submission.uid = std::move(uid);
  submission.namespace_name = kLocalNamespace;
  submission.name = input.name;
  submission.generation = 1;
  submission.spec = input.spec;
  submission.spec.workflow = input.workflow.name;
  submission.workflow = input.workflow;
  submission.policy = control::EffectivePolicy(config, input.spec);
  submission.default_timeout_seconds = control::DefaultTimeoutSeconds(config);
  submission.policy.allow_file_urls = true;
  if (input.sync) submission.policy.project_root = CheckoutOf(input.spec.repository.url);
  return submission;
}

}  // namespace ybis::cli
