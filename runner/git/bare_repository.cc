#include "runner/git/bare_repository.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>

#include <cerrno>
#include <system_error>
#include <thread>

#include "base/file.h"
#include "base/remove_tree.h"
#include "base/unique_fd.h"
#include "runner/git/confined_root.h"
#include "runner/git/failure.h"
#include "runner/git/ref_name.h"
#include "runner/git/remote_refs.h"

namespace ybis::git {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::milliseconds kLockPatience{3'000};
constexpr std::chrono::milliseconds kLockPoll{20};

// Points at the base commit once all of its objects are there; nothing else does.
constexpr const char* kBaseRef = "refs/ybis/base";
constexpr const char* kAdoptedRef = "refs/ybis/adopted";

// The other side of a fetch or push to a folder is a git of ours with that repository's configuration and
// hooks: they are somebody's, and none of them is to run with the runner's rights, nor any file they name to
// be read. So it need not belong to the runner's own user either.
constexpr std::string_view kOtherSide =
    "git -c core.hooksPath=/dev/null -c core.fsmonitor=false -c core.alternateRefsCommand=true "
    "-c core.attributesFile=/dev/null -c core.excludesFile=/dev/null -c receive.autogc=false -c gc.auto=0 "
    "-c gc.recentObjectsHook= -c maintenance.auto=false -c 'safe.directory=*'";

constexpr std::string_view kConfig =
    "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n\tlogAllRefUpdates = false\n";
// Stands above every .gitattributes: files of the worktree are the bytes of their blobs.
constexpr std::string_view kAttributes =
    "* !text !eol !crlf !ident !filter !working-tree-encoding !diff !merge\n";

void RemoveIfLeftover(const fs::path& path) {
  const std::string name = path.filename().string();
  std::error_code ignored;
  if (name.ends_with(".lock") || name.starts_with("tmp_")) fs::remove(path, ignored);
}

/// Locks and half-written packs of a killed git would fail every later call.
void RemoveLeftovers(const fs::path& directory) {
  std::error_code error;
  for (const char* below : {"", "refs", "worktrees", "info", "objects/pack", "objects/info"}) {
    const fs::path folder = *below == '\0' ? directory : directory / below;
    const bool deep = std::string_view(below) == "refs" || std::string_view(below) == "worktrees";
    std::vector<fs::path> found;
    if (deep) {
      for (auto it = fs::recursive_directory_iterator(folder, error); !error && it != fs::end(it);
           it.increment(error)) {
        found.push_back(it->path());
      }
    } else {
      for (auto it = fs::directory_iterator(folder, error); !error && it != fs::end(it);
           it.increment(error)) {
        found.push_back(it->path());
      }
    }
    for (const fs::path& path : found) RemoveIfLeftover(path);
  }
}

/// Waits a little for a lock that is held: a process that was killed while it started git leaves it held
/// until that child has come to its exec.
bool TryLock(int fd, const std::stop_token& stop) {
  const auto until = std::chrono::steady_clock::now() + kLockPatience;
  while (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (stop.stop_requested() || std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(kLockPoll);
  }
  return true;
}

Result<UniqueFd> LockFolder(const fs::path& directory, const std::stop_token& stop) {
  const fs::path path = directory.string() + ".lock";
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd.valid()) {
    return Fail(ErrorCode::kInternal, fmt::format("repository cache: lock {}: {}", path.string(),
                                                  std::generic_category().message(errno)));
  }
  if (TryLock(fd.get(), stop)) return fd;
  return Fail(ErrorCode::kConflict,
              fmt::format("repository cache: {} is in use by another process", directory.string()));
}

Result<RepositoryUrl> CheckRequest(const GitProgram& program, const OpenRequest& request) {
  const Settings& settings = program.settings();
  YBIS_ASSIGN(RepositoryUrl url,
              ParseRepositoryUrl(request.url, {.allow_file = settings.allow_file,
                                               .allow_insecure_http = settings.allow_insecure_http}));
  YBIS_TRY(CheckRef(request.ref));
  if (!request.commit.empty() && !IsFullSha(request.commit)) {
    return Fail(ErrorCode::kInvalid,
                fmt::format("base commit '{}' is not a full commit name", request.commit));
  }
  if (!request.directory.is_absolute()) {
    return Fail(ErrorCode::kInvalid,
                fmt::format("repository cache: {} is not an absolute path", request.directory.string()));
  }
  return url;
}

}  // namespace

struct BareRepository::State {
  GitProgram program;
  GitCredentials credentials;
  fs::path directory;
  RepositoryUrl url;
  std::string base_commit;
  std::string default_branch;
  std::string resolved_ref;
  UniqueFd lock;

