#pragma once
// Where the API server is and how to prove who we are: from inside a pod, or from kubeconfig files.
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "http/client.h"

namespace ybis::kube {

/// Gives the bearer token for each request. Thread-safe.
class TokenSource {
 public:
  virtual ~TokenSource() = default;
  /// The token, or "" when the client certificate alone identifies us. Errors name the file or program asked.
  virtual Result<std::string> Token(std::stop_token stop) = 0;
  /// The server refused the last token (401): the next call must not answer from a cache.
  virtual void Refused() {}
};

/// All that is needed to reach an API server. Copies share the token source.
struct Connection {
  std::string server;  ///< "https://10.0.0.1:443", no slash at its end
  std::string default_namespace = "default";
  http::TlsSettings tls;               ///< never the system's roots unless the configuration names no CA
  std::shared_ptr<TokenSource> token;  ///< may be null: no token
  std::string source;                  ///< for messages: the file and context, or "in-cluster"
};

using Environment = std::map<std::string, std::string>;
/// This process' environment.
Environment ProcessEnvironment();

/// From KUBERNETES_SERVICE_HOST and _PORT and the service account's files in `directory`; the token file is
/// read again every minute and after a 401.
Result<Connection> InClusterConnection(
    const Environment& env, Clock& clock,
    const std::filesystem::path& directory = "/var/run/secrets/kubernetes.io/serviceaccount");

struct KubeconfigOptions {
  std::vector<std::filesystem::path> files;  ///< empty = KUBECONFIG's list, else $HOME/.kube/config
  std::string context;                       ///< empty = current-context
};

/// From kubeconfig files, merged as kubectl does (the first to set a value wins). Errors name file and field.
/// Refused with a message that says so: insecure-skip-tls-verify, basic authentication, auth providers,
/// proxies, impersonation.
Result<Connection> KubeconfigConnection(const KubeconfigOptions& options, const Environment& env,
                                        Clock& clock, std::stop_token stop);

/// In-cluster when the environment says that we are in a pod and no KUBECONFIG is set; a kubeconfig
/// otherwise.
Result<Connection> FindConnection(const KubeconfigOptions& options, Clock& clock, std::stop_token stop);

}  // namespace ybis::kube
