#pragma once
// A checkout that somebody works in, and a volume that a run starts on.
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "runner/git/bare_repository.h"
#include "runner/git/checkout.h"
#include "runner/git/synced_base.h"
#include "runner/git/worktree.h"
#include "tests/support/temp_dir.h"

namespace ybis::git {

/// A repository with a worktree, changed by the git program as its owner would.
class SourceCheckout {
 public:
  SourceCheckout();

  std::filesystem::path path() const { return folder_.path() / "shop"; }
  std::filesystem::path home() const { return folder_.path() / "home"; }
  /// Runs git in the checkout (or in `folder`) and returns what it prints; fails the test when git does.
  std::string Git(const std::vector<std::string>& arguments, const std::filesystem::path& folder = {}) const;
  void Write(const std::string& name, const std::string& bytes) const;
  void Commit(const std::string& message = "work") const;

  /// Names, kinds, modes, times and content of everything in the checkout, its repository too.
  std::string Fingerprint() const;
  /// The tree that git itself makes of all that is not ignored, made in a copy; by path "mode blob".
  std::map<std::string, std::string> WholeTree() const;

 private:
  testing::TempDir folder_;
};

/// "mode blob" by path of a commit's or tree's files.
std::map<std::string, std::string> FilesOf(const SourceCheckout& source,
                                           const std::filesystem::path& repository,
                                           const std::string& revision);

/// What a run does with a checkout, on a volume of its own.
class Volume {
 public:
  explicit Volume(const SourceCheckout& source);

  std::filesystem::path bare() const { return folder_.path() / "repo.git"; }
  std::filesystem::path tree() const { return folder_.path() / "tree"; }
  const GitProgram& program() const { return program_; }
  BareRepository Open(const std::string& commit = {}) const;
  Checkout Source() const;
  /// Fetches the head and syncs. Fails the test when that does not work.
  SyncedBase Sync(BareRepository& repository, const UncommittedLimits& limits = {}) const;

 private:
  const SourceCheckout& source_;
  testing::TempDir folder_;
  GitProgram program_;
};

}  // namespace ybis::git
