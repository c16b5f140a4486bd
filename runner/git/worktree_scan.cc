#include "runner/git/worktree_scan.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <system_error>

#include "runner/git/entry_match.h"

namespace ybis::git {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxListBytes = 64 * 1024 * 1024;
// Repositories within repositories; git lists each only down to the next.
constexpr int kMaxNesting = 16;

/// Reads files into blobs and keeps the caps.
class Reader {
 public:
  Reader(const ConfinedRoot& root, ObjectStore& store, const WorktreeLimits& limits)
      : root_(root), store_(store), limits_(limits) {}

  Result<TreeChange> Read(const std::string& path, const struct stat& info) {
    const unsigned mode = ModeOf(info);
    if (mode == kModeSymlink) {
      YBIS_ASSIGN(const std::string target, root_.ReadLink(path));
      return Store(path, mode, target);
    }
    YBIS_ASSIGN(const std::string bytes,
                root_.ReadRegular(path, static_cast<size_t>(limits_.max_file_bytes)));
    return Store(path, mode, bytes);
  }

 private:
  Result<TreeChange> Store(const std::string& path, unsigned mode, const std::string& bytes) {
    total_ += static_cast<int64_t>(bytes.size());
    if (++files_ > limits_.max_changed_files) {
      return Fail(ErrorCode::kTooLarge,
                  fmt::format("more than {} changed files, {} among them; ignore what is built "
                              "(.gitignore) or remove it",
                              limits_.max_changed_files, path));
    }
    if (total_ > limits_.max_changed_bytes) {
      return Fail(ErrorCode::kTooLarge,
                  fmt::format("the changed files hold more than the {} bytes allowed, reached at {}",
                              limits_.max_changed_bytes, path));
    }
    YBIS_ASSIGN(std::string blob, store_.WriteBlob(bytes));
    return TreeChange{.path = path, .mode = mode, .blob = std::move(blob)};
  }

  const ConfinedRoot& root_;
  ObjectStore& store_;
  const WorktreeLimits& limits_;
  int64_t total_ = 0;
  size_t files_ = 0;
};

/// Whether git takes it for a part of a repository within the worktree.
bool IsGits(const fs::path& path) {
  const std::string& text = path.native();
  return text.ends_with("/.git") || text.find("/.git/") != std::string::npos;
}

/// Whether opening it may take forever.
bool IsWaitedFor(fs::file_type type) {
  return type == fs::file_type::fifo || type == fs::file_type::character || type == fs::file_type::block;
}

Status Stopped(const std::stop_token& stop) {
  if (stop.stop_requested()) return Fail(ErrorCode::kCancelled, "reading the worktree: stopped");
  return {};
}

}  // namespace

Result<std::vector<TreeChange>> WorktreeScan::Changes(ObjectStore& store, const WorktreeLimits& limits,
                                                      std::stop_token stop) const {
  const fs::path index = places_.git_dir / "index";
  YBIS_ASSIGN(const struct timespec written, WriteTime(index));
  YBIS_ASSIGN(const std::vector<IndexEntry> entries, ReadIndex(index));
  Reader reader(root_, store, limits);
  std::vector<TreeChange> changes;
  for (const IndexEntry& entry : entries) {
    if (entry.mode == kModeSubmodule) continue;
    YBIS_ASSIGN(const std::optional<struct stat> info, root_.Stat(entry.path));
    if (!info || ModeOf(*info) == 0) {
      changes.push_back({.path = entry.path, .mode = 0, .blob = {}});
    } else if (!IsUntouched(entry, *info, written)) {
      YBIS_TRY(Stopped(stop));
      YBIS_ASSIGN(TreeChange change, reader.Read(entry.path, *info));
      if (change.mode != entry.mode || change.blob != entry.blob) changes.push_back(std::move(change));
    }
  }
  YBIS_ASSIGN(const std::vector<std::string> untracked, Untracked(stop));
  for (const std::string& path : untracked) {
    YBIS_TRY(Stopped(stop));
    YBIS_ASSIGN(const std::optional<struct stat> info, root_.Stat(path));
    if (!info || ModeOf(*info) == 0) continue;
    YBIS_ASSIGN(TreeChange change, reader.Read(path, *info));
    changes.push_back(std::move(change));
  }
  return changes;
}

Result<std::vector<std::string>> WorktreeScan::Paths(std::stop_token stop) const {
  YBIS_ASSIGN(const std::vector<IndexEntry> entries, ReadIndex(places_.git_dir / "index"));
  YBIS_ASSIGN(std::vector<std::string> paths, Untracked(stop));
  for (const IndexEntry& entry : entries) {
    if (entry.mode == kModeSubmodule) continue;
    YBIS_ASSIGN(const std::optional<struct stat> info, root_.Stat(entry.path));
    if (info && ModeOf(*info) != 0) paths.push_back(entry.path);
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

Result<std::vector<std::string>> WorktreeScan::Untracked(std::stop_token stop) const {
  YBIS_TRY(CheckIgnoreFiles(root_, stop));
  std::vector<std::string> paths;
  YBIS_TRY(ListUntracked("", 0, paths, std::move(stop)));
  return paths;
}

/// git stops at a folder that is a repository of its own ("name/"). What a tool made there is the worktree's
/// all the same, so it is listed as a worktree without an index.
Status WorktreeScan::ListUntracked(const std::string& below, int depth, std::vector<std::string>& out,
                                   std::stop_token stop) const {
  if (depth > kMaxNesting) {
    return Fail(ErrorCode::kInvalid,
                fmt::format("{}: repositories nested more than {} deep", below, kMaxNesting));
  }
  GitCall call;
  call.git_dir = places_.git_dir;
  call.work_tree = below.empty() ? places_.root : places_.root / below;
  if (!below.empty()) call.index_file = places_.git_dir / "no-index";
  call.arguments = {"ls-files", "--others", "--exclude-standard", "-z"};
  call.max_output = kMaxListBytes;
  YBIS_ASSIGN(const std::string output, program_.OutputOf(call, stop));
  for (const std::string& name : SplitNul(output)) {
    if (name.back() != '/') {
      out.push_back(below + name);
    } else {
      YBIS_TRY(ListUntracked(below + name, depth + 1, out, stop));
    }
  }
  return {};
}

Status CheckIgnoreFiles(const ConfinedRoot& root, std::stop_token stop, std::string_view name) {
  std::error_code error;
  const fs::path top = fmt::format("/proc/self/fd/{}", root.fd());
  auto it = fs::recursive_directory_iterator(top / "", fs::directory_options::skip_permission_denied, error);
  for (; !error && it != fs::end(it); it.increment(error)) {
    YBIS_TRY(Stopped(stop));
    if (it->path().filename() != name && !IsGits(it->path())) continue;
    std::error_code gone;
    if (!IsWaitedFor(it->symlink_status(gone).type())) continue;
    return Fail(ErrorCode::kInvalid, fmt::format("{}: is a pipe or a device; remove it",
                                                 it->path().lexically_relative(top).string()));
  }
  // In a checkout that somebody works in folders may go meanwhile.
  if (!error || error == std::errc::no_such_file_or_directory) return {};
  return Fail(
      ErrorCode::kInvalid,
      fmt::format("not every folder can be checked ({}): are they nested too deep?", error.message()));
}

}  // namespace ybis::git
