#pragma once
// Which files git would leave out of a change.
#include <map>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/result.h"

namespace ybis::git {

class ConfinedRoot;
class GitProgram;
struct WorktreePlaces;

struct IgnoredPath {
  std::string path;
  std::string why;  ///< "rule '*.log' in line 3 of .gitignore"
};

/// The contents that ignore files (".gitignore", "sub/.gitignore") are to have, by path; nullopt = none.
using IgnoreFiles = std::map<std::string, std::optional<std::string>>;

/// Of these files the ones that a change would not hold: untracked ones that match an ignore rule, and what
/// lies in a submodule. `planned` stands in for the worktree's own ignore files. Nothing of the worktree is
/// written; the rules are laid out in a folder beside its index, where git judges them.
Result<std::vector<IgnoredPath>> FindIgnored(const GitProgram& program, const WorktreePlaces& places,
                                             const ConfinedRoot& root, const std::vector<std::string>& paths,
                                             const IgnoreFiles& planned, std::stop_token stop);

}  // namespace ybis::git
