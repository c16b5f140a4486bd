#include "runner/git/object_store.h"

#include <fmt/format.h>
#include <git2.h>

#include <algorithm>
#include <map>

#include "base/utf8.h"
#include "runner/git/confined_root.h"

namespace ybis::git {
namespace {

// A file beyond this is compared as a binary one: line by line it would cost more than anyone reads.
constexpr int64_t kMaxTextBytes = 8 * 1024 * 1024;

template <class T, void (*Free)(T*)>
struct Freer {
  void operator()(T* object) const { Free(object); }
};
template <class T, void (*Free)(T*)>
using Owned = std::unique_ptr<T, Freer<T, Free>>;
using Repository = Owned<git_repository, git_repository_free>;
using Tree = Owned<git_tree, git_tree_free>;
using TreeEntry = Owned<git_tree_entry, git_tree_entry_free>;
using Blob = Owned<git_blob, git_blob_free>;
using CommitObject = Owned<git_commit, git_commit_free>;
using Index = Owned<git_index, git_index_free>;
using Diff = Owned<git_diff, git_diff_free>;
using Patch = Owned<git_patch, git_patch_free>;
using Person = Owned<git_signature, git_signature_free>;
using Reference = Owned<git_reference, git_reference_free>;

/// Once a process: no owner check (the volume is ours, whoever mounted it) and no configuration of the
/// machine.
void InitializeLibrary() {
  static const bool done = [] {
    git_libgit2_init();
    git_libgit2_opts(GIT_OPT_SET_OWNER_VALIDATION, 0);
    for (const int level : {GIT_CONFIG_LEVEL_SYSTEM, GIT_CONFIG_LEVEL_XDG, GIT_CONFIG_LEVEL_GLOBAL,
                            GIT_CONFIG_LEVEL_PROGRAMDATA}) {
      git_libgit2_opts(GIT_OPT_SET_SEARCH_PATH, level, "");
    }
    return true;
  }();
  (void)done;
}

Unexpected FailGit(std::string_view what, int code) {
  const git_error* last = git_error_last();
  const std::string reason = last != nullptr && last->message != nullptr ? last->message : "unknown";
  const ErrorCode kind = code == GIT_ENOTFOUND ? ErrorCode::kNotFound : ErrorCode::kInternal;
  return Fail(kind, fmt::format("{}: {}", what, reason));
}

Result<git_oid> ParseId(const std::string& text) {
  git_oid id;
  if (text.size() == GIT_OID_HEXSZ && git_oid_fromstr(&id, text.c_str()) == 0) return id;
  return Fail(ErrorCode::kInvalid, fmt::format("'{}' is not a full object name", text));
}

std::string Text(const git_oid& id) {
  char text[GIT_OID_HEXSZ + 1];
  return git_oid_tostr(text, sizeof(text), &id);
}

Result<Tree> FindTree(git_repository* repository, const std::string& name) {
  YBIS_ASSIGN(const git_oid id, ParseId(name));
  git_tree* tree = nullptr;
  if (const int code = git_tree_lookup(&tree, repository, &id); code != 0)
    return FailGit("read a tree", code);
  return Tree(tree);
}

Result<Diff> DiffTrees(git_repository* repository, git_tree* from, git_tree* to, uint32_t flags) {
  git_diff_options options;
  git_diff_options_init(&options, GIT_DIFF_OPTIONS_VERSION);
  options.flags = flags;
  options.id_abbrev = GIT_OID_HEXSZ;
  options.max_size = kMaxTextBytes;
  git_diff* diff = nullptr;
  if (const int code = git_diff_tree_to_tree(&diff, repository, from, to, &options); code != 0) {
    return FailGit("compare two trees", code);
  }
  return Diff(diff);
}

Result<Patch> PatchOf(git_diff* diff, size_t at) {
  git_patch* patch = nullptr;
  if (const int code = git_patch_from_diff(&patch, diff, at); code != 0) return FailGit("make a patch", code);
  return Patch(patch);
}

Result<std::string> TextOf(git_patch* patch) {
  git_buf buffer = GIT_BUF_INIT;
  if (const int code = git_patch_to_buf(&buffer, patch); code != 0) return FailGit("print a patch", code);
  std::string text(buffer.ptr, buffer.size);
  git_buf_dispose(&buffer);
  return text;
}

/// What a text takes as JSON: up to six times its bytes.
size_t JsonBytes(std::string_view text) {
  constexpr std::string_view kTwo = "\"\\\b\f\n\r\t";
  size_t bytes = text.size();
  for (const char c : text) {
    if (kTwo.find(c) != std::string_view::npos) {
      ++bytes;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      bytes += 5;
    }
  }
  return bytes;
}

/// Builds a WorktreeDiff from one delta after the other.
class Comparison {
 public:
  Comparison(git_repository* repository, git_tree* from, git_tree* to, PatchForm form, size_t max_bytes)
      : repository_(repository), from_(from), to_(to), form_(form), max_bytes_(max_bytes) {}

