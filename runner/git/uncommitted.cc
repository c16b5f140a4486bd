#include "runner/git/uncommitted.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <system_error>

#include "base/digest.h"
#include "runner/git/entry_match.h"
#include "runner/git/private_file.h"
#include "runner/git/worktree_scan.h"

namespace ybis::git {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 5> kNeverTaken = {".git", ".venv", "__pycache__", "node_modules",
                                                         ".chroma"};
constexpr size_t kMaxListBytes = 64 * 1024 * 1024;
constexpr size_t kMaxPointerBytes = 1024;
constexpr int kReadTries = 3;
constexpr std::string_view kLfsPointer = "version https://git-lfs.github.com/spec/v1\n";

bool SameFile(const struct stat& one, const struct stat& other) {
  return one.st_ino == other.st_ino && one.st_size == other.st_size && one.st_mode == other.st_mode &&
         one.st_mtim.tv_sec == other.st_mtim.tv_sec && one.st_mtim.tv_nsec == other.st_mtim.tv_nsec;
}

std::string WithoutCarriageReturns(const std::string& bytes) {
  std::string out;
  out.reserve(bytes.size());
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (bytes[i] != '\r' || i + 1 == bytes.size() || bytes[i + 1] != '\n') out += bytes[i];
  }
  return out;
}

/// One reading of a checkout.
class Scan {
 public:
  Scan(const GitProgram& program, const fs::path& bare, const Checkout& checkout, ObjectStore store,
       const UncommittedLimits& limits, std::stop_token stop)
      : program_(program),
        bare_(bare),
        checkout_(checkout),
        store_(std::move(store)),
        limits_(limits),
        stop_(std::move(stop)),
        index_written_(checkout.IndexWritten()) {}

  Result<Uncommitted> Run(const std::string& commit) {
    YBIS_ASSIGN(keeps_modes_, checkout_.KeepsModes(stop_));
    YBIS_ASSIGN(tree_, store_.TreeOf(commit));
    YBIS_ASSIGN(const std::vector<IndexEntry> committed, Committed());
    std::string problem;
    index_ = checkout_.Index(problem);
    if (!problem.empty()) {
      index_unknown_ = true;
      out_.notes.push_back("the checkout's index cannot be read (" + problem +
                           "): files that were added though they are ignored stay behind, and files that "
                           "are not there stay as committed");
    }
    YBIS_TRY(FindDropped(committed));
    for (const IndexEntry& entry : committed) YBIS_TRY(LookAtCommitted(entry));
    YBIS_TRY(LookAtUntracked());
    YBIS_TRY(LookAtForced());
    YBIS_TRY(LeaveConverted());
    return std::move(out_);
  }

 private:
  enum class What { kFile, kGone, kLeftOut };
  struct Found {
    What what = What::kGone;
    unsigned mode = 0;
    std::string bytes;
  };

  /// The commit's files, by way of an index of our own.
  Result<std::vector<IndexEntry>> Committed() {
    std::error_code error;
    fs::remove(IndexFile(), error);
    GitCall call = Call({"read-tree", tree_});
    call.work_tree.clear();
    YBIS_TRY(program_.OutputOf(call, stop_).map([](const std::string&) {}));
    YBIS_ASSIGN(std::vector<IndexEntry> entries, ReadIndex(IndexFile()));
    for (const IndexEntry& entry : entries) committed_.insert(entry.path);
    return entries;
  }

  /// Files of the commit that were taken out of the checkout's index (git rm --cached) are untracked now:
  /// they come along unless they are ignored, and are gone otherwise. Our own index forgets them, so that
  /// git's list tells.
  Status FindDropped(const std::vector<IndexEntry>& committed) {
    if (index_.empty()) return {};
    std::string paths;
    for (const IndexEntry& entry : committed) {
      if (entry.mode == kModeSubmodule || IsNeverTaken(entry.path) || index_.contains(entry.path)) continue;
      paths += entry.path + '\0';
    }
    if (paths.empty()) return {};
    GitCall call = Call({"update-index", "-z", "--force-remove", "--stdin"});
    call.input = paths;
    YBIS_TRY(program_.OutputOf(call, stop_).map([](const std::string&) {}));
    YBIS_ASSIGN(const std::vector<std::string> untracked, Untracked());
    const std::set<std::string> there(untracked.begin(), untracked.end());
    for (std::string& path : SplitNul(paths)) {
      if (!there.contains(path)) dropped_.insert(std::move(path));
    }
    return {};
  }

