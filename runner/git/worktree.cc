#include "runner/git/worktree.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <system_error>

#include "base/digest.h"
#include "base/file.h"
#include "base/remove_tree.h"
#include "runner/git/confined_root.h"
#include "runner/git/failure.h"
#include "runner/git/object_store.h"
#include "runner/git/ref_name.h"
#include "runner/git/worktree_scan.h"

namespace ybis::git {
namespace {

namespace fs = std::filesystem;

/// Whether a line of a worktree's administrative folder (gitdir) is about this path.
bool IsAbout(const fs::path& administrative, const fs::path& path) {
  auto text = ReadFile(administrative / "gitdir", 8192);
  if (!text) return true;  // half-made by a killed attempt
  while (!text->empty() && text->back() == '\n') text->pop_back();
  return fs::path(*text).lexically_normal() == path / ".git";
}

/// What an earlier attempt left of the worktree and of git's own notes on it.
Status RemoveEarlier(const fs::path& bare, const fs::path& path) {
  YBIS_TRY(RemoveTree(path));
  std::error_code error;
  std::vector<fs::path> stale;
  for (auto it = fs::directory_iterator(bare / "worktrees", error); !error && it != fs::end(it);
       it.increment(error)) {
    if (IsAbout(it->path(), path)) stale.push_back(it->path());
  }
  for (const fs::path& administrative : stale) YBIS_TRY(RemoveTree(administrative));
  return {};
}

/// The administrative folder that git has just made for a worktree, from its `.git` file. Read right after it
/// was written, before anything else can have run in the worktree.
Result<fs::path> AdministrativeFolder(const fs::path& bare, const fs::path& path) {
  YBIS_ASSIGN(std::string text, ReadFile(path / ".git", 8192));
  while (!text.empty() && text.back() == '\n') text.pop_back();
  constexpr std::string_view kPrefix = "gitdir: ";
  const fs::path folder = text.starts_with(kPrefix) ? text.substr(kPrefix.size()) : std::string();
  std::error_code error;
  if (fs::weakly_canonical(folder.parent_path(), error) == fs::weakly_canonical(bare / "worktrees", error))
    return folder;
  return Fail(ErrorCode::kInternal, fmt::format("git worktree add: unexpected folder '{}'", folder.string()));
}

}  // namespace

struct Worktree::State {
  const BareRepository* bare;
  WorktreeLimits limits;
  std::string branch;
  WorktreePlaces places;
  ConfinedRoot root;
  ObjectStore store;
  std::string base_tree;
  std::string checked_out;  ///< the tree that the index holds

  const GitProgram& program() const { return bare->program(); }

  GitCall Call(std::vector<std::string> arguments) const {
    GitCall call;
    call.git_dir = places.git_dir;
    call.work_tree = places.root;
    call.arguments = std::move(arguments);
    return call;
  }

  Status Run(const GitCall& call, std::stop_token stop) const {
    return program().OutputOf(call, std::move(stop)).map([](const std::string&) {});
  }

  /// Makes the folder empty but for the `.git` file, which is only for commands that ask git themselves. Not
  /// synced: the worktree is remade from base and patch after a crash anyway.
  Status Empty() {
    // A command may have taken every right from its own folder; nothing but us can have replaced it.
    (void)::chmod(places.root.c_str(), 0755);
    YBIS_ASSIGN(const UniqueFd folder, root.OpenFolder());
    YBIS_TRY(ClearFolder(folder.get()));
    const UniqueFd file(
        ::openat(folder.get(), ".git", O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644));
    const std::string text = fmt::format("gitdir: {}\n", places.git_dir.string());
    if (file.valid() && ::write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()))
      return {};
    return Fail(ErrorCode::kInternal, fmt::format("worktree: write {}/.git: {}", places.root.string(),
                                                  std::generic_category().message(errno)));
  }

