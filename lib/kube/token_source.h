#pragma once
// Where bearer tokens come from: a constant, a file that rotates, a credential plugin.
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/sync.h"
#include "kube/config.h"

namespace ybis::kube {

/// The same token for ever.
class FixedToken final : public TokenSource {
 public:
  explicit FixedToken(std::string token);
  Result<std::string> Token(std::stop_token) override { return token_; }

 private:
  std::string token_;
};

/// A file that somebody else renews; read again every minute and after a refusal. When it cannot be read the
/// last token goes on being used.
class FileToken final : public TokenSource {
 public:
  FileToken(std::filesystem::path path, Clock& clock) : path_(std::move(path)), clock_(clock) {}
  Result<std::string> Token(std::stop_token stop) override;
  void Refused() override;

 private:
  struct State {
    std::string token;
    std::optional<TimePoint> read_at;
  };
  std::filesystem::path path_;
  Clock& clock_;
  Sync<State> state_;
};

/// What a credential plugin (client.authentication.k8s.io) is and how it is run.
struct ExecPlugin {
  std::string api_version;
  std::string command;
  std::vector<std::string> args;
  Environment env;                  ///< whole environment of the plugin, KUBERNETES_EXEC_INFO too
  std::filesystem::path directory;  ///< the kubeconfig's
  std::string install_hint;
  std::string where;  ///< for errors: file and field
};

/// Runs the plugin when there is no credential, it has expired or was refused. The plugin's own environment
/// is the process' (it may need anything: HOME, cloud settings); its output is parsed with limits.
class ExecToken final : public TokenSource {
 public:
  ExecToken(ExecPlugin plugin, Clock& clock) : plugin_(std::move(plugin)), clock_(clock) {}
  Result<std::string> Token(std::stop_token stop) override;
  void Refused() override;
  /// The client certificate that came with the last token; empty when none did. Never runs the plugin.
  http::ClientCertificate Certificate();

 private:
  struct Credential {
    std::string token;
    http::ClientCertificate certificate;
    std::optional<TimePoint> expires;
  };
  Result<Credential> Ask(std::stop_token stop) const;
  Result<Credential> Parse(std::string_view output) const;

  ExecPlugin plugin_;
  Clock& clock_;
  Sync<std::optional<Credential>> credential_;
};

}  // namespace ybis::kube