  fs::path IndexFile() const { return bare_ / "uncommitted-index"; }

  GitCall Call(std::vector<std::string> arguments) const {
    GitCall call;
    call.git_dir = bare_;
    call.work_tree = checkout_.folder();
    call.index_file = IndexFile();
    call.arguments = std::move(arguments);
    call.max_output = kMaxListBytes;
    return call;
  }

  Status Stopped() const {
    if (stop_.stop_requested()) return Fail(ErrorCode::kCancelled, "reading the checkout: stopped");
    return {};
  }

  void Leave(const std::string& path, std::string why, int64_t size = 0) {
    out_.left_out.push_back({path, std::move(why), size});
  }

  /// The file as it is now. One that changes while it is read is read again.
  Result<Found> Read(const std::string& path) {
    YBIS_TRY(Stopped());
    for (int i = 1;; ++i) {
      const auto before = checkout_.files().Stat(path);
      if (!before) return Unreadable(path, before.error());
      if (!*before || S_ISDIR((*before)->st_mode)) return Found{};
      const unsigned mode = ModeOf(**before);
      if (mode == 0) {
        Leave(path, "is neither a file nor a symlink");
        return Found{What::kLeftOut, 0, {}};
      }
      if (mode != kModeSymlink && (*before)->st_size > limits_.max_file_bytes) {
        return TooLarge(path, (*before)->st_size);
      }
      auto bytes = mode == kModeSymlink
                       ? checkout_.files().ReadLink(path)
                       : checkout_.files().ReadRegular(path, static_cast<size_t>(limits_.max_file_bytes));
      const auto after = checkout_.files().Stat(path);
      const bool same = after && *after && SameFile(**before, **after);
      if (bytes && (same || i == kReadTries)) return Found{What::kFile, mode, std::move(*bytes)};
      if (bytes || i < kReadTries) continue;
      if (bytes.error().code == ErrorCode::kNotFound) return Found{};
      if (bytes.error().code == ErrorCode::kTooLarge) return TooLarge(path, (*before)->st_size);
      return Unreadable(path, bytes.error());
    }
  }

  Found TooLarge(const std::string& path, int64_t size) {
    Leave(path, fmt::format("is larger than the {} MB that come along", limits_.max_file_bytes >> 20), size);
    return {What::kLeftOut, 0, {}};
  }

  Found Unreadable(const std::string& path, const Error& error) {
    Leave(path, "cannot be read: " + error.message);
    return {What::kLeftOut, 0, {}};
  }

  Status Take(const std::string& path, const Found& found, std::vector<std::string>& kind) {
    total_ += static_cast<int64_t>(found.bytes.size());
    constexpr std::string_view kAdvice = "commit them, have .gitignore name them, or use --no-sync";
    if (out_.changes.size() >= limits_.max_files) {
      return Fail(ErrorCode::kTooLarge,
                  fmt::format("{}: more than {} uncommitted files, {} among them; {}",
                              checkout_.folder().string(), limits_.max_files, path, kAdvice));
    }
    if (total_ > limits_.max_total_bytes) {
      return Fail(ErrorCode::kTooLarge,
                  fmt::format("{}: the uncommitted files hold more than {} bytes, reached at {}; {}",
                              checkout_.folder().string(), limits_.max_total_bytes, path, kAdvice));
    }
    YBIS_ASSIGN(std::string blob, store_.WriteBlob(found.bytes));
    out_.changes.push_back({.path = path, .mode = found.mode, .blob = std::move(blob)});
    kind.push_back(path);
    return {};
  }