  /// Fills the empty folder with a tree.
  Status CheckOut(const std::string& tree, std::stop_token stop) {
    std::error_code error;
    fs::remove(places.git_dir / "index", error);
    YBIS_TRY(Run(Call({"read-tree", "--reset", "-u", "--no-recurse-submodules", tree}), std::move(stop)));
    checked_out = tree;
    return {};
  }

  /// The tree of base plus patch, made in an index of its own: no file is touched before it is known to
  /// apply.
  Result<std::string> TreeWith(std::string_view patch, std::stop_token stop) const {
    if (patch.empty()) return base_tree;
    const fs::path index = places.git_dir / "restore-index";
    std::error_code error;
    fs::remove(index, error);
    GitCall read = Call({"read-tree", base_tree});
    GitCall apply = Call({"apply", "--cached", "--binary", "-p1", "--whitespace=nowarn", "-"});
    GitCall write = Call({"write-tree"});
    for (GitCall* call : {&read, &apply, &write}) call->index_file = index;
    apply.input = patch;
    YBIS_TRY(Run(read, stop));
    YBIS_ASSIGN(const ProcessResult applied, program().RunLocal(apply, stop));
    if (applied.exit_code != 0) {
      return Fail(ErrorCode::kInvalid, fmt::format("the patch does not apply to {}: {}", bare->base_commit(),
                                                   TellingLine(applied.error_output)));
    }
    YBIS_ASSIGN(std::string tree, program().OutputOf(write, stop));
    fs::remove(index, error);
    tree.resize(std::min(tree.find('\n'), tree.size()));
    return tree;
  }

  Result<std::string> CurrentTree(std::stop_token stop) {
    const WorktreeScan scan(program(), places, root);
    YBIS_ASSIGN(const std::vector<TreeChange> changes, scan.Changes(store, limits, std::move(stop)));
    if (changes.empty()) return checked_out;
    return store.UpdateTree(checked_out, changes);
  }
};

Result<Worktree> Worktree::Create(const BareRepository& bare, const std::string& branch,
                                  const fs::path& given, std::stop_token stop, WorktreeLimits limits) {
  YBIS_TRY(CheckBranchName(branch));
  if (!given.is_absolute()) {
    return Fail(ErrorCode::kInvalid, fmt::format("worktree: {} is not an absolute path", given.string()));
  }
  std::error_code error;
  fs::create_directories(given.parent_path(), error);
  // git writes real paths into its notes.
  const fs::path path = fs::weakly_canonical(given.parent_path(), error) / given.filename();
  YBIS_TRY(RemoveEarlier(bare.directory(), path));
  GitCall add;
  add.git_dir = bare.directory();
  add.arguments = {"worktree", "add", "--quiet", "--no-checkout", "--no-track",
                   "--force",  "-B",  branch,    path.string(),   bare.base_commit()};
  YBIS_TRY(bare.program().OutputOf(add, stop).map([](const std::string&) {}));
  YBIS_ASSIGN(fs::path git_dir, AdministrativeFolder(bare.directory(), path));
  YBIS_ASSIGN(ConfinedRoot root, ConfinedRoot::Open(path));
  YBIS_ASSIGN(ObjectStore store, ObjectStore::Open(bare.directory()));
  YBIS_ASSIGN(std::string base_tree, store.TreeOf(bare.base_commit()));
  auto state = std::make_unique<State>(State{.bare = &bare,
                                             .limits = limits,
                                             .branch = branch,
                                             .places = {.root = path, .git_dir = std::move(git_dir)},
                                             .root = std::move(root),
                                             .store = std::move(store),
                                             .base_tree = base_tree,
                                             .checked_out = base_tree});
  YBIS_TRY(state->CheckOut(base_tree, std::move(stop)));
  return Worktree(std::move(state));
}

Worktree::Worktree(std::unique_ptr<State> state) : state_(std::move(state)) {}
Worktree::Worktree(Worktree&&) noexcept = default;
Worktree& Worktree::operator=(Worktree&&) noexcept = default;
Worktree::~Worktree() = default;

