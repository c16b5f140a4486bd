#pragma once
// Real git servers on loopback: lighttpd with git-http-backend over TLS and basic auth, and sshd.
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"

namespace ybis::testing {

/// Serves bare repositories below a temporary folder until destroyed. Needs no root. HTTPS starts with
/// Start(), ssh with StartSsh(). Not thread-safe.
class GitServer {
 public:
  GitServer();
  ~GitServer();
  GitServer(const GitServer&) = delete;
  GitServer& operator=(const GitServer&) = delete;

  /// Makes a CA and a certificate for 127.0.0.1 and localhost and serves HTTPS on a free port.
  Status Start();
  /// Serves ssh on a free port with a host key and one user key made for it.
  Status StartSsh();
  /// Ends the HTTPS server (its port then refuses); Start() again gives a new port.
  void Stop();

  /// "https://127.0.0.1:PORT/git/NAME.git"
  std::string Url(const std::string& name) const;
  /// "ssh://USER@127.0.0.1:PORT/…/NAME.git"
  std::string SshUrl(const std::string& name) const;
  /// Where the bare repository lies.
  std::filesystem::path RepositoryPath(const std::string& name) const;

  const std::string& user() const { return user_; }
  const std::string& password() const { return password_; }
  /// PEM of the CA that signed the server's certificate.
  std::filesystem::path ca_file() const;
  /// PEM of another CA, which signed nothing here.
  std::filesystem::path wrong_ca_file() const;
  /// Folders in the form of mounted Secrets: right https credentials, right ssh credentials.
  std::filesystem::path HttpsSecret() const;
  std::filesystem::path SshSecret() const;

  /// Makes a bare repository with one commit of `files` (path → content; a content "symlink:TARGET" makes a
  /// link, "exec:TEXT" an executable file) on branch main. Returns the commit.
  Result<std::string> CreateRepository(const std::string& name,
                                       const std::map<std::string, std::string>& files);
  /// Adds a commit that writes `files` on a branch (made from main when absent). Returns the commit.
  Result<std::string> AddCommit(const std::string& name, const std::string& branch,
                                const std::map<std::string, std::string>& files);
  /// Runs git on the repository and returns its output without the last newline, e.g. {"rev-parse", "main"}.
  Result<std::string> Git(const std::string& name, const std::vector<std::string>& arguments) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
  std::string user_ = "alice";
  std::string password_ = "p@ss w0rd/:%";
};

}  // namespace ybis::testing
