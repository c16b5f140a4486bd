#include "runner/git/checkout.h"

#include <fmt/format.h>

#include <system_error>

#include "base/file.h"
#include "runner/git/entry_match.h"
#include "runner/git/ref_name.h"
#include "runner/git/worktree_scan.h"

namespace ybis::git {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxPointer = 8 * 1024;
constexpr size_t kMaxText = 1024 * 1024;
constexpr size_t kMaxAttributes = 64 * 1024 * 1024;

std::string FirstLine(std::string text) {
  text.resize(std::min(text.find('\n'), text.size()));
  while (!text.empty() && (text.back() == '\r' || text.back() == ' ')) text.pop_back();
  return text;
}

/// The folder that `.git` is, or that the file `.git` names (a linked worktree, a submodule).
Result<fs::path> GitFolder(const fs::path& folder) {
  const fs::path dot_git = folder / ".git";
  std::error_code error;
  if (fs::is_directory(dot_git, error)) return dot_git;
  if (!fs::exists(dot_git, error)) {
    return Fail(ErrorCode::kNotFound, fmt::format("{}: is no checkout of a repository", folder.string()));
  }
  YBIS_ASSIGN(const std::string text, ReadFile(dot_git, kMaxPointer));
  constexpr std::string_view kPrefix = "gitdir: ";
  const std::string line = FirstLine(text);
  if (!line.starts_with(kPrefix)) {
    return Fail(ErrorCode::kInvalid, fmt::format("{}: names no repository", dot_git.string()));
  }
  return (folder / line.substr(kPrefix.size())).lexically_normal();
}

/// Linked worktrees share the configuration of the repository they were made from.
fs::path CommonFolder(const fs::path& git_dir) {
  const auto text = ReadFile(git_dir / "commondir", kMaxPointer);
  if (!text || FirstLine(*text).empty()) return git_dir;
  return (git_dir / FirstLine(*text)).lexically_normal();
}

bool IsFalse(const std::string& value) {
  return value == "false" || value == "no" || value == "off" || value == "0" || value == "False";
}

}  // namespace

Result<Checkout> Checkout::Open(const GitProgram& program, const fs::path& folder, UserFolders user) {
  std::error_code error;
  const fs::path real = fs::canonical(folder, error);
  if (error) return Fail(ErrorCode::kNotFound, fmt::format("{}: {}", folder.string(), error.message()));
  YBIS_ASSIGN(fs::path git_dir, GitFolder(real));
  YBIS_ASSIGN(ConfinedRoot files, ConfinedRoot::Open(real));
  Checkout out(program, real, std::move(user), std::move(files));
  out.git_dir_ = std::move(git_dir);
  out.common_ = CommonFolder(out.git_dir_);
  return out;
}

Result<std::string> Checkout::Head(std::stop_token stop) const {
  GitCall call;
  call.git_dir = git_dir_;
  call.arguments = {"rev-parse", "--quiet", "--verify", "HEAD"};  // reads refs, no objects
  YBIS_ASSIGN(const ProcessResult result, program_->RunLocal(call, std::move(stop)));
  const std::string commit = FirstLine(result.output);
  return result.exit_code == 0 && IsFullSha(commit) ? commit : std::string();
}

std::map<std::string, IndexEntry> Checkout::Index(std::string& problem) const {
  std::map<std::string, IndexEntry> out;
  const fs::path path = git_dir_ / "index";
  std::error_code error;
  if (!fs::exists(path, error)) return out;
  if (!fs::is_regular_file(path, error)) {
    problem = "is not a regular file";
    return out;
  }
  auto entries = ReadIndex(path);
  if (!entries) {
    problem = entries.error().message;
    return out;
  }
  for (IndexEntry& entry : *entries) {
    std::string name = entry.path;
    out.insert_or_assign(std::move(name), std::move(entry));
  }
  return out;
}

struct timespec Checkout::IndexWritten() const {
  const auto written = WriteTime(git_dir_ / "index");
  return written ? *written : timespec{};
}

