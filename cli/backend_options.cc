#include "cli/backend_options.h"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/yaml.h"
#include "cli/local/session.h"

namespace ybis::cli {
namespace {

/// `backend` of the user's configuration. What else is wrong with that file is said by who reads it all.
std::string ConfiguredBackend(const BackendOptions& options) {
  const Environment environment = ThisEnvironment();
  const std::string file = ConfigInputOf(options, environment, TheseFolders(environment)).file;
  if (file.empty()) return {};
  const auto text = ReadFile(file);
  if (!text) return {};
  const auto document = ParseYaml(*text, file);
  if (!document || !document->value->is_object()) return {};
  const auto found = document->value->find("backend");
  return found != document->value->end() && found->is_string() ? found->get<std::string>() : std::string();
}

}  // namespace

bool IsPluginName(const std::string& argv0) {
  const std::string name = std::filesystem::path(argv0).filename();
  return name == "kubectl-ybis" || name == "kubectl_ybis";
}

void AddBackendOptions(Command verb, BackendOptions& options, bool config) {
  options.plugin = verb.ProgramName() == kPluginName;
  Flag backend = verb.Option(
      "--backend", options.backend,
      options.plugin ? "cluster (the default) or local" : "local (the default): on this machine; or cluster");
  backend.OneOf({"local", "cluster"});
  if (!options.plugin) backend.Environment("YBIS_BACKEND");
  verb.Option("--database-url", options.database_url,
              "local: Postgres to use; default: DATABASE_URL, else a private server");
  verb.Option("-n,--namespace", options.namespace_name, "cluster: default: the context's");
  verb.Option("--context", options.context, "cluster: of the kubeconfig; default: its current one");
  verb.Option("--kubeconfig", options.kubeconfig, "cluster: default: KUBECONFIG, else ~/.kube/config");
  if (!config) return;
  verb.Option("--profile", options.profile, "dev (the default), staging or prod; also YBIS_PROFILE");
  verb.Option("--config", options.config_file,
              "Settings laid over the profile; default: YBIS_CONFIG, else ~/.config/ybis/config.yaml");
}

Result<bool> IsCluster(const BackendOptions& options) {
  std::string backend = options.backend;
  if (backend.empty()) backend = options.plugin ? "cluster" : ConfiguredBackend(options);
  const bool cluster = backend == "cluster";
  if (cluster && !options.database_url.empty())
    return Fail(ErrorCode::kInvalid, "--database-url: is for --backend local; the operator has its own");
  const auto foreign = [&](const std::string& value, const char* flag) -> Status {
    if (cluster || value.empty()) return {};
    return Fail(ErrorCode::kInvalid, fmt::format("{}: is for a cluster; add --backend cluster", flag));
  };
  YBIS_TRY(foreign(options.namespace_name, "--namespace"));
  YBIS_TRY(foreign(options.context, "--context"));
  YBIS_TRY(foreign(options.kubeconfig, "--kubeconfig"));
  return cluster;
}

Status CheckBackend(const BackendOptions& options, const std::string& kubectl) {
  YBIS_ASSIGN(const bool cluster, IsCluster(options));
  if (!cluster) return {};
  return Fail(
      ErrorCode::kInvalid,
      fmt::format("this command works on this machine alone (--backend local); in a cluster use\n  {}",
                  kubectl));
}

}  // namespace ybis::cli
