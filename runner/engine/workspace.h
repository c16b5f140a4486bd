#pragma once
// The repository and worktree of a run on its volume.
#include <filesystem>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <stop_token>
#include <string>

#include "api/run_api.h"
#include "runner/engine/fault.h"
#include "runner/engine/run_folder.h"
#include "runner/git/checkout.h"
#include "runner/git/worktree.h"

namespace ybis::runner {

struct WorkspaceSettings {
  std::filesystem::path directory;        ///< the volume
  std::filesystem::path credentials_dir;  ///< a mounted Secret; empty or absent = anonymous
  std::filesystem::path ca_file;          ///< verifies the git server; empty = the system's
  bool allow_insecure_http = false;       ///< http:// to a loopback address (tests)
  bool local = false;                     ///< on somebody's machine: the order's project root counts
  git::UserFolders user;                  ///< theirs, for what git ignores
};

/// <directory>/repo.git and <directory>/worktrees/<run id>. Not thread-safe.
class Workspace {
 public:
  /// Fetches the base commit (the checkpoint's, else the one that an earlier attempt pinned, else what the
  /// ref points at now, which is then pinned as base.json), checks it out and puts the checkpoint's patch on
  /// it. In local mode the pinned commit holds the uncommitted work of the order's project root; it is made
  /// once, kept as sync.pack, and never read from the checkout again.
  static Outcome<std::unique_ptr<Workspace>> Open(const WorkspaceSettings& settings,
                                                  const api::RunOrder& order,
                                                  const std::optional<api::Checkpoint>& checkpoint,
                                                  RunFolder& folder, std::stop_token stop);

  git::Worktree& tree() { return *tree_; }
  /// The checkout that the order names; null in a cluster and when its uncommitted files are not wanted.
  const git::Checkout* checkout() const { return checkout_.get(); }
  /// What came along with the checkout and what did not (base.json's `sync`); null when nothing was to.
  const nlohmann::json& sync() const { return *sync_; }

 private:
  Workspace();
  Outcome<void> Sync(RunFolder& folder, std::stop_token stop);
  Outcome<void> PinBase(const std::string& head, RunFolder& folder, std::stop_token stop);

  std::unique_ptr<git::GitProgram> program_;
  std::unique_ptr<git::BareRepository> bare_;
  std::unique_ptr<git::Checkout> checkout_;
  std::unique_ptr<git::Worktree> tree_;
  std::shared_ptr<const nlohmann::json> sync_;
};

}  // namespace ybis::runner