  GitCall Call(std::vector<std::string> arguments) const {
    GitCall call;
    call.git_dir = directory;
    call.arguments = std::move(arguments);
    return call;
  }
  GitAttempt Attempt(std::string verb, std::string ref) const {
    return {.verb = std::move(verb),
            .url = url.Display(),
            .ref = std::move(ref),
            .anonymous = credentials.anonymous()};
  }

  void AddUploadPack(std::vector<std::string>& arguments) const {
    if (url.transport == Transport::kFile) {
      arguments.push_back(fmt::format("--upload-pack={} upload-pack", kOtherSide));
    }
  }

  /// An init that was killed half-way leaves a folder that is no repository: it starts over.
  Status MakeRepository(std::stop_token stop) const {
    YBIS_ASSIGN(const ProcessResult look, program.RunLocal(Call({"rev-parse", "--git-dir"}), stop));
    if (look.exit_code == 0) return {};
    YBIS_TRY(RemoveTree(directory));
    GitCall init;
    init.arguments = {"init",
                      "--bare",
                      "--quiet",
                      "--template=",
                      "--object-format=sha1",
                      "--initial-branch=ybis/none",
                      directory.string()};
    return program.OutputOf(init, stop).map([](const std::string&) {});
  }

  Status Initialize(std::stop_token stop) const {
    std::error_code error;
    fs::create_directories(directory, error);
    if (error) {
      return Fail(ErrorCode::kInternal,
                  fmt::format("repository cache: make {}: {}", directory.string(), error.message()));
    }
    RemoveLeftovers(directory);
    YBIS_TRY(MakeRepository(stop));
    YBIS_TRY(WriteFileAtomic(directory / "config", kConfig));
    fs::create_directories(directory / "info", error);
    return WriteFileAtomic(directory / "info" / "attributes", kAttributes);
  }

  /// The commit that kBaseRef names, empty when there is none yet.
  Result<std::string> FetchedBase(std::stop_token stop) const {
    YBIS_ASSIGN(ProcessResult result,
                program.RunLocal(
                    Call({"rev-parse", "--quiet", "--verify", std::string(kBaseRef) + "^{commit}"}), stop));
    std::string commit = result.output.substr(0, result.output.find('\n'));
    return result.exit_code == 0 && IsFullSha(commit) ? commit : std::string();
  }

  Result<RemoteRefs> ListRemote(std::vector<std::string> patterns, const std::string& ref,
                                std::stop_token stop) const {
    std::vector<std::string> arguments = {"ls-remote", "--symref", "--quiet"};
    AddUploadPack(arguments);
    arguments.insert(arguments.end(), {"--", url.text});
    arguments.insert(arguments.end(), patterns.begin(), patterns.end());
    YBIS_ASSIGN(ProcessResult result, program.RunNetwork(Call(std::move(arguments)), url, credentials, stop));
    if (result.exit_code != 0) return Fail(ClassifyGitFailure(result, Attempt("list the refs of", ref)));
    if (result.truncated) {
      return Fail(ErrorCode::kUnsupported,
                  fmt::format("{}: lists more refs than can be read for '{}'", url.Display(), ref));
    }
    auto refs = ParseRemoteRefs(result.output);
    if (!refs) return FailIn(url.Display(), std::move(refs).error());
    return refs;
  }

  Result<ProcessResult> FetchOnce(const std::vector<std::string>& refspecs, int depth,
                                  const Progress& progress, std::stop_token stop) const {
    GitCall call = Call({"fetch", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head",
                         "--no-auto-maintenance", "--update-shallow", "--progress", "--force"});
    if (depth > 0) call.arguments.push_back(fmt::format("--depth={}", depth));
    AddUploadPack(call.arguments);
    call.arguments.insert(call.arguments.end(), {"--", url.text});
    call.arguments.insert(call.arguments.end(), refspecs.begin(), refspecs.end());
    call.progress = progress;
    return program.RunNetwork(call, url, credentials, std::move(stop));
  }

