#pragma once
// The objects of the bare repository, read and made in process (libgit2). It never sees a worktree: trees go
// in, patches and commits come out, so nothing that a worktree says can reach it.
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "runner/git/worktree.h"

namespace ybis::git {

/// One path that differs from a tree. mode 0 = it is gone; else git's mode and the blob.
struct TreeChange {
  std::string path;
  unsigned mode = 0;
  std::string blob;
};

/// What git noted of a file when it checked it out.
struct IndexEntry {
  std::string path;
  std::string blob;
  unsigned mode = 0;
  int64_t mtime_seconds = 0, mtime_nanoseconds = 0;
  int64_t ctime_seconds = 0, ctime_nanoseconds = 0;
  uint32_t inode = 0, size = 0;
  int stage = 0;        ///< not 0: one side of a conflict
  bool hidden = false;  ///< git was told not to look at the file (skip-worktree, assume-unchanged)
};

enum class PatchForm {
  kReadable,    ///< binary files are only named
  kApplicable,  ///< valid UTF-8 that git apply rebuilds every byte from
};

/// A bare repository opened by its path, without discovery and without the machine's configuration. Objects
/// are named by 40 hexadecimal digits. Movable; not thread-safe.
class ObjectStore {
 public:
  static Result<ObjectStore> Open(const std::filesystem::path& bare);
  ObjectStore(ObjectStore&&) noexcept;
  ObjectStore& operator=(ObjectStore&&) noexcept;
  ~ObjectStore();

  Result<std::string> TreeOf(const std::string& commit) const;
  Result<std::string> WriteBlob(std::string_view bytes);
  /// The name that a blob of these bytes has; nothing is written.
  static std::string NameOfBlob(std::string_view bytes);
  /// When a commit was made.
  Result<TimePoint> TimeOf(const std::string& commit) const;
  /// `tree` with the changes made; paths are checked.
  Result<std::string> UpdateTree(const std::string& tree, const std::vector<TreeChange>& changes);
  /// kNotFound, kTooLarge, kInvalid (not a file).
  Result<std::string> ReadFile(const std::string& tree, const std::string& path, size_t max_bytes) const;
  /// What lies between two trees. kTooLarge, with the largest files, past `max_bytes` of text, or when an
  /// applicable one would take three times that as JSON text.
  Result<WorktreeDiff> Compare(const std::string& from, const std::string& to, PatchForm form,
                               size_t max_bytes) const;
  /// A commit object without any ref.
  Result<std::string> WriteCommit(const std::string& tree, const std::string& parent,
                                  const CommitRequest& request);
  Status PointBranch(const std::string& branch, const std::string& commit);

 private:
  struct State;
  explicit ObjectStore(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// Reads an index file that our own git wrote, by path.
Result<std::vector<IndexEntry>> ReadIndex(const std::filesystem::path& path);

/// Whether it is UTF-8 (no surrogates, no overlong forms) without NUL bytes.
bool IsCleanUtf8(std::string_view text);

}  // namespace ybis::git