  Status LookAtCommitted(const IndexEntry& entry) {
    if (IsNeverTaken(entry.path)) return {};
    const auto noted = index_.find(entry.path);
    if (entry.mode == kModeSubmodule) return LookAtSubmodule(entry.path);
    if (noted != index_.end() && noted->second.hidden) return {};
    if (noted != index_.end() && IsAsNoted(entry, noted->second)) return {};
    YBIS_ASSIGN(Found found, dropped_.contains(entry.path) ? Result<Found>(Found{}) : Read(entry.path));
    if (found.what == What::kLeftOut) return {};
    if (found.what == What::kGone) {
      // Only the index tells what its owner deleted from what a sparse checkout leaves out.
      if (index_unknown_ && !IsReplaced(entry.path)) return {};
      out_.changes.push_back({.path = entry.path, .mode = 0, .blob = {}});
      out_.deleted.push_back(entry.path);
      return {};
    }
    if (!keeps_modes_ && found.mode != kModeSymlink && entry.mode != kModeSymlink) found.mode = entry.mode;
    if (IsSame(entry, found)) return {};
    if (const std::string pointer = LargeFilePointer(entry, found); !pointer.empty()) {
      const bool same = pointer.find("oid sha256:" + Sha256Hex(found.bytes) + "\n") != std::string::npos;
      if (!same) Leave(entry.path, "is kept by Git LFS: commit it to have it come along");
      return {};
    }
    return Take(entry.path, found, out_.modified);
  }

  /// Whether something else stands where the file or one of its folders was.
  bool IsReplaced(const std::string& path) const {
    for (size_t slash = path.find('/');; slash = path.find('/', slash + 1)) {
      const auto info = checkout_.files().Stat(path.substr(0, slash));
      if (!info || !*info) return false;
      if (slash == std::string::npos || !S_ISDIR((*info)->st_mode)) return true;
    }
  }

  /// git itself noted when it last wrote the file: whatever filters stand between it and its blob, it is
  /// unchanged.
  bool IsAsNoted(const IndexEntry& entry, const IndexEntry& noted) const {
    if (noted.stage != 0 || noted.blob != entry.blob || noted.mode != entry.mode) return false;
    const auto info = checkout_.files().Stat(entry.path);
    return info && *info && IsUntouched(noted, **info, index_written_);
  }

  /// Byte for byte, or but for the line ends that git may have been told to convert.
  static bool IsSame(const IndexEntry& entry, const Found& found) {
    if (found.mode != entry.mode) return false;
    if (ObjectStore::NameOfBlob(found.bytes) == entry.blob) return true;
    if (found.mode == kModeSymlink || found.bytes.find("\r\n") == std::string::npos) return false;
    return ObjectStore::NameOfBlob(WithoutCarriageReturns(found.bytes)) == entry.blob;
  }

  /// The pointer that the commit has where the checkout has the file that it stands for, else "".
  std::string LargeFilePointer(const IndexEntry& entry, const Found& found) const {
    if (entry.mode == kModeSymlink || found.bytes.starts_with(kLfsPointer)) return {};
    const auto pointer = store_.ReadFile(tree_, entry.path, kMaxPointerBytes);
    return pointer && pointer->starts_with(kLfsPointer) ? *pointer : std::string();
  }

  Status LookAtSubmodule(const std::string& path) {
    const auto inside = checkout_.files().Stat(path + "/.git");
    if (inside && *inside) Leave(path, "is a submodule: its commit stands");
    return {};
  }

  Result<std::vector<std::string>> Untracked() {
    YBIS_TRY(CheckIgnoreFiles(checkout_.files(), stop_));
    YBIS_ASSIGN(const ExtraIgnores ignores, checkout_.Ignores(stop_));
    const fs::path& folder = program_.settings().private_dir;
    YBIS_ASSIGN(const PrivateFile user, PrivateFile::Create(folder, ignores.user));
    YBIS_ASSIGN(const PrivateFile exclude, PrivateFile::Create(folder, ignores.exclude));
    GitCall call = Call({"ls-files", "--others", "-z"});
    for (const std::string_view name : kNeverTaken)
      call.arguments.push_back(fmt::format("--exclude={}", name));
    // Of two files the later one counts more, as info/exclude does in git.
    for (const PrivateFile* file : {&user, &exclude}) {
      call.arguments.push_back("--exclude-from=" + file->path().string());
    }
    call.arguments.emplace_back("--exclude-per-directory=.gitignore");
    YBIS_ASSIGN(const std::string output, program_.OutputOf(call, stop_));
    return SplitNul(output);
  }

