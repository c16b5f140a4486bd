#pragma once
// What the git door needs to know of the machine it runs on.
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "api/task.h"

namespace ybis::git {

struct Settings {
  /// A folder of the runner alone (made with mode 0700 when absent), outside every worktree and every folder
  /// a sandboxed child can read. Credentials lie in it for the time of one git call.
  std::filesystem::path private_dir;
  std::filesystem::path git = "/usr/bin/git";
  bool allow_file = false;                             ///< file:// URLs and absolute paths (local mode)
  bool allow_insecure_http = false;                    ///< http:// to a loopback address (tests)
  std::chrono::milliseconds network_timeout{600'000};  ///< of one fetch or push
  std::chrono::milliseconds local_timeout{300'000};    ///< of one call that stays on this machine
  std::string https_proxy;                             ///< passed to git as https_proxy; empty = none
  std::string no_proxy;
};

/// Caps on what is read out of a worktree, whose content is hostile.
struct WorktreeLimits {
  int64_t max_file_bytes = 64 * 1024 * 1024;      ///< of one changed file
  int64_t max_changed_bytes = 256 * 1024 * 1024;  ///< of all changed files together
  size_t max_changed_files = 20'000;
  size_t max_patch_bytes = api::kMaxPatchBytes;  ///< of Snapshot(); as JSON text three times as much
};

/// Called with one line of git's own progress ("Receiving objects:  45% (4500/10000)"), from the calling
/// thread.
using Progress = std::function<void(std::string_view line)>;

}  // namespace ybis::git