  Result<WorktreeDiff> Run() {
    const uint32_t flags = form_ == PatchForm::kApplicable ? GIT_DIFF_SHOW_BINARY : GIT_DIFF_NORMAL;
    YBIS_ASSIGN(const Diff diff, DiffTrees(repository_, from_, to_, flags));
    const size_t count = git_diff_num_deltas(diff.get());
    for (size_t i = 0; i < count; ++i) {
      YBIS_TRY(Add(diff.get(), i));
      if (TooLarge()) return FailTooLarge(diff.get());
    }
    for (auto& [path, change] : changes_) result_.files.push_back(std::move(change));
    return std::move(result_);
  }

 private:
  Status Add(git_diff* diff, size_t at) {
    YBIS_ASSIGN(const Patch patch, PatchOf(diff, at));
    const git_diff_delta& delta = *git_patch_get_delta(patch.get());
    YBIS_ASSIGN(std::string text, TextOf(patch.get()));
    if (form_ == PatchForm::kApplicable && !IsCleanUtf8(text)) {
      YBIS_ASSIGN(text, BinaryTextOf(at));
    }
    result_.text += text;
    if (form_ == PatchForm::kApplicable) json_bytes_ += JsonBytes(text);
    return Count(patch.get(), delta);
  }

  bool TooLarge() const { return result_.text.size() > max_bytes_ || json_bytes_ > 3 * max_bytes_; }

  /// Names the largest of all files, not the one at which it became too much.
  Unexpected FailTooLarge(git_diff* diff) const {
    constexpr size_t kShown = 5;
    constexpr size_t kMaxPath = 160;
    std::vector<std::pair<int64_t, std::string>> files;
    for (size_t i = 0; i < git_diff_num_deltas(diff); ++i) {
      const git_diff_delta& delta = *git_diff_get_delta(diff, i);
      files.emplace_back(std::max(SizeOf(delta.old_file.id), SizeOf(delta.new_file.id)), PathOf(delta));
    }
    const size_t shown = std::min(kShown, files.size());
    std::partial_sort(files.begin(), files.begin() + static_cast<ptrdiff_t>(shown), files.end(),
                      std::greater<>());
    std::string largest;
    for (size_t i = 0; i < shown; ++i) {
      largest += fmt::format("{}{} ({} bytes)", i == 0 ? "" : ", ", CutAtCharacter(files[i].second, kMaxPath),
                             files[i].first);
    }
    return Fail(ErrorCode::kTooLarge, fmt::format("the patch passes the {} bytes allowed; the largest of {} "
                                                  "changed files: {}",
                                                  max_bytes_, files.size(), largest));
  }

  static std::string PathOf(const git_diff_delta& delta) {
    return delta.status == GIT_DELTA_DELETED ? delta.old_file.path : delta.new_file.path;
  }

  /// The same delta with its content in base85.
  Result<std::string> BinaryTextOf(size_t at) {
    if (!binary_) {
      YBIS_ASSIGN(binary_, DiffTrees(repository_, from_, to_, GIT_DIFF_FORCE_BINARY | GIT_DIFF_SHOW_BINARY));
    }
    YBIS_ASSIGN(const Patch patch, PatchOf(binary_.get(), at));
    return TextOf(patch.get());
  }

  int64_t SizeOf(const git_oid& id) const {
    git_blob* blob = nullptr;
    if (git_blob_lookup(&blob, repository_, &id) != 0) return 0;
    const Blob owned(blob);
    return static_cast<int64_t>(git_blob_rawsize(blob));
  }

  /// A change of type comes as a deletion and an addition of one path; both go into one entry.
  Status Count(git_patch* patch, const git_diff_delta& delta) {
    size_t insertions = 0;
    size_t deletions = 0;
    if (const int code = git_patch_line_stats(nullptr, &insertions, &deletions, patch); code != 0) {
      return FailGit("count lines", code);
    }
    FileChange& change = changes_[PathOf(delta)];
    change.path = PathOf(delta);
    if (delta.status != GIT_DELTA_ADDED) change.old_mode = delta.old_file.mode;
    if (delta.status != GIT_DELTA_DELETED) {
      change.new_mode = delta.new_file.mode;
      change.new_size = SizeOf(delta.new_file.id);
    }
    change.kind = change.old_mode == 0   ? ChangeKind::kAdded
                  : change.new_mode == 0 ? ChangeKind::kDeleted
                                         : ChangeKind::kModified;
    change.binary = change.binary || (delta.flags & GIT_DIFF_FLAG_BINARY) != 0;
    change.insertions += static_cast<int64_t>(insertions);
    change.deletions += static_cast<int64_t>(deletions);
    result_.insertions += static_cast<int64_t>(insertions);
    result_.deletions += static_cast<int64_t>(deletions);
    return {};
  }

