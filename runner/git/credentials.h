#pragma once
// Git credentials as they lie in a mounted Secret.
#include <filesystem>
#include <string>

#include "base/result.h"
#include "runner/git/repository_url.h"

namespace ybis::git {

/// What proves us to one git server. Held in memory; every secret part is registered for masking when loaded.
/// A plain value.
struct GitCredentials {
  std::string username;     ///< https
  std::string password;     ///< https: the password or token
  std::string ssh_key;      ///< private key without passphrase, PEM or OpenSSH form
  std::string known_hosts;  ///< the server's host keys, as in ~/.ssh/known_hosts
  std::string ca_bundle;    ///< PEM certificates that verify the https server; empty = the system's

  bool anonymous() const { return password.empty() && ssh_key.empty(); }

  /// Reads the keys of a mounted Secret: `username` + `password` (kubernetes.io/basic-auth) or `token`,
  /// `ssh-privatekey` (kubernetes.io/ssh-auth) + `known_hosts`. An empty or absent folder means anonymous.
  /// `ca_bundle` is a PEM file or a folder that holds `ca.crt`; empty means the system's certificates. Errors
  /// (kInvalid) name the key that is missing or malformed.
  static Result<GitCredentials> Load(const std::filesystem::path& folder,
                                     const std::filesystem::path& ca_bundle = {});

  /// Whether they can serve this URL at all (an ssh URL needs a key and known_hosts, an https URL no key).
  Status CheckFor(const RepositoryUrl& url) const;
};

}  // namespace ybis::git
