#include "cli/cluster/connection.h"

#include <fmt/format.h>

#include "base/clock.h"

namespace ybis::cli {
namespace {

/// Artifacts may be this large, and a message around one a little larger.
constexpr size_t kMaxAnswer = 40 * 1024 * 1024;

/// What the API server said, without the request line before it.
std::string Said(const std::string& message, const char* marker) {
  const size_t at = message.find(marker);
  return at == std::string::npos ? message : message.substr(at + std::string_view(marker).size());
}

}  // namespace

Result<Cluster> Connect(const BackendOptions& options, std::stop_token stop) {
  kube::KubeconfigOptions where;
  where.context = options.context;
  if (!options.kubeconfig.empty()) where.files.emplace_back(options.kubeconfig);
  auto connection = kube::FindConnection(where, SystemClock(), stop);
  if (!connection) return FailIn("no cluster to speak to", connection.error());
  Cluster cluster;
  cluster.source = fmt::format("{} ({})", connection->server, connection->source);
  cluster.namespace_name =
      options.namespace_name.empty() ? connection->default_namespace : options.namespace_name;
  kube::ClientSettings settings;
  settings.user_agent = "ybis";
  settings.max_object_bytes = kMaxAnswer;
  settings.max_retries = 1;  // a person waits
  settings.field_validation = "Strict";
  cluster.client = kube::KubeClient::Make(std::move(*connection), SystemClock(), std::move(settings));
  return cluster;
}

Error Explained(Error error, const std::string& source, const std::string& role) {
  const auto has = [&error](const char* text) { return error.message.find(text) != std::string::npos; };
  if (error.code == ErrorCode::kDenied && has(" 401 ")) {
    error.message =
        fmt::format("{} refuses your credentials; renew those of its user in the kubeconfig", source);
  } else if (error.code == ErrorCode::kDenied) {
    error.message = fmt::format("not allowed: {}", Said(error.message, " Forbidden: "));
    if (!role.empty())
      error.message += fmt::format("; ask for the ClusterRole {} in that namespace (chart ybis)", role);
  } else if ((error.code == ErrorCode::kUnavailable || error.code == ErrorCode::kTimeout) && !has(" 50") &&
             !has("record.ybis.dev")) {
    error.message = fmt::format("no cluster answers at {}: {}", source, error.message);
  } else if (error.code == ErrorCode::kNotFound && has("the server could not find the requested resource")) {
    error.code = ErrorCode::kUnsupported;
    error.message = fmt::format("{} does not know this kind of YBIS; install the chart ybis first ({})",
                                source, error.message);
  } else if (error.code == ErrorCode::kInvalid) {
    error.message = Said(error.message, " Invalid: ");
  }
  return error;
}

}  // namespace ybis::cli