namespace {

/// A repository of nothing but attributes: with the checkout's own git would read its configuration.
Status MakeAttributes(const fs::path& folder, const std::string& attributes) {
  std::error_code error;
  for (const char* part : {"objects", "refs", "info"}) fs::create_directories(folder / part, error);
  YBIS_TRY(WriteFileAtomic(folder / "HEAD", "ref: refs/heads/none\n"));
  return WriteFileAtomic(folder / "info" / "attributes", attributes);
}

}  // namespace

Result<std::map<std::string, std::string>> Checkout::Converted(const std::vector<std::string>& paths,
                                                               const fs::path& scratch,
                                                               std::stop_token stop) const {
  std::map<std::string, std::string> out;
  if (paths.empty()) return out;
  YBIS_TRY(CheckIgnoreFiles(files_, stop, ".gitattributes"));
  YBIS_TRY(MakeAttributes(scratch, ReadFile(common_ / "info" / "attributes", kMaxText).value_or("")));
  GitCall call;
  call.git_dir = scratch;
  call.work_tree = folder_;
  call.arguments = {"check-attr", "-z", "--stdin", "filter", "working-tree-encoding", "ident"};
  for (const std::string& path : paths) call.input += path + '\0';
  call.max_output = kMaxAttributes;
  YBIS_ASSIGN(const std::string output, program_->OutputOf(call, std::move(stop)));
  const std::vector<std::string> fields = SplitNul(output);  // path, attribute and value in turn
  for (size_t i = 0; i + 2 < fields.size(); i += 3) {
    const std::string& value = fields[i + 2];
    if (value == "unspecified" || value == "unset") continue;
    out.emplace(fields[i], value == "set" ? fields[i + 1] : fields[i + 1] + " " + value);
  }
  return out;
}

Result<std::optional<std::string>> Checkout::Setting(const fs::path& file, const std::string& name,
                                                     std::stop_token stop) const {
  auto text = ReadFile(file, kMaxText);
  if (!text || text->empty()) return std::nullopt;
  GitCall call;
  call.arguments = {"config", "--file", "-", "--null", "--get", name};  // includes are not followed
  call.input = std::move(*text);
  YBIS_ASSIGN(const ProcessResult result, program_->RunLocal(call, std::move(stop)));
  if (result.exit_code == 1) return std::nullopt;  // it is not set
  if (result.exit_code != 0) {
    return Fail(ErrorCode::kInternal,
                fmt::format("{}: git config --get {} ended with exit code {}: {}", file.string(), name,
                            result.exit_code, FirstLine(result.error_output)));
  }
  const auto values = SplitNul(result.output);
  return values.empty() ? std::nullopt : std::optional(values.front());
}

fs::path Checkout::XdgGit() const {
  if (!user_.xdg_config.empty()) return user_.xdg_config / "git";
  return user_.home.empty() ? fs::path() : user_.home / ".config/git";
}

Result<std::optional<std::string>> Checkout::Setting(const std::string& name,
                                                     const std::stop_token& stop) const {
  std::vector<fs::path> files = {common_ / "config"};
  if (!user_.home.empty()) files.push_back(user_.home / ".gitconfig");
  if (!XdgGit().empty()) files.push_back(XdgGit() / "config");
  files.emplace_back("/etc/gitconfig");
  for (const fs::path& file : files) {
    YBIS_ASSIGN(auto value, Setting(file, name, stop));
    if (value) return value;
  }
  return std::nullopt;
}

Result<ExtraIgnores> Checkout::Ignores(std::stop_token stop) const {
  fs::path user = XdgGit().empty() ? fs::path() : XdgGit() / "ignore";
  YBIS_ASSIGN(const auto named, Setting("core.excludesFile", stop));
  if (named) {
    user = named->starts_with("~/") ? user_.home / named->substr(2) : fs::path(*named);
    if (!named->empty() && user.is_relative()) user = folder_ / user;
  }
  ExtraIgnores out;
  if (!user.empty()) out.user = ReadFile(user, kMaxText).value_or("");
  out.exclude = ReadFile(common_ / "info/exclude", kMaxText).value_or("");
  return out;
}

Result<bool> Checkout::KeepsModes(std::stop_token stop) const {
  YBIS_ASSIGN(const auto value, Setting(common_ / "config", "core.fileMode", std::move(stop)));
  return !IsFalse(value.value_or("true"));
}

}  // namespace ybis::git
