#pragma once
// Applies edits to a worktree: everything is checked in memory first, then all of it is written or nothing.
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "runner/edit/edit.h"

namespace ybis::runner {

/// Why one edit cannot be applied, for the one who made it to mend it.
struct EditMiss {
  size_t index = 0;    ///< of the edit in its set
  std::string path;    ///< the file it is about (of a diff: the one that failed)
  std::string reason;  ///< "search text stands 2 times, expected 1"
  std::string hint;    ///< what is there instead: the nearest lines with their numbers; may be empty
};

/// One file after the edits.
struct PlannedFile {
  std::string path;
  std::optional<std::string> before;  ///< content now; nullopt = does not exist
  std::optional<std::string> after;   ///< content to be; nullopt = is deleted
  bool executable_before = false;
  bool executable = false;
  size_t edit = 0;  ///< the last edit that touched it, by its place in the set
};

/// What a set of edits comes to. It is applicable only when `misses` is empty.
struct EditPlan {
  std::vector<PlannedFile> files;  ///< by path; only those that change
  std::vector<EditMiss> misses;
  std::string patch_id;
};

struct FileChange {
  enum class Kind { kCreated, kModified, kDeleted };
  std::string path;
  Kind kind = Kind::kModified;
  size_t bytes = 0;  ///< after
};

/// Works beneath one open folder, whose descriptor must outlive it. It never follows a symbolic link and
/// never leaves the folder, whatever the worktree holds or others do to it meanwhile. Thread-safe; but two
/// Apply at once on one worktree may each find the other's changes (kConflict).
class EditEngine {
 public:
  explicit EditEngine(int worktree_fd, EditLimits limits = {}) : worktree_(worktree_fd), limits_(limits) {}

  /// Checks the edits in their order (a later one sees what the earlier ones did) and writes nothing. An edit
  /// that cannot be applied is a miss, not an error; an error is a failing disk, a set over its limits
  /// (kTooLarge) or a stop (kCancelled).
  Result<EditPlan> Plan(std::span<const Edit> edits, std::stop_token stop = {}) const;

  /// Writes the plan. kInvalid when it has misses; kConflict when a file is no longer as the plan saw it.
  /// When writing fails half way, what was written is put back.
  Result<std::vector<FileChange>> Apply(const EditPlan& plan) const;

 private:
  int worktree_;
  EditLimits limits_;
};

/// The misses as text for a model or a log, at most about 16 KiB; what does not find room is counted.
std::string Describe(std::span<const EditMiss> misses);

}  // namespace ybis::runner