const fs::path& Worktree::root() const { return state_->places.root; }
int Worktree::root_fd() const { return state_->root.fd(); }
const fs::path& Worktree::repository() const { return state_->bare->directory(); }
const std::string& Worktree::branch() const { return state_->branch; }
const std::string& Worktree::base_commit() const { return state_->bare->base_commit(); }

Result<WorktreeDiff> Worktree::Diff(size_t max_bytes, std::stop_token stop) const {
  YBIS_ASSIGN(const std::string tree, state_->CurrentTree(std::move(stop)));
  return state_->store.Compare(state_->base_tree, tree, PatchForm::kReadable, max_bytes);
}

Result<std::string> Worktree::Snapshot(std::stop_token stop) const {
  YBIS_ASSIGN(const std::string tree, state_->CurrentTree(std::move(stop)));
  YBIS_ASSIGN(WorktreeDiff diff, state_->store.Compare(state_->base_tree, tree, PatchForm::kApplicable,
                                                       state_->limits.max_patch_bytes));
  return std::move(diff.text);
}

Result<std::string> Worktree::PatchDigest(std::stop_token stop) const {
  YBIS_ASSIGN(const std::string patch, Snapshot(std::move(stop)));
  return Digest(patch);
}

Status Worktree::Restore(std::string_view patch, std::stop_token stop) {
  YBIS_ASSIGN(const std::string tree, state_->TreeWith(patch, stop));
  YBIS_TRY(state_->Empty());
  return state_->CheckOut(tree, std::move(stop));
}

Result<FileList> Worktree::ListFiles(size_t max, std::stop_token stop) const {
  YBIS_ASSIGN(std::vector<std::string> paths,
              WorktreeScan(state_->program(), state_->places, state_->root).Paths(std::move(stop)));
  FileList list{.paths = std::move(paths), .truncated = false};
  list.truncated = list.paths.size() > max;
  if (list.truncated) list.paths.resize(max);
  return list;
}

Result<std::string> Worktree::ReadFileAt(std::string_view path, size_t max_bytes) const {
  YBIS_TRY(CheckWorktreePath(path));
  return state_->root.ReadRegular(std::string(path), max_bytes);
}

Result<std::string> Worktree::ReadHeadAt(std::string_view path, size_t max_bytes) const {
  YBIS_TRY(CheckWorktreePath(path));
  return state_->root.ReadHead(std::string(path), max_bytes);
}

bool Worktree::Has(std::string_view path) const {
  if (!CheckWorktreePath(path)) return false;
  const auto info = state_->root.Stat(std::string(path));
  return info && *info && !S_ISDIR((*info)->st_mode);
}

Result<std::vector<IgnoredPath>> Worktree::Ignored(const std::vector<std::string>& paths,
                                                   const IgnoreFiles& planned, std::stop_token stop) const {
  for (const std::string& path : paths) YBIS_TRY(CheckWorktreePath(path));
  return FindIgnored(state_->program(), state_->places, state_->root, paths, planned, std::move(stop));
}

Result<std::string> Worktree::ReadBaseFileAt(std::string_view path, size_t max_bytes) const {
  return state_->store.ReadFile(state_->base_tree, std::string(path), max_bytes);
}

Result<std::string> Worktree::Commit(const CommitRequest& request, std::stop_token stop) {
  YBIS_ASSIGN(const std::string tree, request.patch ? state_->TreeWith(*request.patch, std::move(stop))
                                                    : state_->CurrentTree(std::move(stop)));
  if (tree == state_->base_tree) {
    return Fail(ErrorCode::kInvalid, fmt::format("commit: nothing differs from {}", base_commit()));
  }
  YBIS_ASSIGN(std::string commit, state_->store.WriteCommit(tree, base_commit(), request));
  YBIS_TRY(state_->store.PointBranch(state_->branch, commit));
  return commit;
}

Result<PushResult> Worktree::Push(const std::string& commit, const std::string& remote_branch,
                                  const std::optional<std::string>& expected, std::stop_token stop) const {
  return state_->bare->Push(commit, remote_branch, expected, std::move(stop));
}

}  // namespace ybis::git