  /// Shallow, and whole where the server cannot do that.
  Status Fetch(const std::string& source, const std::string& ref, int depth, const Progress& progress,
               std::stop_token stop) const {
    const std::vector<std::string> refspec = {fmt::format("+{}:{}", source, kBaseRef)};
    YBIS_ASSIGN(ProcessResult result, FetchOnce(refspec, depth, progress, stop));
    if (result.exit_code != 0 && depth > 0 && result.error_output.find("shallow") != std::string::npos) {
      YBIS_ASSIGN(result, FetchOnce(refspec, 0, progress, stop));
    }
    if (result.exit_code == 0 && !result.timed_out) return {};
    return Fail(ClassifyGitFailure(result, Attempt("fetch", ref)));
  }

  /// Where the server gives no single commit away: every branch and tag, then the commit must be among them.
  Status FetchAllFor(const std::string& commit, const Progress& progress, std::stop_token stop) const {
    YBIS_ASSIGN(
        const ProcessResult result,
        FetchOnce({"+refs/heads/*:refs/ybis/heads/*", "+refs/tags/*:refs/ybis/tags/*"}, 0, progress, stop));
    if (result.exit_code != 0) return Fail(ClassifyGitFailure(result, Attempt("fetch", commit)));
    YBIS_ASSIGN(const ProcessResult found, program.RunLocal(Call({"update-ref", kBaseRef, commit}), stop));
    if (found.exit_code == 0) return {};
    return Fail(ErrorCode::kNotFound,
                fmt::format("{}: has no commit {} in any branch or tag; correct spec.repository.ref",
                            url.Display(), commit));
  }

  Status FetchCommit(const std::string& commit, int depth, const Progress& progress,
                     std::stop_token stop) const {
    YBIS_ASSIGN(const std::string have, FetchedBase(stop));
    if (have == commit) return {};
    auto fetched = Fetch(commit, commit, depth, progress, stop);
    if (fetched || fetched.error().code != ErrorCode::kNotFound) return fetched;
    // Only the commit may be unknown; a repository that is missing stays missing.
    YBIS_TRY(ListRemote({"HEAD"}, commit, stop).map([](const RemoteRefs&) {}));
    return FetchAllFor(commit, progress, stop);
  }

  Status FetchRef(const OpenRequest& request, const Progress& progress, std::stop_token stop) {
    const std::string& ref = request.ref;
    std::vector<std::string> patterns = {"HEAD"};
    if (ref.starts_with("refs/")) {
      patterns.insert(patterns.end(), {ref, ref + "^{}"});
    } else if (!ref.empty() && ref != "HEAD") {
      patterns.insert(patterns.end(), {"refs/heads/" + ref, "refs/tags/" + ref, "refs/tags/" + ref + "^{}"});
    }
    YBIS_ASSIGN(const RemoteRefs refs, ListRemote(std::move(patterns), ref, stop));
    if (refs.head_branch.starts_with("refs/heads/")) default_branch = refs.head_branch.substr(11);
    YBIS_ASSIGN(const ResolvedRef resolved, ResolveRemoteRef(refs, ref, url.Display()));
    resolved_ref = resolved.name;
    YBIS_ASSIGN(const std::string have, FetchedBase(stop));
    if (have == resolved.commit) return {};
    return Fetch(resolved.name, ref, request.depth, progress, std::move(stop));
  }

