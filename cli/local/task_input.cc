#include "cli/local/task_input.h"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "base/digest.h"
#include "base/file.h"
#include "base/yaml.h"
#include "cli/local/session.h"
#include "workflow/loader.h"

namespace ybis::cli {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

/// The flags as members of a spec, laid over what a manifest says.
Status Overlay(const TaskFlags& flags, json& spec) {
  const auto put = [&spec](const char* key, const std::string& value) {
    if (!value.empty()) spec[key] = value;
  };
  if (flags.objective.starts_with('@')) {
    YBIS_ASSIGN(spec["objective"], ReadFile(flags.objective.substr(1), 64 * 1024));
  } else {
    put("objective", flags.objective);
  }
  put("title", flags.title);
  put("priority", flags.priority);
  if (!flags.repo.empty()) {
    YBIS_ASSIGN(const std::string url, ResolveRepository(flags.repo));
    spec["repository"] = {{"url", url}};
  }
  if (!flags.ref.empty()) spec["repository"]["ref"] = flags.ref;
  if (!flags.workflow.empty()) {
    YBIS_ASSIGN(const api::WorkflowSpec workflow, FindWorkflow(flags.workflow));
    spec["workflowRef"] = {{"name", workflow.name}};
  }
  for (const std::string& parameter : flags.parameters) {
    const size_t equals = parameter.find('=');
    if (equals == std::string::npos || equals == 0) {
      return Fail(ErrorCode::kInvalid, fmt::format("--param: '{}' is not NAME=VALUE", parameter));
    }
    spec["parameters"][parameter.substr(0, equals)] = parameter.substr(equals + 1);
  }
  json commands = json::array();
  for (const std::string& command : flags.verify) {
    YBIS_ASSIGN(const auto words, SplitWords(command));
    if (words.empty()) return Fail(ErrorCode::kInvalid, "--verify: an empty command");
    commands.push_back(words);
  }
  if (!commands.empty()) spec["verification"]["commands"] = commands;
  if (!flags.branch.empty()) spec["delivery"] = {{"mode", "Branch"}, {"branch", flags.branch}};
  if (flags.no_branch) spec["delivery"] = {{"mode", "None"}};
  return {};
}

/// Lower-case words of a text, at most 32 characters.
std::string Slug(const std::string& text) {
  std::string slug;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) != 0 && byte < 0x80) {
      slug += static_cast<char>(std::tolower(byte));
    } else if (!slug.empty() && slug.back() != '-') {
      slug += '-';
    }
    if (slug.size() >= 32) break;
  }
  while (slug.ends_with('-')) slug.pop_back();
  return slug.empty() ? "task" : slug;
}

Status CheckName(const std::string& name) {
  const bool fits = !name.empty() && name.size() <= 63 && name.front() != '-' && name.back() != '-' &&
                    std::all_of(name.begin(), name.end(), [](char c) {
                      return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
                    });
  if (fits) return {};
  return Fail(
      ErrorCode::kInvalid,
      fmt::format("task name '{}': must be 1 to 63 lower-case letters, digits or '-', e.g. fix-login", name));
}

Result<api::WorkflowSpec> WorkflowOf(const TaskFlags& flags, const api::TaskSpec& spec) {
  return FindWorkflow(flags.workflow.empty() ? spec.workflow : flags.workflow);
}

}  // namespace

void AddTaskFlags(CLI::App& verb, TaskFlags& flags) {
  verb.add_option("--name", flags.name, "Name of the task; default: made from the title");
  verb.add_option("--objective", flags.objective,
                  "What is to be done, in plain words; @FILE reads it from a file");
  verb.add_option("--title", flags.title, "One line; becomes the commit's subject");
  verb.add_option("--priority", flags.priority, "HIGH, MEDIUM (the default) or LOW")
      ->check(CLI::IsMember({"HIGH", "MEDIUM", "LOW"}));
  verb.add_option("--repo", flags.repo, "A repository: folder, file://, https:// or ssh:// address");
  verb.add_option("--ref", flags.ref,
                  "Branch, tag or commit to start from; default: the repository's default branch");
  verb.add_option("--workflow", flags.workflow, "A built-in workflow or a file; default: ybis-native");
  verb.add_option("--verify", flags.verify,
                  "A command that must succeed, e.g. \"make test\"; again for more; default: detected");
  verb.add_option("--param", flags.parameters, "NAME=VALUE for the workflow's {{NAME}}; again for more");
  verb.add_option("--branch", flags.branch, "Branch to deliver to; default: ybis/NAME-RUN");
  verb.add_flag("--no-branch", flags.no_branch, "Keep the patch in the record, push nothing");
}

