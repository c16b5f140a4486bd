#pragma once
// What somebody's checkout holds that its commit does not.
#include <cstdint>
#include <filesystem>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "runner/git/checkout.h"
#include "runner/git/object_store.h"

namespace ybis::git {

struct UncommittedLimits {
  int64_t max_file_bytes = 10 * 1024 * 1024;    ///< what is larger stays where it is, and is told
  int64_t max_total_bytes = 256 * 1024 * 1024;  ///< of all files read
  size_t max_files = 20'000;
};

/// A path that stays behind, and why.
struct LeftOut {
  std::string path;
  std::string why;
  int64_t size = 0;  ///< bytes; 0 when it is no matter of size
};

struct Uncommitted {
  std::vector<TreeChange> changes;  ///< from the commit's tree; their blobs are in the store
  std::vector<std::string> added, modified, deleted;
  std::vector<LeftOut> left_out;
  std::vector<std::string> notes;  ///< about the checkout as a whole
  size_t count() const { return changes.size(); }
};

/// Whether a path lies in a folder that never comes along, whatever the repository says of it: .git, .venv,
/// __pycache__, node_modules, .chroma.
bool IsNeverTaken(std::string_view path);

/// Finds how the files of a checkout differ from `commit`, and writes what is new into `bare` (a repository
/// that holds the commit). The checkout is only read. Untracked files come unless git ignores them; ones that
/// were added by force come too. Deletions count, as do modes and symlinks (kept as links). Submodules,
/// repositories of their own and what cannot be read stay as the commit has them, and are told. kTooLarge
/// past a limit on all files together; the message names a file and what to do.
Result<Uncommitted> FindUncommitted(const GitProgram& program, const std::filesystem::path& bare,
                                    const Checkout& checkout, const std::string& commit,
                                    const UncommittedLimits& limits, std::stop_token stop);

}  // namespace ybis::git