  Status LookAtUntracked() {
    YBIS_ASSIGN(const std::vector<std::string> paths, Untracked());
    for (const std::string& path : paths) YBIS_TRY(LookAtNew(path));
    return {};
  }

  /// What the checkout's own index has beyond the commit and git's list did not name: ignored files that were
  /// added all the same.
  Status LookAtForced() {
    for (const auto& [path, entry] : index_) {
      if (entry.mode == kModeSubmodule && !committed_.contains(path)) Leave(path, "is a new submodule");
      if (entry.mode == kModeSubmodule || committed_.contains(path) || seen_.contains(path)) continue;
      YBIS_TRY(LookAtNew(path));
    }
    return {};
  }

  /// A filter keeps other bytes in the repository than in the folder: encrypted ones, for one. It is not run
  /// here, and what it is to hide must not be committed in plain.
  Status LeaveConverted() {
    std::vector<std::string> paths;
    for (const TreeChange& change : out_.changes) {
      if (change.mode != 0 && change.mode != kModeSymlink) paths.push_back(change.path);
    }
    YBIS_ASSIGN(const auto converted, checkout_.Converted(paths, bare_ / "attributes.git", stop_));
    for (const auto& [path, by] : converted) {
      Leave(path, fmt::format("is kept through git's {}: commit it to have it come along", by));
    }
    std::erase_if(out_.changes, [&](const TreeChange& change) { return converted.contains(change.path); });
    for (auto* names : {&out_.added, &out_.modified}) {
      std::erase_if(*names, [&](const std::string& path) { return converted.contains(path); });
    }
    return {};
  }

  Status LookAtNew(const std::string& path) {
    if (IsNeverTaken(path) || committed_.contains(path) || !seen_.insert(path).second) return {};
    if (path.back() == '/') {
      if (!index_.contains(path.substr(0, path.size() - 1))) Leave(path, "is a repository of its own");
      return {};
    }
    if (!CheckWorktreePath(path)) {
      Leave(path, "has a name that git's own files have");
      return {};
    }
    YBIS_ASSIGN(const Found found, Read(path));
    return found.what == What::kFile ? Take(path, found, out_.added) : Status{};
  }

  const GitProgram& program_;
  const fs::path& bare_;
  const Checkout& checkout_;
  ObjectStore store_;
  const UncommittedLimits& limits_;
  std::stop_token stop_;
  struct timespec index_written_;
  bool keeps_modes_ = true;
  std::string tree_;
  std::set<std::string> committed_, seen_, dropped_;
  std::map<std::string, IndexEntry> index_;
  bool index_unknown_ = false;
  int64_t total_ = 0;
  Uncommitted out_;
};

}  // namespace

bool IsNeverTaken(std::string_view path) {
  while (!path.empty()) {
    const size_t slash = std::min(path.find('/'), path.size());
    if (std::find(kNeverTaken.begin(), kNeverTaken.end(), path.substr(0, slash)) != kNeverTaken.end()) {
      return true;
    }
    path.remove_prefix(std::min(slash + 1, path.size()));
  }
  return false;
}

Result<Uncommitted> FindUncommitted(const GitProgram& program, const fs::path& bare, const Checkout& checkout,
                                    const std::string& commit, const UncommittedLimits& limits,
                                    std::stop_token stop) {
  YBIS_ASSIGN(ObjectStore store, ObjectStore::Open(bare));
  return Scan(program, bare, checkout, std::move(store), limits, std::move(stop)).Run(commit);
}

}  // namespace ybis::git
