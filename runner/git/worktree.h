#pragma once
// The worktree of a run: the files that the model and its commands change.
#include <filesystem>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "runner/git/bare_repository.h"
#include "runner/git/ignored_paths.h"
#include "runner/git/settings.h"

namespace ybis::git {

enum class ChangeKind { kAdded, kModified, kDeleted };

struct FileChange {
  std::string path;  ///< relative to the root, with '/'
  ChangeKind kind = ChangeKind::kModified;
  unsigned old_mode = 0;  ///< git's: 0100644, 0100755, 0120000 (symlink); 0 when it was not there
  unsigned new_mode = 0;
  bool binary = false;
  int64_t insertions = 0;  ///< lines; 0 for binary files
  int64_t deletions = 0;
  int64_t new_size = 0;  ///< bytes
};

/// Everything that differs from the base commit. Renames are not detected: they are a deletion and an
/// addition, so that policy sees both paths. A file that became a symlink (or back) is one kModified.
struct WorktreeDiff {
  std::string text;               ///< unified; binary files only named
  std::vector<FileChange> files;  ///< by path
  int64_t insertions = 0;
  int64_t deletions = 0;
  bool empty() const { return files.empty(); }
};

struct FileList {
  std::vector<std::string> paths;  ///< by path; tracked and untracked, without ignored ones
  bool truncated = false;
};

struct Signature {
  std::string name;
  std::string email;
  TimePoint time;  ///< seconds count; recorded as UTC
};

struct CommitRequest {
  std::string message;
  Signature author;
  Signature committer;
  std::optional<std::string> patch = {};  ///< a Snapshot() to commit; none = what Diff() shows
};

/// A checkout of the base commit on its own branch. The worktree is read beneath the root's descriptor
/// without following symlinks; its `.git` file is never read, so that a child which rewrites it gains
/// nothing. Attributes of the repository (filters, line ends, encodings, diff drivers) are out of play: files
/// hold the bytes of their blobs, Git LFS pointers stay pointers, submodules stay empty folders. Movable; not
/// thread-safe; `bare` must outlive it and stay where it is. No child may be writing while a method runs.
class Worktree {
 public:
  /// Checks the base commit out at `path` on `branch`. Whatever an earlier attempt left at the path or of the
  /// branch is replaced.
  static Result<Worktree> Create(const BareRepository& bare, const std::string& branch,
                                 const std::filesystem::path& path, std::stop_token stop,
                                 WorktreeLimits limits = {});
  Worktree(Worktree&&) noexcept;
  Worktree& operator=(Worktree&&) noexcept;
  ~Worktree();

  const std::filesystem::path& root() const;
  /// The root opened O_PATH|O_DIRECTORY; belongs to this object.
  int root_fd() const;
  /// The bare repository that it belongs to: its files hold history and this worktree's index, no
  /// credentials.
  const std::filesystem::path& repository() const;
  const std::string& branch() const;
  const std::string& base_commit() const;

  /// What changed, including untracked files that are not ignored. kTooLarge when the text passes
  /// `max_bytes` or a limit on files is passed; the message names files.
  Result<WorktreeDiff> Diff(size_t max_bytes, std::stop_token stop) const;

  /// The cumulative patch on the base commit as valid UTF-8 (binary and non-UTF-8 files in git's base85
  /// form); empty when nothing changed. The same worktree content always gives the same text. kTooLarge as
  /// Diff().
  Result<std::string> Snapshot(std::stop_token stop) const;
  /// "sha256:…" of Snapshot(): what an approval decides on.
  Result<std::string> PatchDigest(std::stop_token stop) const;
  /// Makes the worktree the base commit plus `patch` (empty = the base itself); everything else in it,
  /// ignored files too, goes. kInvalid when the patch does not apply or names a path outside the worktree,
  /// through a symlink or in .git; the worktree is then unchanged.
  Status Restore(std::string_view patch, std::stop_token stop);

  /// At most `max` paths.
  Result<FileList> ListFiles(size_t max, std::stop_token stop) const;
  /// A regular file of the worktree, never through a symlink. kNotFound, kTooLarge, kInvalid (a path that
  /// leaves the worktree or is not a regular file).
  Result<std::string> ReadFileAt(std::string_view path, size_t max_bytes) const;
  /// At most `max_bytes` from its beginning.
  Result<std::string> ReadHeadAt(std::string_view path, size_t max_bytes) const;
  /// Whether the worktree has a file or symlink of that path, ignored ones too.
  bool Has(std::string_view path) const;
  /// Of these files the ones that Diff() would not show, however they are written, once the ignore files are
  /// as `planned` says; kInvalid for a path that leaves the worktree.
  Result<std::vector<IgnoredPath>> Ignored(const std::vector<std::string>& paths, const IgnoreFiles& planned,
                                           std::stop_token stop) const;
  /// Like ReadFileAt, of the base commit.
  Result<std::string> ReadBaseFileAt(std::string_view path, size_t max_bytes) const;

  /// Commits the request's patch, or else what Diff() shows, on top of the base commit and points the branch
  /// at it; of a patch no file of the worktree is read. Same content, message, people and times: same commit.
  /// kInvalid when nothing changed. Returns the commit.
  Result<std::string> Commit(const CommitRequest& request, std::stop_token stop);

  /// Pushes a commit to the server; see BareRepository::Push.
  Result<PushResult> Push(const std::string& commit, const std::string& remote_branch,
                          const std::optional<std::string>& expected, std::stop_token stop) const;

 private:
  struct State;
  explicit Worktree(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace ybis::git
