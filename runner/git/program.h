#pragma once
// The git program behind a door: explicit directories, a scrubbed environment, nothing that a repository or a
// worktree says may run.
#include <filesystem>
#include <map>
#include <stop_token>
#include <string>
#include <vector>

#include "base/process.h"
#include "base/result.h"
#include "runner/git/credentials.h"
#include "runner/git/repository_url.h"
#include "runner/git/settings.h"

namespace ybis::git {

/// One call of git.
struct GitCall {
  std::filesystem::path git_dir;     ///< required except for calls that need no repository
  std::filesystem::path work_tree;   ///< empty = none
  std::filesystem::path index_file;  ///< empty = the repository's own
  std::vector<std::string> arguments;
  std::string input;
  size_t max_output = 1024 * 1024;
  Progress progress;
};

/// Runs git. Every call has hooks, fsmonitor, filters, submodules, credential helpers, prompts, redirects and
/// all configuration but the bare repository's own out of play. A network call lays the credentials for that
/// one server into 0600 files of the private folder and removes them after it: https by git's own `store`
/// helper bound to the URL's origin, ssh by IdentityFile and UserKnownHostsFile. They are never in argv nor
/// in an environment. Holds copies of its settings; thread-safe.
class GitProgram {
 public:
  /// Makes the private folder (of this process alone: what a killed one left in it is removed) and checks
  /// that git is there; kUnsupported or kInvalid otherwise.
  static Result<GitProgram> Create(Settings settings);

  const Settings& settings() const { return settings_; }

  /// Runs a call that stays on this machine. A non-zero exit is a result; a timeout is the error kTimeout.
  Result<ProcessResult> RunLocal(const GitCall& call, std::stop_token stop) const;
  /// The same where any non-zero exit is an error that holds git's last line.
  Result<std::string> OutputOf(const GitCall& call, std::stop_token stop) const;
  /// Runs a call that talks to `url`; its arguments name url.text themselves.
  Result<ProcessResult> RunNetwork(const GitCall& call, const RepositoryUrl& url,
                                   const GitCredentials& credentials, std::stop_token stop) const;

  /// The environment of a local call; public for tests.
  std::map<std::string, std::string> Environment(const GitCall& call) const;
  /// `git` and the settings that stand before every subcommand; public for tests.
  std::vector<std::string> Preamble(const GitCall& call) const;

 private:
  explicit GitProgram(Settings settings) : settings_(std::move(settings)) {}
  Settings settings_;
};

}  // namespace ybis::git