Result<std::string> ResolveRepository(const std::string& text) {
  if (text.find("://") != std::string::npos) return text;
  std::error_code error;
  const fs::path folder = fs::canonical(text, error);
  if (error) {
    const bool remote = text.find('@') != std::string::npos && text.find(':') != std::string::npos;
    if (remote) return text;
    return Fail(ErrorCode::kNotFound,
                fmt::format("--repo: {} is no folder; give one, or an https:// or ssh:// address", text));
  }
  const bool repository = fs::exists(folder / ".git", error) ||
                          (fs::exists(folder / "HEAD", error) && fs::exists(folder / "objects", error));
  if (repository) return folder.string();
  return Fail(ErrorCode::kInvalid,
              fmt::format("--repo: {} holds no git repository; `git init` and a first commit make one",
                          folder.string()));
}

Result<std::vector<std::string>> SplitWords(const std::string& text) {
  std::vector<std::string> words;
  std::optional<std::string> word;
  char quote = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\\' && quote != '\'') {
      if (++i == text.size())
        return Fail(ErrorCode::kInvalid, fmt::format("'{}': ends in a backslash", text));
      word = word.value_or("") + text[i];
    } else if (quote != 0) {
      if (c == quote) {
        quote = 0;
      } else {
        *word += c;
      }
    } else if (c == '\'' || c == '"') {
      quote = c;
      word = word.value_or("");
    } else if (c == ' ' || c == '\t' || c == '\n') {
      if (word) words.push_back(std::move(*word));
      word.reset();
    } else {
      word = word.value_or("") + c;
    }
  }
  if (quote != 0) return Fail(ErrorCode::kInvalid, fmt::format("'{}': a quote is not closed", text));
  if (word) words.push_back(std::move(*word));
  return words;
}

Result<api::WorkflowSpec> FindWorkflow(const std::string& name_or_file) {
  std::error_code ignored;
  if (!fs::is_regular_file(name_or_file, ignored)) return workflow::BuiltInWorkflow(name_or_file);
  YBIS_ASSIGN(const std::string text, ReadFile(name_or_file, 1024 * 1024));
  return workflow::LoadWorkflow(text, name_or_file);
}

Result<TaskInput> ReadTaskFile(const std::string& file, const TaskFlags& flags) {
  YBIS_ASSIGN(const std::string text, ReadFile(file, 1024 * 1024));
  YBIS_ASSIGN(const YamlDocument document, ParseYaml(text, file));
  json object = *document.value;
  if (!object.is_object() || object.value("kind", json()) != "YbisTask") {
    return Fail(ErrorCode::kInvalid,
                fmt::format("{}: is no manifest of kind YbisTask", document.Where("/kind")));
  }
  if (!object.contains("spec") || !object["spec"].is_object()) {
    return Fail(ErrorCode::kInvalid, fmt::format("{}: spec: is required", document.Where("")));
  }
  YBIS_TRY(Overlay(flags, object["spec"]));
  const auto task = api::ParseTask(object);
  if (!task) return FailIn(file, task.error());
  TaskInput input{flags.name.empty() ? task->meta.name : flags.name, task->spec, {}};
  YBIS_TRY(CheckName(input.name));
  YBIS_ASSIGN(input.workflow, WorkflowOf(flags, input.spec));
  return input;
}

Result<TaskInput> TaskFromFlags(const TaskFlags& flags) {
  if (flags.objective.empty()) {
    return Fail(ErrorCode::kInvalid, "--objective is required: say what is to be done, or give a manifest");
  }
  if (flags.repo.empty()) {
    return Fail(ErrorCode::kInvalid, "--repo is required: the repository to change, e.g. --repo .");
  }
  json spec = {{"delivery", {{"mode", "Branch"}}}};
  YBIS_TRY(Overlay(flags, spec));
  TaskInput input;
  YBIS_ASSIGN(input.spec, api::ParseTaskSpec(spec));
  input.name = flags.name.empty()
                   ? Slug(flags.title.empty() ? flags.objective : flags.title) + "-" + RandomHex(2)
                   : flags.name;
  YBIS_TRY(CheckName(input.name));
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
  submission.policy.allow_file_urls = true;
  return submission;
}

}  // namespace ybis::cli
