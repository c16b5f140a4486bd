#pragma once
// Somebody's checkout on this machine, opened for reading alone.
#include <filesystem>
#include <map>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/result.h"
#include "runner/git/confined_root.h"
#include "runner/git/object_store.h"
#include "runner/git/program.h"

namespace ybis::git {

/// Where the person who owns a checkout keeps git's configuration; both may be empty.
struct UserFolders {
  std::filesystem::path home;
  std::filesystem::path xdg_config;  ///< XDG_CONFIG_HOME
};

/// What a checkout leaves out beside its .gitignore files, as texts of patterns.
struct ExtraIgnores {
  std::string user;     ///< core.excludesFile
  std::string exclude;  ///< info/exclude
};

/// A worktree with its repository. Nothing is ever written to it, not even its index, and nothing that it
/// says is run: its configuration is read as text for two settings, its attributes by git, its files beneath
/// a descriptor without following symlinks. Movable; not thread-safe; the program must outlive it.
class Checkout {
 public:
  /// kNotFound when the folder is no checkout (a bare repository is none); kInvalid when its `.git` says
  /// nothing sensible.
  static Result<Checkout> Open(const GitProgram& program, const std::filesystem::path& folder,
                               UserFolders user = {});

  const std::filesystem::path& folder() const { return folder_; }
  const ConfinedRoot& files() const { return files_; }
  /// The commit that is checked out; "" when there is none yet.
  Result<std::string> Head(std::stop_token stop) const;
  /// What git noted of its files: by path, none when the index cannot be read (`problem` says why).
  std::map<std::string, IndexEntry> Index(std::string& problem) const;
  /// When that index was written; far in the past when there is none.
  struct timespec IndexWritten() const;
  Result<ExtraIgnores> Ignores(std::stop_token stop) const;
  /// Of these paths the ones whose bytes git would turn into others when it stores them, with what does that
  /// ("filter git-crypt"): a file's own bytes are then not what belongs into a commit. Nothing is run;
  /// `scratch` is a folder for git to look from, and stays.
  Result<std::map<std::string, std::string>> Converted(const std::vector<std::string>& paths,
                                                       const std::filesystem::path& scratch,
                                                       std::stop_token stop) const;
  /// core.fileMode: whether executable bits mean something here.
  Result<bool> KeepsModes(std::stop_token stop) const;

 private:
  Checkout(const GitProgram& program, std::filesystem::path folder, UserFolders user, ConfinedRoot files)
      : program_(&program), folder_(std::move(folder)), user_(std::move(user)), files_(std::move(files)) {}
  /// The value of a setting in a configuration's text, or none. An error when git could not tell: what is
  /// ignored hangs on it.
  Result<std::optional<std::string>> Setting(const std::filesystem::path& file, const std::string& name,
                                             std::stop_token stop) const;
  /// The same in all configurations that git would read here; the last one wins.
  Result<std::optional<std::string>> Setting(const std::string& name, const std::stop_token& stop) const;
  std::filesystem::path XdgGit() const;

  const GitProgram* program_;
  std::filesystem::path folder_;
  UserFolders user_;
  ConfinedRoot files_;
  std::filesystem::path git_dir_;  ///< of this worktree: HEAD, index
  std::filesystem::path common_;   ///< of the repository: config, info/exclude
};

}  // namespace ybis::git
