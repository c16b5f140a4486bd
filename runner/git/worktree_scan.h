#pragma once
// Finding what changed in a worktree since git checked it out.
#include <filesystem>
#include <stop_token>
#include <string>
#include <vector>

#include "base/result.h"
#include "runner/git/confined_root.h"
#include "runner/git/object_store.h"
#include "runner/git/program.h"
#include "runner/git/settings.h"

namespace ybis::git {

/// Where a worktree's parts lie.
struct WorktreePlaces {
  std::filesystem::path root;
  std::filesystem::path git_dir;  ///< <bare>/worktrees/<name>; holds the index
};

/// git opens every .gitignore (or another `name`) it meets, and what it looks for in a repository within; one
/// that is a pipe or a device would hold it forever. kInvalid names it. So it is when not all can be looked
/// at.
Status CheckIgnoreFiles(const ConfinedRoot& root, std::stop_token stop, std::string_view name = ".gitignore");

/// One reading of a worktree. References must outlive it; not thread-safe.
class WorktreeScan {
 public:
  WorktreeScan(const GitProgram& program, const WorktreePlaces& places, const ConfinedRoot& root)
      : program_(program), places_(places), root_(root) {}

  /// The differences from the tree that was checked out, with new content written to `store`. Tracked files
  /// are compared by what git noted at the checkout and read only when that differs; untracked ones are found
  /// by git, which knows what is ignored.
  Result<std::vector<TreeChange>> Changes(ObjectStore& store, const WorktreeLimits& limits,
                                          std::stop_token stop) const;
  /// Tracked files that are there and untracked ones that are not ignored, sorted.
  Result<std::vector<std::string>> Paths(std::stop_token stop) const;

 private:
  Result<std::vector<std::string>> Untracked(std::stop_token stop) const;
  Status ListUntracked(const std::string& below, int depth, std::vector<std::string>& out,
                       std::stop_token stop) const;

  const GitProgram& program_;
  const WorktreePlaces& places_;
  const ConfinedRoot& root_;
};

}  // namespace ybis::git
