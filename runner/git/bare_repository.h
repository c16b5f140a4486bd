#pragma once
// The bare repository on the run's volume: a cache of what the server has.
#include <filesystem>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "base/result.h"
#include "runner/git/credentials.h"
#include "runner/git/program.h"
#include "runner/git/repository_url.h"
#include "runner/git/settings.h"

namespace ybis::git {

struct OpenRequest {
  std::filesystem::path directory;  ///< where the bare repository lies or shall lie, e.g. <volume>/repo.git
  std::string url;                  ///< unchecked
  std::string ref;                  ///< unchecked; empty or HEAD = the server's default branch
  std::string commit;  ///< when set (a checkpoint's base), exactly this commit; `ref` is then only a hint
  int depth = 1;       ///< commits of history; 0 = all
};

struct PushResult {
  std::string branch;
  std::string commit;
  bool already_there = false;  ///< the server had it before (an earlier attempt's push)
};

/// A bare repository whose configuration is ours alone, with one base commit fetched. Movable; not
/// thread-safe; one process at a time owns the folder (a lock file says so).
class BareRepository {
 public:
  /// Makes the repository if it is absent, mends what a killed attempt left (lock files; a repository that
  /// does not open is made anew), fetches the ref and resolves it. Shallow where the server allows it,
  /// else whole. A commit that is there already is not fetched again. Errors as ClassifyGitFailure gives
  /// them; kUnsupported for SHA-256 repositories; kInvalid for a bad URL, ref or credential.
  static Result<BareRepository> Open(const GitProgram& program, const OpenRequest& request,
                                     const GitCredentials& credentials, std::stop_token stop,
                                     const Progress& progress = {});
  BareRepository(BareRepository&&) noexcept;
  BareRepository& operator=(BareRepository&&) noexcept;
  ~BareRepository();

  const std::filesystem::path& directory() const;
  const RepositoryUrl& url() const;
  const GitProgram& program() const;
  /// The commit that the run starts from: 40 hexadecimal digits.
  const std::string& base_commit() const;
  /// Makes a commit of this repository what base_commit() names from now on: one that was made on top of the
  /// fetched commit and that the server does not have.
  Status AdoptBase(const std::string& commit, std::stop_token stop);
  /// Of the server, without refs/heads/; empty when its HEAD names no branch or a `commit` was there already.
  const std::string& default_branch() const;
  /// The full name that the ref was found under (refs/heads/main); empty for a commit.
  const std::string& resolved_ref() const;

  /// The commit that the server's branch points at; nullopt when there is no such branch.
  Result<std::optional<std::string>> RemoteBranch(const std::string& branch, std::stop_token stop) const;

  /// Makes `branch` of the server point at `commit`. `expected` is what the branch may point at now, the
  /// commit of an earlier run of ours; nullopt = it must not exist. Repeating it is a no-op. A branch at any
  /// other commit is kConflict (not retryable) and stays as it is.
  Result<PushResult> Push(const std::string& commit, const std::string& branch,
                          const std::optional<std::string>& expected, std::stop_token stop) const;

 private:
  struct State;
  explicit BareRepository(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace ybis::git