  Status FetchBase(const OpenRequest& request, const Progress& progress, std::stop_token stop) {
    const std::string& commit = !request.commit.empty()  ? request.commit
                                : IsFullSha(request.ref) ? request.ref
                                                         : std::string();
    if (commit.empty()) {
      YBIS_TRY(FetchRef(request, progress, stop));
    } else {
      YBIS_TRY(FetchCommit(commit, request.depth, progress, stop));
    }
    YBIS_ASSIGN(base_commit, FetchedBase(stop));
    if (base_commit.empty()) {
      return Fail(ErrorCode::kInvalid,
                  fmt::format("{}: ref '{}' names no commit", url.Display(), request.ref));
    }
    return {};
  }
};

Result<BareRepository> BareRepository::Open(const GitProgram& program, const OpenRequest& request,
                                            const GitCredentials& credentials, std::stop_token stop,
                                            const Progress& progress) {
  YBIS_ASSIGN(RepositoryUrl url, CheckRequest(program, request));
  YBIS_TRY(credentials.CheckFor(url));
  std::error_code error;
  fs::create_directories(request.directory.parent_path(), error);
  auto state = std::make_unique<State>(State{.program = program,
                                             .credentials = credentials,
                                             .directory = request.directory.lexically_normal(),
                                             .url = std::move(url),
                                             .base_commit = {},
                                             .default_branch = {},
                                             .resolved_ref = {},
                                             .lock = {}});
  YBIS_ASSIGN(state->lock, LockFolder(state->directory, stop));
  const bool cached = fs::exists(state->directory, error);
  auto attempt = [&]() -> Status {
    YBIS_TRY(state->Initialize(stop));
    return state->FetchBase(request, progress, stop);
  };
  Status opened = attempt();
  if (!opened && cached && opened.error().code == ErrorCode::kInternal) {
    // It is a cache: what cannot be explained is most likely a damaged one.
    YBIS_TRY(RemoveTree(state->directory));
    opened = attempt();
  }
  if (!opened) return Fail(std::move(opened).error());
  return BareRepository(std::move(state));
}

BareRepository::BareRepository(std::unique_ptr<State> state) : state_(std::move(state)) {}
BareRepository::BareRepository(BareRepository&&) noexcept = default;
BareRepository& BareRepository::operator=(BareRepository&&) noexcept = default;
BareRepository::~BareRepository() = default;

const fs::path& BareRepository::directory() const { return state_->directory; }
const RepositoryUrl& BareRepository::url() const { return state_->url; }
const GitProgram& BareRepository::program() const { return state_->program; }
const std::string& BareRepository::base_commit() const { return state_->base_commit; }
Status BareRepository::AdoptBase(const std::string& commit, std::stop_token stop) {
  if (!IsFullSha(commit)) return Fail(ErrorCode::kInvalid, "base: not a full commit name: " + commit);
  YBIS_TRY(state_->program.OutputOf(state_->Call({"update-ref", kAdoptedRef, commit}), std::move(stop))
               .map([](const std::string&) {}));
  state_->base_commit = commit;
  return {};
}

const std::string& BareRepository::default_branch() const { return state_->default_branch; }
const std::string& BareRepository::resolved_ref() const { return state_->resolved_ref; }

Result<std::optional<std::string>> BareRepository::RemoteBranch(const std::string& branch,
                                                                std::stop_token stop) const {
  YBIS_TRY(CheckBranchName(branch));
  const std::string name = "refs/heads/" + branch;
  YBIS_ASSIGN(const RemoteRefs refs, state_->ListRemote({name}, branch, std::move(stop)));
  const std::string commit = refs.Find(name);
  return commit.empty() ? std::nullopt : std::optional(commit);
}

namespace {

Unexpected Conflict(const RepositoryUrl& url, const std::string& branch,
                    const std::optional<std::string>& there) {
  return Fail(Error{
      .code = ErrorCode::kConflict,
      .message = fmt::format("{}: branch '{}' {}, which this run did not put there; it is left as it is: "
                             "delete it or choose another spec.delivery.branch",
                             url.Display(), branch, there ? "is at commit " + *there : "is gone"),
      .retryable = false});
}

}  // namespace

Result<PushResult> BareRepository::Push(const std::string& commit, const std::string& branch,
                                        const std::optional<std::string>& expected,
                                        std::stop_token stop) const {
  if (!IsFullSha(commit)) return Fail(ErrorCode::kInvalid, "push: not a full commit name: " + commit);
  YBIS_ASSIGN(const std::optional<std::string> before, RemoteBranch(branch, stop));
  if (before == commit) return PushResult{.branch = branch, .commit = commit, .already_there = true};
  // A branch that is gone may be made again: nobody's work is lost by that.
  if (before && before != expected) return Conflict(state_->url, branch, before);
  const std::string name = "refs/heads/" + branch;
  GitCall call = state_->Call({"push", "--porcelain", "--no-verify", "--no-recurse-submodules",
                               fmt::format("--force-with-lease={}:{}", name, before.value_or(""))});
  if (state_->url.transport == Transport::kFile) {
    call.arguments.push_back(fmt::format("--receive-pack={} receive-pack", kOtherSide));
  }
  call.arguments.insert(call.arguments.end(), {"--", state_->url.text, fmt::format("{}:{}", commit, name)});
  YBIS_ASSIGN(const ProcessResult result,
              state_->program.RunNetwork(call, state_->url, state_->credentials, stop));
  if (result.exit_code == 0 && !result.timed_out) return PushResult{.branch = branch, .commit = commit};
  // The answer may have been lost after the server took it, or somebody else came between.
  const auto after = RemoteBranch(branch, stop);
  if (after && *after == commit) return PushResult{.branch = branch, .commit = commit};
  if (after && *after != before) return Conflict(state_->url, branch, *after);
  return Fail(ClassifyGitFailure(result, state_->Attempt("push to", branch)));
}

}  // namespace ybis::git
