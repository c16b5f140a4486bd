#pragma once
// The configuration of the control core: profile, then the configuration file, then environment overrides.
// Strict: unknown keys and wrong types are errors that name file, line and key.
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "api/run_api.h"
#include "base/result.h"
#include "control/run_record.h"

namespace ybis::control {

/// One model that tasks may use.
struct ModelConfig {
  std::string name;                 ///< as tasks name it
  std::string provider = "openai";  ///< openai (any OpenAI-compatible endpoint) or replay
  std::string endpoint;             ///< base URL, e.g. https://models.example.com/v1
  std::string model;                ///< the endpoint's own name for it; empty = name
  std::string api_key_file;         ///< read anew for each call; empty = none is sent
  std::string ca_file;              ///< empty = the system's roots
  std::string replay_dir;           ///< provider replay: folder of recorded exchanges
  std::string record_dir;           ///< when set, every exchange is written there
  int64_t timeout_seconds = 300;    ///< of one attempt
  int64_t max_attempts = 5;
  int64_t max_output_tokens = 8192;
  std::string max_tokens_parameter = "max_tokens";  ///< or max_completion_tokens
  std::string response_format = "json_schema";      ///< or json_object, none
  int64_t max_concurrent = 8;
  int64_t requests_per_minute = 0;  ///< 0 = no limit
  double input_usd_per_million_tokens = 0;
  double output_usd_per_million_tokens = 0;
};

struct LimitsConfig {
  AdmissionLimits admission;
  int64_t max_tokens_per_run = 2'000'000;
  double max_cost_usd_per_run = 20;
  int64_t max_timeout_seconds = 24 * 3600;
};

struct LeaseConfig {
  int64_t lease_seconds = 300;
  int64_t heartbeat_seconds = 60;
  int64_t sweep_seconds = 15;
};

struct PolicyConfig {
  std::vector<std::string> protected_paths;
  int64_t max_changed_files = 100;
  int64_t max_diff_bytes = 1024 * 1024;
  bool allow_network = false;           ///< whether a task may ask for it
  bool sandbox_best_effort = false;     ///< sandbox: best-effort
  std::vector<std::string> exec_allow;  ///< programs that verification may run; empty = any
};

struct RunnerConfig {
  std::string image;
  std::vector<std::string> image_allow;  ///< prefixes or exact names that spec.runner.image must match
  std::string image_pull_policy = "IfNotPresent";
  std::vector<std::string> image_pull_secrets;  ///< names in the task's namespace, for the image's registry
  /// What spec.repository.credentialsSecretRef may name: exact names, prefixes that end in '*'; empty = any.
  std::vector<std::string> credentials_secret_allow;
  std::string service_account;  ///< of the task's namespace; empty = default
  std::string workspace_medium = "Volume";
  std::string workspace_size = "2Gi";
  std::string storage_class_name;
  int64_t ttl_seconds_after_finished = 3600;
  std::map<std::string, std::string> requests = {{"cpu", "100m"}, {"memory", "256Mi"}};
  std::map<std::string, std::string> limits = {{"memory", "2Gi"}};
};

/// The private database of one machine (local backend).
struct LocalConfig {
  int64_t database_idle_seconds = 900;  ///< without a user before it is stopped; 0 = never
};

/// Whose word an approval is (cluster).
struct ApprovalsConfig {
  /// An approval counts only when the admission policy pinned spec.approver to its maker.
  bool require_admission_policy = true;
};

/// When the health checks speak up.
struct HealthConfig {
  int64_t interval_seconds = 30;     ///< between looks of a process that stays (operator, worker)
  int64_t min_free_disk_mib = 1024;  ///< below it a warning; a tenth of it is broken
  int64_t max_backup_age_hours = 0;  ///< 0 = backups are not asked for
  std::string backup_folder;         ///< where they lie; empty = backups in the data folder
};

struct Config {
  std::string profile;
  std::string log_level = "info";
  std::string log_format = "text";
  std::string default_model;
  std::vector<ModelConfig> models;
  LimitsConfig limits;
  LeaseConfig lease;
  PolicyConfig policy;
  RunnerConfig runner;
  LocalConfig local;
  ApprovalsConfig approvals;
  HealthConfig health;

  const ModelConfig* FindModel(
      std::string_view name) const;  ///< empty name = the default; nullptr = not configured
};

struct ConfigInput {
  std::string profile = "prod";  ///< dev, staging or prod
  std::string file;              ///< path of a YAML file laid over the profile; empty = none
  std::map<std::string, std::string> environment;  ///< YBIS_CONFIG__LIMITS__MAXRUNS=5 sets limits.maxRuns
};

/// What one layer says, keys spelt as they are.
struct ConfigLayer {
  std::string source;  ///< "profile dev", the file's path, "environment"
  std::shared_ptr<const nlohmann::json> document;
};
/// The layers from the lowest to the highest, for who wants to know where a value came from.
Result<std::vector<ConfigLayer>> ReadConfigLayers(const ConfigInput& input);

/// The effective configuration. Checks sense too: the default model exists, heartbeat < lease, and so on.
Result<Config> LoadConfig(const ConfigInput& input);

/// How long a run of a task may take that does not say it itself.
int64_t DefaultTimeoutSeconds(const Config& config);
/// How long one of this task may take.
int64_t TimeoutSeconds(const Config& config, const api::TaskSpec& spec);

/// The policy a run gets: the operator's, tightened by the task's.
api::RunPolicy EffectivePolicy(const Config& config, const api::TaskSpec& spec);

}  // namespace ybis::control
