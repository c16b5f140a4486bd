#pragma once
// Files that a node asks for and that only the checkout of a local task has.
#include <stop_token>
#include <string>

#include "runner/engine/fault.h"
#include "runner/engine/journal.h"
#include "runner/git/checkout.h"
#include "runner/git/worktree.h"

namespace ybis::runner {

/// Whether a file's name says that it holds credentials: such a one is never shown to a model that asks.
bool IsCredentialName(const std::string& path);

/// Copies single files from the checkout into the worktree, on demand. What the base commit has (the run may
/// have deleted it), what is never taken (.git, node_modules, …), what is no regular file or lies behind a
/// symlink or in a repository of its own, what is over 10 MB and what looks like credentials stays there. Not
/// thread-safe; all that it is given must outlive it.
class ProjectFiles {
 public:
  /// `checkout` null: nothing is ever brought.
  ProjectFiles(const git::Checkout* checkout, git::Worktree& tree, Journal& journal)
      : checkout_(checkout), tree_(tree), journal_(journal) {}

  /// True when the file was missing from the worktree and has been copied in; the journal has it then
  /// (FILE_SYNCED_FROM_PROJECT_ROOT). False when there is nothing to bring.
  Outcome<bool> Bring(const std::string& path, std::stop_token stop);

 private:
  bool MayBring(const std::string& path) const;

  const git::Checkout* checkout_;
  git::Worktree& tree_;
  Journal& journal_;
};

}  // namespace ybis::runner
