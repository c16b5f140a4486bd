#pragma once
// Where the local backend keeps things, and the environment it was started in.
#include <filesystem>
#include <map>
#include <string>

#include "base/result.h"

namespace ybis::cli {

using Environment = std::map<std::string, std::string>;
Environment ThisEnvironment();
/// The variable's value, or "".
std::string ValueOf(const Environment& environment, const std::string& name);

/// The folders of one user. Data: YBIS_DATA_DIR, else XDG_DATA_HOME/ybis, else ~/.local/share/ybis; for root
/// /var/lib/ybis, since the database runs as another user who cannot enter root's home. Configuration:
/// YBIS_CONFIG_DIR, else XDG_CONFIG_HOME/ybis, else ~/.config/ybis.
struct Folders {
  std::filesystem::path data;
  std::filesystem::path config;

  std::filesystem::path Postgres() const { return data / "postgres"; }
  std::filesystem::path Runs() const { return data / "runs"; }
  std::filesystem::path Run(const std::string& run_id) const { return Runs() / run_id; }
  std::filesystem::path Sockets() const { return data / "sockets"; }
  std::filesystem::path ConfigFile() const { return config / "config.yaml"; }
  /// One folder a Secret that tasks name: files username, password, token, ssh-privatekey, known_hosts,
  /// ca.crt.
  std::filesystem::path Secret(const std::string& name) const { return config / "secrets" / name; }
};

Folders FoldersOf(const Environment& environment, bool root);
/// Makes the data folder for this user alone (others may pass through root's, nothing more). The error says
/// how to choose another place.
Status PrepareData(const Folders& folders);

}  // namespace ybis::cli
