#include "control/config.h"

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/json.h"
#include "base/yaml.h"

namespace ybis::control {

/// The profiles' texts by file name; made at build from configs/profiles (ybis_embed).
std::string_view ProfileFile(std::string_view name);

namespace {

using nlohmann::json;

constexpr std::string_view kOverridePrefix = "YBIS_CONFIG__";

ModelConfig ReadModel(const json& object, const std::string& path, ObjectReader& parent) {
  ObjectReader reader(object, path);
  ModelConfig out;
  out.name = reader.RequiredString("name");
  out.provider = reader.Choice("provider", "openai", {"openai", "replay"});
  out.endpoint = reader.String("endpoint");
  out.model = reader.String("model", out.name);
  out.api_key_file = reader.String("apiKeyFile");
  out.ca_file = reader.String("caFile");
  out.replay_dir = reader.String("replayDir");
  out.record_dir = reader.String("recordDir");
  out.timeout_seconds = reader.Int("timeoutSeconds", out.timeout_seconds, 1, 3600);
  out.max_attempts = reader.Int("maxAttempts", out.max_attempts, 1, 20);
  out.max_output_tokens = reader.Int("maxOutputTokens", out.max_output_tokens, 1, 1'000'000);
  out.max_tokens_parameter =
      reader.Choice("maxTokensParameter", out.max_tokens_parameter, {"max_tokens", "max_completion_tokens"});
  out.response_format =
      reader.Choice("responseFormat", out.response_format, {"json_schema", "json_object", "none"});
  out.max_concurrent = reader.Int("maxConcurrent", out.max_concurrent, 1, 1000);
  out.requests_per_minute = reader.Int("requestsPerMinute", 0, 0, 1'000'000);
  out.input_usd_per_million_tokens = reader.Number("inputUSDPerMillionTokens", 0, 0, 1e6);
  out.output_usd_per_million_tokens = reader.Number("outputUSDPerMillionTokens", 0, 0, 1e6);
  const bool http = out.endpoint.starts_with("http://") || out.endpoint.starts_with("https://");
  if (out.provider == "openai" && !http)
    reader.Problem(path +
                   ".endpoint: must be an http:// or https:// URL, e.g. https://models.example.com/v1");
  const size_t host = out.endpoint.find("://");
  if (host != std::string::npos &&
      out.endpoint.substr(host + 3, out.endpoint.find_first_of("/?#", host + 3) - host - 3).find('@') !=
          std::string::npos)
    reader.Problem(path +
                   ".endpoint: must not hold a user or password, since it is shown; put the key into "
                   "a file that apiKeyFile names");
  if (out.provider == "replay" && out.replay_dir.empty())
    reader.Problem(path + ".replayDir: is required for provider replay");
  parent.Adopt(reader.Finish());
  return out;
}

void ReadModels(ObjectReader& reader, Config& out) {
  out.default_model = reader.String("defaultModel");
  const json* models = reader.Array("models");
  if (models == nullptr) return;
  out.models.clear();
  for (size_t i = 0; i < models->size(); ++i) {
    ModelConfig model = ReadModel((*models)[i], fmt::format("models[{}]", i), reader);
    if (out.FindModel(model.name) != nullptr)
      reader.Problem(fmt::format("models[{}].name: '{}' stands twice", i, model.name));
    out.models.push_back(std::move(model));
  }
  if (out.default_model.empty() && !out.models.empty()) out.default_model = out.models.front().name;
  if (!out.default_model.empty() && out.FindModel(out.default_model) == nullptr) {
    reader.Problem(fmt::format("defaultModel: '{}' is none of models", out.default_model));
  }
}

template <class Read>
void ReadSection(ObjectReader& reader, std::string_view key, Read read) {
  const json* object = reader.Object(key);
  if (object == nullptr) return;
  ObjectReader section(*object, std::string(key));
  read(section);
  reader.Adopt(section.Finish());
}

void ReadLimits(ObjectReader& reader, LimitsConfig& out) {
  out.admission.total = reader.Int("maxRuns", out.admission.total, 1, 100'000);
  out.admission.per_namespace = reader.Int("maxRunsPerNamespace", out.admission.per_namespace, 1, 100'000);
  out.admission.per_repository_branch =
      reader.Int("maxRunsPerRepositoryBranch", out.admission.per_repository_branch, 1, 1000);
  out.max_tokens_per_run = reader.Int("maxTokensPerRun", out.max_tokens_per_run, 1, 1'000'000'000);
  // Not 0: that would be no limit at all to the gateway, and the lowest one to whoever writes it.
  out.max_cost_usd_per_run = reader.Number("maxCostUSDPerRun", out.max_cost_usd_per_run, 0.0001, 1e6);
  out.max_timeout_seconds = reader.Int("maxTimeoutSeconds", out.max_timeout_seconds, 10, 604'800);
}

void ReadLease(ObjectReader& reader, LeaseConfig& out) {
  out.lease_seconds = reader.Int("leaseSeconds", out.lease_seconds, 3, 86'400);
  out.heartbeat_seconds = reader.Int("heartbeatSeconds", out.heartbeat_seconds, 1, 3600);
  out.sweep_seconds = reader.Int("sweepSeconds", out.sweep_seconds, 1, 3600);
  if (out.heartbeat_seconds * 2 > out.lease_seconds) {
    reader.Problem(reader.PathOf("heartbeatSeconds") +
                   ": must be at most half of leaseSeconds, else a lease ends between two heartbeats");
  }
}

void ReadPolicy(ObjectReader& reader, PolicyConfig& out) {
  if (reader.Array("protectedPaths") != nullptr) out.protected_paths = reader.Strings("protectedPaths");
  out.max_changed_files = reader.Int("maxChangedFiles", out.max_changed_files, 1, 100'000);
  out.max_diff_bytes = reader.Int("maxDiffBytes", out.max_diff_bytes, 1, api::kMaxPatchBytes);
  out.allow_network = reader.Bool("allowNetwork", out.allow_network);
  out.sandbox_best_effort = reader.Choice("sandbox", "enforce", {"enforce", "best-effort"}) == "best-effort";
  out.exec_allow = reader.Strings("execAllow");
}

void ReadQuantities(ObjectReader& reader, std::string_view key, std::map<std::string, std::string>& out) {
  const json* object = reader.Object(key);
  if (object == nullptr) return;
  out.clear();
  for (const auto& [name, value] : object->items()) {
    if (value.is_string()) {
      out[name] = value.get<std::string>();
    } else if (value.is_number_integer()) {
      out[name] = std::to_string(value.get<int64_t>());
    } else {
      reader.Problem(fmt::format("{}.{}: must be a quantity such as 500m or 2Gi", reader.PathOf(key), name));
    }
  }
}

void ReadRunner(ObjectReader& reader, RunnerConfig& out) {
  out.image = reader.String("image", out.image);
  out.image_allow = reader.Strings("imageAllow");
  out.image_pull_policy =
      reader.Choice("imagePullPolicy", out.image_pull_policy, {"Always", "IfNotPresent", "Never"});
  out.image_pull_secrets = reader.Strings("imagePullSecrets");
  out.credentials_secret_allow = reader.Strings("credentialsSecretAllow");
  out.service_account = reader.String("serviceAccount", out.service_account);
  out.workspace_medium = reader.Choice("workspaceMedium", out.workspace_medium, {"Volume", "EmptyDir"});
  out.workspace_size = reader.String("workspaceSize", out.workspace_size);
  out.storage_class_name = reader.String("storageClassName", out.storage_class_name);
  out.ttl_seconds_after_finished =
      reader.Int("ttlSecondsAfterFinished", out.ttl_seconds_after_finished, 0, 604'800);
  ReadQuantities(reader, "requests", out.requests);
  ReadQuantities(reader, "limits", out.limits);
}

void ReadHealth(ObjectReader& reader, HealthConfig& out) {
  out.interval_seconds = reader.Int("intervalSeconds", out.interval_seconds, 1, 3600);
  out.min_free_disk_mib = reader.Int("minFreeDiskMiB", out.min_free_disk_mib, 0, 1'000'000'000);
  out.max_backup_age_hours = reader.Int("maxBackupAgeHours", out.max_backup_age_hours, 0, 87'600);
  out.backup_folder = reader.String("backupFolder");
  if (!out.backup_folder.empty() && !out.backup_folder.starts_with('/'))
    reader.Problem(reader.PathOf("backupFolder") + ": must be an absolute path");
}

Result<Config> ReadConfig(const json& document) {
  ObjectReader reader(document, "");
  Config out;
  out.log_level = reader.Choice("logLevel", out.log_level, {"debug", "info", "warn", "error"});
  out.log_format = reader.Choice("logFormat", out.log_format, {"text", "json"});
  // For the command line alone: which backend its verbs mean when nothing else says it.
  reader.Choice("backend", "local", {"local", "cluster"});
  ReadModels(reader, out);
  ReadSection(reader, "limits", [&](ObjectReader& r) { ReadLimits(r, out.limits); });
  ReadSection(reader, "lease", [&](ObjectReader& r) { ReadLease(r, out.lease); });
  ReadSection(reader, "policy", [&](ObjectReader& r) { ReadPolicy(r, out.policy); });
  ReadSection(reader, "runner", [&](ObjectReader& r) { ReadRunner(r, out.runner); });
  ReadSection(reader, "local", [&](ObjectReader& r) {
    out.local.database_idle_seconds =
        r.Int("databaseIdleSeconds", out.local.database_idle_seconds, 0, 31'536'000);
  });
  ReadSection(reader, "approvals", [&](ObjectReader& r) {
    out.approvals.require_admission_policy =
        r.Bool("requireAdmissionPolicy", out.approvals.require_admission_policy);
  });
  ReadSection(reader, "health", [&](ObjectReader& r) { ReadHealth(r, out.health); });
  YBIS_TRY(reader.Finish());
  return out;
}

/// Lays `over` on `base`: objects merge, everything else replaces.
void Overlay(json& base, const json& over) {
  if (!base.is_object() || !over.is_object()) {
    base = over;
    return;
  }
  for (const auto& [key, value] : over.items()) Overlay(base[key], value);
}

/// The key of `object` that equals `name` but for case and underscores, so that MAX_RUNS finds maxRuns; else
/// `name`.
std::string MatchKey(const json& object, const std::string& name) {
  const auto fold = [](const std::string& text) {
    std::string out;
    for (const char c : text) {
      if (c != '_') out.push_back(static_cast<char>(std::tolower(static_cast<unsigned char>(c))));
    }
    return out;
  };
  for (const auto& [key, value] : object.items()) {
    if (fold(key) == fold(name)) return key;
  }
  return name;
}

/// Every key there is, so that environment names find their spelling.
json Skeleton() {
  return json::parse(R"({"logLevel":0,"logFormat":0,"defaultModel":0,"models":0,"backend":0,
    "limits":{"maxRuns":0,"maxRunsPerNamespace":0,"maxRunsPerRepositoryBranch":0,"maxTokensPerRun":0,"maxCostUSDPerRun":0,"maxTimeoutSeconds":0},
    "lease":{"leaseSeconds":0,"heartbeatSeconds":0,"sweepSeconds":0},
    "policy":{"protectedPaths":0,"maxChangedFiles":0,"maxDiffBytes":0,"allowNetwork":0,"sandbox":0,"execAllow":0},
    "runner":{"image":0,"imageAllow":0,"imagePullPolicy":0,"imagePullSecrets":0,"credentialsSecretAllow":0,
              "serviceAccount":0,"workspaceMedium":0,"workspaceSize":0,
              "storageClassName":0,"ttlSecondsAfterFinished":0,"requests":{},"limits":{}},
    "local":{"databaseIdleSeconds":0},
    "approvals":{"requireAdmissionPolicy":0},
    "health":{"intervalSeconds":0,"minFreeDiskMiB":0,"maxBackupAgeHours":0,"backupFolder":0}})");
}

/// Sets what the variable names, and gives its path as error messages have it ("limits.maxRuns").
Result<std::string> ApplyOverride(json& document, const std::string& variable, const std::string& text) {
  YBIS_ASSIGN(const YamlDocument value, ParseYaml(text, variable));
  json* at = &document;
  const json skeleton = Skeleton();
  const json* known = &skeleton;
  std::string path;
  std::string_view rest = std::string_view(variable).substr(kOverridePrefix.size());
  for (;;) {
    const size_t end = rest.find("__");
    const std::string name(rest.substr(0, end));
    const std::string key = known->is_object() ? MatchKey(*known, name) : name;
    if (!known->is_object() || (!known->empty() && !known->contains(key))) {
      return Fail(ErrorCode::kInvalid,
                  fmt::format("environment variable {}: no setting is called so", variable));
    }
    if (!at->is_object() && !at->is_null()) {
      return Fail(
          ErrorCode::kInvalid,
          fmt::format("environment variable {}: {} is set to something that has no parts", variable, path));
    }
    at = &(*at)[key];
    path += (path.empty() ? "" : ".") + key;
    if (end == std::string_view::npos) break;
    known = &(*known)[key];
    rest.remove_prefix(end + 2);
  }
  *at = *value.value;
  return path;
}

/// Lays the variables over the document; gives which variable set which path.
Result<std::map<std::string, std::string>> LayVariables(
    json& document, const std::map<std::string, std::string>& environment) {
  std::map<std::string, std::string> variables;
  for (const auto& [name, value] : environment) {
    if (!name.starts_with(kOverridePrefix)) continue;
    YBIS_ASSIGN(const std::string path, ApplyOverride(document, name, value));
    variables[path] = name;
  }
  return variables;
}

/// The same; they are judged together, since one may need another, and an error names the variable that it
/// comes from.
Status ApplyOverrides(json& document, const std::map<std::string, std::string>& environment) {
  YBIS_ASSIGN(const auto variables, LayVariables(document, environment));
  const auto config = ReadConfig(document);
  if (config) return {};
  const std::string_view message = config.error().message;
  for (const auto& [path, name] : variables) {
    const std::string_view next = message.substr(std::min(path.size(), message.size()), 1);
    if (message.starts_with(path) && (next == ":" || next == "." || next == "[")) {
      return Fail(ErrorCode::kInvalid, fmt::format("environment variable {}: {}", name, message));
    }
  }
  return Fail(config.error());
}

/// Judges a layer together with what lies below it; an error names the layer's own file and line.
Status CheckLayer(const YamlDocument& document, const json& merged) {
  const auto config = ReadConfig(merged);
  if (config) return {};
  const std::string& message = config.error().message;
  std::string pointer = "/" + message.substr(0, message.find(':'));
  for (char& c : pointer) {
    if (c == '.' || c == '[') c = '/';
  }
  std::erase(pointer, ']');
  return Fail(ErrorCode::kInvalid, fmt::format("{}: {}", document.Where(pointer), message));
}

}  // namespace

const ModelConfig* Config::FindModel(std::string_view name) const {
  const std::string_view wanted = name.empty() ? std::string_view(default_model) : name;
  for (const ModelConfig& model : models) {
    if (model.name == wanted) return &model;
  }
  return nullptr;
}

Result<std::vector<ConfigLayer>> ReadConfigLayers(const ConfigInput& input) {
  const std::string_view profile = ProfileFile(input.profile + ".yaml");
  if (profile.empty()) {
    return Fail(
        ErrorCode::kInvalid,
        fmt::format("profile '{}' is none of dev, staging, prod (YBIS_PROFILE or --profile)", input.profile));
  }
  std::vector<ConfigLayer> layers;
  YBIS_ASSIGN(const YamlDocument base, ParseYaml(profile, input.profile + ".yaml"));
  layers.push_back({"profile " + input.profile, base.value});
  json document = *base.value;
  if (!input.file.empty()) {
    YBIS_ASSIGN(const std::string text, ReadFile(input.file));
    YBIS_ASSIGN(const YamlDocument layer, ParseYaml(text, input.file));
    if (!layer.value->is_null()) {
      Overlay(document, *layer.value);
      YBIS_TRY(CheckLayer(layer, document));
      layers.push_back({input.file, layer.value});
    }
  }
  json overrides = json::object();
  YBIS_TRY(LayVariables(overrides, input.environment));
  layers.push_back({"environment", std::make_shared<const json>(std::move(overrides))});
  return layers;
}

Result<Config> LoadConfig(const ConfigInput& input) {
  YBIS_ASSIGN(const std::vector<ConfigLayer> layers, ReadConfigLayers(input));
  json document = json::object();
  for (const ConfigLayer& layer : layers) {
    if (layer.source != "environment") Overlay(document, *layer.document);
  }
  // Not laid over: a variable that names an object takes its whole place.
  YBIS_TRY(ApplyOverrides(document, input.environment));
  YBIS_ASSIGN(Config config, ReadConfig(document));
  config.profile = input.profile;
  return config;
}

int64_t DefaultTimeoutSeconds(const Config& config) {
  return std::min(api::kDefaultTimeoutSeconds, config.limits.max_timeout_seconds);
}

int64_t TimeoutSeconds(const Config& config, const api::TaskSpec& spec) {
  return spec.limits.timeout_seconds > 0 ? spec.limits.timeout_seconds : DefaultTimeoutSeconds(config);
}

api::RunPolicy EffectivePolicy(const Config& config, const api::TaskSpec& spec) {
  api::RunPolicy out;
  out.protected_paths = config.policy.protected_paths;
  out.protected_paths.insert(out.protected_paths.end(), spec.policy.protected_paths.begin(),
                             spec.policy.protected_paths.end());
  const auto tighter = [](int64_t ours, int64_t theirs) {
    return theirs > 0 ? std::min(ours, theirs) : ours;
  };
  out.max_changed_files = tighter(config.policy.max_changed_files, spec.policy.max_changed_files);
  out.max_diff_bytes = tighter(config.policy.max_diff_bytes, spec.policy.max_diff_bytes);
  out.network = config.policy.allow_network && spec.policy.network;
  out.sandbox_best_effort = config.policy.sandbox_best_effort;
  out.exec_allow = config.policy.exec_allow;
  return out;
}

}  // namespace ybis::control
