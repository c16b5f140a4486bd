#pragma once
// The flags that say where tasks live and how to get there.
#include <string>

#include "base/result.h"
#include "cli/command.h"

namespace ybis::cli {

/// The program's name as a plugin of kubectl; help and the default backend follow it.
inline constexpr const char* kPluginName = "kubectl ybis";
/// Whether a program started by this name is the plugin: kubectl-ybis or kubectl_ybis.
bool IsPluginName(const std::string& argv0);

/// Flags that every verb takes that works with tasks.
struct BackendOptions {
  std::string backend;         ///< local, cluster, or "" when neither flag nor environment says it
  std::string database_url;    ///< local
  std::string profile;         ///< local, with `config`
  std::string config_file;     ///< local, with `config`
  std::string namespace_name;  ///< cluster; "" = the context's
  std::string context;         ///< cluster
  std::string kubeconfig;      ///< cluster
  bool plugin = false;         ///< started as a plugin of kubectl
};

/// Adds --backend, --database-url, the flags of a cluster, and with `config` also --profile and --config.
void AddBackendOptions(Command verb, BackendOptions& options, bool config = false);

/// Whether the cluster is meant: --backend, else (not as kubectl's plugin, which means the cluster)
/// YBIS_BACKEND, else `backend` of the user's configuration, else local. kInvalid when a flag of the other
/// backend is given.
Result<bool> IsCluster(const BackendOptions& options);

/// For what works on this machine alone: kInvalid with the command that does it in a cluster, when that
/// backend is meant.
Status CheckBackend(const BackendOptions& options, const std::string& kubectl);

}  // namespace ybis::cli
