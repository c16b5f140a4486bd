#include "cli/manifest.h"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "api/meta.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/yaml.h"
#include "workflow/loader.h"

namespace ybis::cli {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

Result<std::string> RepositoryOf(const std::string& text, const ManifestRules& rules) {
  if (rules.folders) return ResolveRepository(text);
  const bool remote = text.find("://") != std::string::npos ||
                      (text.find('@') != std::string::npos && text.find(':') != std::string::npos);
  if (remote) return text;
  return Fail(ErrorCode::kInvalid,
              fmt::format("--repo: {}: a cluster cannot reach a folder of this machine; give an https:// or "
                          "ssh:// address",
                          text));
}

Result<std::string> WorkflowNameOf(const std::string& text, const ManifestRules& rules) {
  if (!rules.workflow_files) return text;
  YBIS_ASSIGN(const api::WorkflowSpec workflow, FindWorkflow(text));
  return workflow.name;
}

/// The flags as members of a spec, laid over what a manifest says.
Status Overlay(const TaskFlags& flags, const ManifestRules& rules, json& spec) {
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
    YBIS_ASSIGN(const std::string url, RepositoryOf(flags.repo, rules));
    spec["repository"] = {{"url", url}};
  }
  if (!flags.ref.empty()) spec["repository"]["ref"] = flags.ref;
  if (!flags.workflow.empty()) {
    YBIS_ASSIGN(const std::string workflow, WorkflowNameOf(flags.workflow, rules));
    spec["workflowRef"] = {{"name", workflow}};
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

/// A manifest as the file has it, but for its kind and that it has a spec.
Result<json> ReadObject(const std::string& file) {
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
  if (!object.contains("metadata")) object["metadata"] = json::object();
  if (!object["metadata"].is_object()) {
    return Fail(ErrorCode::kInvalid,
                fmt::format("{}: metadata: must be an object", document.Where("/metadata")));
  }
  return object;
}

Status CheckFlags(const TaskFlags& flags) {
  if (flags.objective.empty()) {
    return Fail(ErrorCode::kInvalid, "--objective is required: say what is to be done, or give a manifest");
  }
  if (flags.repo.empty()) {
    return Fail(ErrorCode::kInvalid, "--repo is required: the repository to change, e.g. --repo .");
  }
  return {};
}

/// The name that the flags give, or one made from the title.
std::string NameFrom(const TaskFlags& flags) {
  if (!flags.name.empty()) return flags.name;
  return Slug(flags.title.empty() ? flags.objective : flags.title) + "-" + RandomHex(2);
}

}  // namespace

void AddTaskFlags(Command verb, TaskFlags& flags) {
  verb.Option("--name", flags.name, "Name of the task; default: made from the title");
  verb.Option("--objective", flags.objective,
              "What is to be done, in plain words; @FILE reads it from a file");
  verb.Option("--title", flags.title, "One line; becomes the commit's subject");
  verb.Option("--priority", flags.priority, "HIGH, MEDIUM (the default) or LOW")
      .OneOf({"HIGH", "MEDIUM", "LOW"});
  verb.Option("--repo", flags.repo, "A repository: folder, file://, https:// or ssh:// address");
  verb.Option("--ref", flags.ref,
              "Branch, tag or commit to start from; default: the repository's default branch");
  verb.Option("--workflow", flags.workflow, "A built-in workflow or a file; default: ybis-native");
  verb.Option("--verify", flags.verify,
              "A command that must succeed, e.g. \"make test\"; again for more; default: detected");
  verb.Option("--param", flags.parameters, "NAME=VALUE for the workflow's {{NAME}}; again for more");
  verb.Option("--branch", flags.branch, "Branch to deliver to; default: ybis/NAME-RUN");
  verb.Switch("--no-sync", flags.no_sync,
              "Start from what is committed: a local checkout's uncommitted files stay behind");
  verb.Switch("--no-branch", flags.no_branch, "Keep the patch in the record, push nothing");
}

std::string GivenBesideWorkflow(const TaskFlags& flags) {
  const std::pair<const char*, bool> given[] = {
      {"--name", !flags.name.empty()},     {"--objective", !flags.objective.empty()},
      {"--title", !flags.title.empty()},   {"--priority", !flags.priority.empty()},
      {"--repo", !flags.repo.empty()},     {"--ref", !flags.ref.empty()},
      {"--verify", !flags.verify.empty()}, {"--param", !flags.parameters.empty()},
      {"--branch", !flags.branch.empty()}, {"--no-sync", flags.no_sync},
      {"--no-branch", flags.no_branch}};
  for (const auto& [flag, is_given] : given) {
    if (is_given) return flag;
  }
  return {};
}

Result<json> ReadManifest(const std::string& file, const TaskFlags& flags, const ManifestRules& rules) {
  json object = {{"apiVersion", api::kApiVersion},
                 {"kind", "YbisTask"},
                 {"metadata", json::object()},
                 {"spec", {{"delivery", {{"mode", "Branch"}}}}}};
  if (file.empty()) {
    YBIS_TRY(CheckFlags(flags));
  } else {
    YBIS_ASSIGN(object, ReadObject(file));
  }
  YBIS_TRY(Overlay(flags, rules, object["spec"]));
  if (file.empty() || !flags.name.empty()) object["metadata"]["name"] = NameFrom(flags);
  const json name = object["metadata"].value("name", json());
  YBIS_TRY(CheckTaskName(name.is_string() ? name.get<std::string>() : std::string()));
  return object;
}

Status CheckTaskName(const std::string& name) {
  const bool fits = !name.empty() && name.size() <= 63 && name.front() != '-' && name.back() != '-' &&
                    std::all_of(name.begin(), name.end(), [](char c) {
                      return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
                    });
  if (fits) return {};
  return Fail(
      ErrorCode::kInvalid,
      fmt::format("task name '{}': must be 1 to 63 lower-case letters, digits or '-', e.g. fix-login", name));
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

}  // namespace ybis::cli
