#pragma once
// The repository and worktree of a run on its volume.
#include <filesystem>
#include <memory>
#include <stop_token>
#include <string>

#include "api/run_api.h"
#include "runner/engine/fault.h"
#include "runner/engine/run_folder.h"
#include "runner/git/worktree.h"

namespace ybis::runner {

struct WorkspaceSettings {
  std::filesystem::path directory;        ///< the volume
  std::filesystem::path credentials_dir;  ///< a mounted Secret; empty or absent = anonymous
  std::filesystem::path ca_file;          ///< verifies the git server; empty = the system's
  bool allow_insecure_http = false;       ///< http:// to a loopback address (tests)
};

/// <directory>/repo.git and <directory>/worktrees/<run id>. Not thread-safe.
class Workspace {
 public:
  /// Fetches the base commit (the checkpoint's, else the one that an earlier attempt pinned, else what the
  /// ref points at now, which is then pinned as base.json), checks it out and puts the checkpoint's patch on
  /// it.
  static Outcome<std::unique_ptr<Workspace>> Open(const WorkspaceSettings& settings,
                                                  const api::RunOrder& order,
                                                  const std::optional<api::Checkpoint>& checkpoint,
                                                  RunFolder& folder, std::stop_token stop);

  git::Worktree& tree() { return *tree_; }

 private:
  Workspace() = default;
  std::unique_ptr<git::GitProgram> program_;
  std::unique_ptr<git::BareRepository> bare_;
  std::unique_ptr<git::Worktree> tree_;
};

}  // namespace ybis::runner