  git_repository* repository_;
  git_tree* from_;
  git_tree* to_;
  PatchForm form_;
  size_t max_bytes_;
  size_t json_bytes_ = 0;
  Diff binary_;
  std::map<std::string, FileChange> changes_;
  WorktreeDiff result_;
};

Result<Person> MakePerson(const Signature& signature) {
  git_signature* person = nullptr;
  const auto seconds = std::chrono::floor<std::chrono::seconds>(signature.time).time_since_epoch().count();
  const int code = git_signature_new(&person, signature.name.c_str(), signature.email.c_str(), seconds, 0);
  if (code == 0) return Person(person);
  return Fail(ErrorCode::kInvalid,
              fmt::format("commit: '{} <{}>' cannot stand in a commit", signature.name, signature.email));
}

Status Apply(git_index* index, const TreeChange& change) {
  YBIS_TRY(CheckWorktreePath(change.path));
  if (change.mode == 0) {
    const int code = git_index_remove(index, change.path.c_str(), 0);
    if (code != 0 && code != GIT_ENOTFOUND) return FailGit(change.path, code);
    return {};
  }
  git_index_entry entry{};
  entry.path = change.path.c_str();
  entry.mode = change.mode;
  YBIS_ASSIGN(entry.id, ParseId(change.blob));
  if (const int code = git_index_add(index, &entry); code != 0) return FailGit(change.path, code);
  return {};
}

}  // namespace

struct ObjectStore::State {
  Repository repository;
};

Result<ObjectStore> ObjectStore::Open(const std::filesystem::path& bare) {
  InitializeLibrary();
  git_repository* repository = nullptr;
  if (const int code = git_repository_open_bare(&repository, bare.c_str()); code != 0) {
    return FailGit(fmt::format("open the repository {}", bare.string()), code);
  }
  return ObjectStore(std::make_unique<State>(State{Repository(repository)}));
}

ObjectStore::ObjectStore(std::unique_ptr<State> state) : state_(std::move(state)) {}
ObjectStore::ObjectStore(ObjectStore&&) noexcept = default;
ObjectStore& ObjectStore::operator=(ObjectStore&&) noexcept = default;
ObjectStore::~ObjectStore() = default;

Result<std::string> ObjectStore::TreeOf(const std::string& commit) const {
  YBIS_ASSIGN(const git_oid id, ParseId(commit));
  git_commit* object = nullptr;
  if (const int code = git_commit_lookup(&object, state_->repository.get(), &id); code != 0) {
    return FailGit("read commit " + commit, code);
  }
  const CommitObject owned(object);
  return Text(*git_commit_tree_id(object));
}

Result<std::string> ObjectStore::WriteBlob(std::string_view bytes) {
  git_oid id;
  const int code = git_blob_create_from_buffer(&id, state_->repository.get(), bytes.data(), bytes.size());
  if (code != 0) return FailGit("write a blob", code);
  return Text(id);
}

std::string ObjectStore::NameOfBlob(std::string_view bytes) {
  git_oid id{};
  git_odb_hash(&id, bytes.data(), bytes.size(), GIT_OBJECT_BLOB);
  return Text(id);
}

Result<TimePoint> ObjectStore::TimeOf(const std::string& commit) const {
  YBIS_ASSIGN(const git_oid id, ParseId(commit));
  git_commit* object = nullptr;
  if (const int code = git_commit_lookup(&object, state_->repository.get(), &id); code != 0) {
    return FailGit("read commit " + commit, code);
  }
  const CommitObject owned(object);
  return TimePoint(std::chrono::seconds(git_commit_time(object)));
}

Result<std::string> ObjectStore::UpdateTree(const std::string& tree, const std::vector<TreeChange>& changes) {
  YBIS_ASSIGN(const Tree from, FindTree(state_->repository.get(), tree));
  git_index* raw = nullptr;
  if (const int code = git_index_new(&raw); code != 0) return FailGit("make an index", code);
  const Index index(raw);
  if (const int code = git_index_read_tree(raw, from.get()); code != 0) return FailGit("read a tree", code);
  // What goes makes room for what comes: a file may have become a folder.
  for (const bool removals : {true, false}) {
    for (const TreeChange& change : changes) {
      if ((change.mode == 0) == removals) YBIS_TRY(Apply(raw, change));
    }
  }
  git_oid id;
  if (const int code = git_index_write_tree_to(&id, raw, state_->repository.get()); code != 0) {
    return FailGit("write a tree", code);
  }
  return Text(id);
}

Result<std::string> ObjectStore::ReadFile(const std::string& tree, const std::string& path,
                                          size_t max_bytes) const {
  YBIS_TRY(CheckWorktreePath(path));
  YBIS_ASSIGN(const Tree root, FindTree(state_->repository.get(), tree));
  git_tree_entry* raw = nullptr;
  if (git_tree_entry_bypath(&raw, root.get(), path.c_str()) != 0) {
    return Fail(ErrorCode::kNotFound, fmt::format("{}: is not in the base commit", path));
  }
  const TreeEntry entry(raw);
  const unsigned mode = git_tree_entry_filemode(raw);
  if (mode != GIT_FILEMODE_BLOB && mode != GIT_FILEMODE_BLOB_EXECUTABLE) {
    return Fail(ErrorCode::kInvalid, fmt::format("{}: is not a regular file in the base commit", path));
  }
  git_blob* blob = nullptr;
  if (const int code = git_blob_lookup(&blob, state_->repository.get(), git_tree_entry_id(raw)); code != 0) {
    return FailGit(path, code);
  }
  const Blob owned(blob);
  const auto size = static_cast<size_t>(git_blob_rawsize(blob));
  if (size > max_bytes) {
    return Fail(ErrorCode::kTooLarge, fmt::format("{}: more than the {} bytes allowed", path, max_bytes));
  }
  return std::string(static_cast<const char*>(git_blob_rawcontent(blob)), size);
}

Result<WorktreeDiff> ObjectStore::Compare(const std::string& from, const std::string& to, PatchForm form,
                                          size_t max_bytes) const {
  if (from == to) return WorktreeDiff{};
  YBIS_ASSIGN(const Tree old_tree, FindTree(state_->repository.get(), from));
  YBIS_ASSIGN(const Tree new_tree, FindTree(state_->repository.get(), to));
  return Comparison(state_->repository.get(), old_tree.get(), new_tree.get(), form, max_bytes).Run();
}

Result<std::string> ObjectStore::WriteCommit(const std::string& tree, const std::string& parent,
                                             const CommitRequest& request) {
  if (!IsCleanUtf8(request.message) || request.message.empty()) {
    return Fail(ErrorCode::kInvalid, "commit: the message is empty or not UTF-8");
  }
  git_repository* repository = state_->repository.get();
  YBIS_ASSIGN(const Tree root, FindTree(repository, tree));
  YBIS_ASSIGN(const git_oid parent_id, ParseId(parent));
  git_commit* raw = nullptr;
  if (const int code = git_commit_lookup(&raw, repository, &parent_id); code != 0)
    return FailGit("read " + parent, code);
  const CommitObject owned(raw);
  YBIS_ASSIGN(const Person author, MakePerson(request.author));
  YBIS_ASSIGN(const Person committer, MakePerson(request.committer));
  std::string message = request.message;
  if (message.back() != '\n') message += '\n';
  const git_commit* parents[] = {raw};
  git_oid id;
  const int code = git_commit_create(&id, repository, nullptr, author.get(), committer.get(), nullptr,
                                     message.c_str(), root.get(), 1, parents);
  if (code != 0) return FailGit("write a commit", code);
  return Text(id);
}

Status ObjectStore::PointBranch(const std::string& branch, const std::string& commit) {
  YBIS_ASSIGN(const git_oid id, ParseId(commit));
  git_reference* raw = nullptr;
  const std::string name = "refs/heads/" + branch;
  const int code = git_reference_create(&raw, state_->repository.get(), name.c_str(), &id, 1, nullptr);
  const Reference owned(raw);
  if (code != 0) return FailGit("point branch " + branch, code);
  return {};
}

Result<std::vector<IndexEntry>> ReadIndex(const std::filesystem::path& path) {
  InitializeLibrary();
  git_index* raw = nullptr;
  if (const int code = git_index_open(&raw, path.c_str()); code != 0) return FailGit("read the index", code);
  const Index index(raw);
  std::vector<IndexEntry> entries;
  entries.reserve(git_index_entrycount(raw));
  for (size_t i = 0; i < git_index_entrycount(raw); ++i) {
    const git_index_entry& entry = *git_index_get_byindex(raw, i);
    entries.push_back({.path = entry.path,
                       .blob = Text(entry.id),
                       .mode = entry.mode,
                       .mtime_seconds = entry.mtime.seconds,
                       .mtime_nanoseconds = entry.mtime.nanoseconds,
                       .ctime_seconds = entry.ctime.seconds,
                       .ctime_nanoseconds = entry.ctime.nanoseconds,
                       .inode = entry.ino,
                       .size = entry.file_size,
                       .stage = git_index_entry_stage(&entry),
                       .hidden = (entry.flags & GIT_INDEX_ENTRY_VALID) != 0 ||
                                 (entry.flags_extended & GIT_INDEX_ENTRY_SKIP_WORKTREE) != 0});
  }
  return entries;
}

}  // namespace ybis::git
