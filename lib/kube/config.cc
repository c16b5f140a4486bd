// The connection of a program inside a pod, and the choice between that and a kubeconfig.
#include "kube/config.h"

#include <fmt/format.h>
#include <unistd.h>

#include "base/file.h"
#include "kube/token_source.h"

namespace ybis::kube {
namespace {

std::string Find(const Environment& env, const std::string& name) {
  const auto found = env.find(name);
  return found == env.end() ? std::string() : found->second;
}

std::string TrimEnd(std::string text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back())) != 0) text.pop_back();
  return text;
}

}  // namespace

Environment ProcessEnvironment() {
  Environment env;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const size_t equals = text.find('=');
    if (equals != std::string_view::npos) env.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return env;
}

Result<Connection> InClusterConnection(const Environment& env, Clock& clock,
                                       const std::filesystem::path& directory) {
  const std::string host = Find(env, "KUBERNETES_SERVICE_HOST");
  const std::string port = Find(env, "KUBERNETES_SERVICE_PORT");
  if (host.empty() || port.empty()) {
    return Fail(ErrorCode::kNotFound,
                "not in a cluster: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set");
  }
  Connection connection;
  connection.source = "in-cluster";
  // URLs with IPv6 addresses are refused (http/url.h). Every cluster's API server has this name, and its
  // certificate covers it.
  const bool ipv6 = host.find(':') != std::string::npos;
  connection.server = fmt::format("https://{}:{}", ipv6 ? "kubernetes.default.svc" : host, port);
  connection.tls.system_roots = false;
  connection.tls.ca_file = directory / "ca.crt";
  YBIS_TRY(ReadFile(connection.tls.ca_file));
  connection.token = std::make_shared<FileToken>(directory / "token", clock);
  YBIS_TRY(connection.token->Token({}));
  if (const auto ns = ReadFile(directory / "namespace", 256)) connection.default_namespace = TrimEnd(*ns);
  return connection;
}

Result<Connection> FindConnection(const KubeconfigOptions& options, Clock& clock, std::stop_token stop) {
  const Environment env = ProcessEnvironment();
  const bool asked = !options.files.empty() || !options.context.empty() || !Find(env, "KUBECONFIG").empty();
  if (!asked && !Find(env, "KUBERNETES_SERVICE_HOST").empty()) return InClusterConnection(env, clock);
  return KubeconfigConnection(options, env, clock, stop);
}

}  // namespace ybis::kube
