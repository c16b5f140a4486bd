// ybis config show: the settings that count on one machine, and which layer each came from.
#include <nlohmann/json.hpp>

#include "base/json.h"
#include "base/log.h"
#include "cli/local/session.h"
#include "cli/table.h"
#include "cli/verb.h"

namespace ybis::cli {
namespace {

using nlohmann::json;

constexpr const char* kKubectl =
    "kubectl -n ybis-system get configmap ybis-operator -o yaml   (the operator's settings)";

json ModelJson(const control::ModelConfig& model) {
  return {{"name", model.name},
          {"provider", model.provider},
          {"endpoint", model.endpoint},
          {"model", model.model},
          {"apiKeyFile", model.api_key_file},
          {"caFile", model.ca_file},
          {"replayDir", model.replay_dir},
          {"recordDir", model.record_dir},
          {"timeoutSeconds", model.timeout_seconds},
          {"maxAttempts", model.max_attempts},
          {"maxOutputTokens", model.max_output_tokens},
          {"maxTokensParameter", model.max_tokens_parameter},
          {"responseFormat", model.response_format},
          {"maxConcurrent", model.max_concurrent},
          {"requestsPerMinute", model.requests_per_minute},
          {"inputUSDPerMillionTokens", model.input_usd_per_million_tokens},
          {"outputUSDPerMillionTokens", model.output_usd_per_million_tokens}};
}

/// What counts on one machine; images and volumes are the cluster's.
json ConfigJson(const control::Config& config) {
  json models = json::array();
  for (const auto& model : config.models) models.push_back(ModelJson(model));
  return {{"logLevel", config.log_level},
          {"logFormat", config.log_format},
          {"defaultModel", config.default_model},
          {"models", models},
          {"limits",
           {{"maxRuns", config.limits.admission.total},
            {"maxRunsPerNamespace", config.limits.admission.per_namespace},
            {"maxRunsPerRepositoryBranch", config.limits.admission.per_repository_branch},
            {"maxTokensPerRun", config.limits.max_tokens_per_run},
            {"maxCostUSDPerRun", config.limits.max_cost_usd_per_run},
            {"maxTimeoutSeconds", config.limits.max_timeout_seconds}}},
          {"lease",
           {{"leaseSeconds", config.lease.lease_seconds},
            {"heartbeatSeconds", config.lease.heartbeat_seconds},
            {"sweepSeconds", config.lease.sweep_seconds}}},
          {"policy",
           {{"protectedPaths", config.policy.protected_paths},
            {"maxChangedFiles", config.policy.max_changed_files},
            {"maxDiffBytes", config.policy.max_diff_bytes},
            {"allowNetwork", config.policy.allow_network},
            {"sandbox", config.policy.sandbox_best_effort ? "best-effort" : "enforce"},
            {"execAllow", config.policy.exec_allow}}},
          {"local", {{"databaseIdleSeconds", config.local.database_idle_seconds}}},
          {"approvals", {{"requireAdmissionPolicy", config.approvals.require_admission_policy}}},
          {"health",
           {{"intervalSeconds", config.health.interval_seconds},
            {"minFreeDiskMiB", config.health.min_free_disk_mib},
            {"maxBackupAgeHours", config.health.max_backup_age_hours},
            {"backupFolder", config.health.backup_folder}}}};
}

/// The configuration as it holds, and what each layer says of it.
struct Settings {
  json whole;
  std::vector<control::ConfigLayer> layers;
};

Result<Settings> LoadSettings(const BackendOptions& options) {
  const Environment environment = ThisEnvironment();
  const control::ConfigInput input = ConfigInputOf(options, environment, TheseFolders(environment));
  Settings settings;
  YBIS_ASSIGN(const auto whole, control::LoadConfig(input));
  settings.whole = ConfigJson(whole);
  YBIS_ASSIGN(settings.layers, control::ReadConfigLayers(input));
  return settings;
}

/// The highest layer that says something there, the same as a lower one or not. A list comes whole from one.
std::string SourceOf(const Settings& settings, const json::json_pointer& at) {
  const auto says = [](const json& document, const std::string& pointer) {
    return document.is_object() && document.contains(json::json_pointer(pointer));
  };
  std::string pointer = at.to_string();
  if (pointer.starts_with("/models/")) pointer = "/models";
  for (auto layer = settings.layers.rbegin(); layer != settings.layers.rend(); ++layer) {
    // The first model is the default one when nothing else is said.
    if (says(*layer->document, pointer) || (pointer == "/defaultModel" && says(*layer->document, "/models")))
      return layer->source;
  }
  return "default";
}

void AddRows(const Settings& settings, const json& value, const std::string& path,
             const json::json_pointer& at, Table& table) {
  if (value.is_object()) {
    for (const auto& [key, member] : value.items()) {
      AddRows(settings, member, path.empty() ? key : path + "." + key, at / key, table);
    }
    return;
  }
  if (path == "models" && !value.empty()) {
    for (size_t i = 0; i < value.size(); ++i)
      AddRows(settings, value[i], fmt::format("models[{}]", i), at / i, table);
    return;
  }
  const std::string text = value.is_string() ? value.get<std::string>() : DumpJson(value);
  table.Add({path, log::Redact(OneLine(text.empty() ? "-" : text, 80)), SourceOf(settings, at)});
}

/// The same shape with {value, source} in the place of every value.
json WithSources(const Settings& settings, const json& value, const json::json_pointer& at) {
  json out;
  if (value.is_object()) {
    out = json::object();
    for (const auto& [key, member] : value.items()) out[key] = WithSources(settings, member, at / key);
  } else if (at.to_string() == "/models") {
    out = json::array();
    for (size_t i = 0; i < value.size(); ++i) out.push_back(WithSources(settings, value[i], at / i));
  } else {
    const bool text = value.is_string();
    out = {{"value", text ? json(log::Redact(value.get<std::string>())) : value},
           {"source", SourceOf(settings, at)}};
  }
  return out;
}

struct Options {
  BackendOptions backend;
  std::string output = "table";
};

int Show(Context& context, const Options& options) {
  if (const Status backend = CheckBackend(options.backend, kKubectl); !backend)
    return Explain(context, backend.error());
  const auto settings = LoadSettings(options.backend);
  if (!settings) return Explain(context, settings.error());
  const Environment environment = ThisEnvironment();
  const DatabasePlace place = PlaceOf(options.backend, environment);
  const std::string database =
      place.url.empty() ? TheseFolders(environment).Postgres().string() : std::string("***");
  if (options.output != "table") {
    json value = WithSources(*settings, settings->whole, json::json_pointer());
    value["database"] = {{"value", database}, {"source", place.source}};
    context.out << (options.output == "json" ? DumpJsonPretty(value) : ToYaml(value));
    return kExitOk;
  }
  Table table({"SETTING", "VALUE", "SOURCE"});
  table.Add({"database", database, place.source});
  AddRows(*settings, settings->whole, "", json::json_pointer(), table);
  table.Print(context.out);
  return kExitOk;
}

}  // namespace

void AddConfig(Command app, Context& context) {
  Command verb = app.Add("config", "Show the effective configuration");
  verb.NeedsSubcommand();
  auto options = std::make_shared<Options>();
  Command show =
      verb.Add("show", "Show the settings of this machine with the layer each came from; secrets are masked");
  show.Option("-o,--output", options->output, "table, json or yaml").OneOf({"table", "json", "yaml"});
  AddBackendOptions(show, options->backend, true);
  show.Footer("Examples:\n  ybis config show\n  ybis config show --profile prod -o yaml");
  show.OnParsed(
      [&context, options] { context.action = [&context, options] { return Show(context, *options); }; });
}

}  // namespace ybis::cli
