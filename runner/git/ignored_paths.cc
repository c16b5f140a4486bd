#include "runner/git/ignored_paths.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <system_error>

#include "base/file.h"
#include "base/remove_tree.h"
#include "runner/git/entry_match.h"
#include "runner/git/failure.h"
#include "runner/git/worktree_scan.h"

namespace ybis::git {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxIgnoreFile = 16 * 1024 * 1024;
constexpr size_t kMaxOutput = 16 * 1024 * 1024;

/// "" and every folder that leads to the file, each with its slash.
std::vector<std::string> FoldersTo(const std::string& path) {
  std::vector<std::string> folders = {""};
  for (size_t slash = path.find('/'); slash != std::string::npos; slash = path.find('/', slash + 1)) {
    folders.push_back(path.substr(0, slash + 1));
  }
  return folders;
}

/// The content that an ignore file will have. git takes no link or pipe for one either.
Result<std::optional<std::string>> RulesOf(const std::string& name, const ConfinedRoot& root,
                                           const IgnoreFiles& planned) {
  if (const auto found = planned.find(name); found != planned.end()) return found->second;
  auto bytes = root.ReadRegular(name, kMaxIgnoreFile);
  if (bytes) return std::optional(std::move(*bytes));
  const ErrorCode code = bytes.error().code;
  if (code == ErrorCode::kNotFound || code == ErrorCode::kInvalid) return std::optional<std::string>();
  return FailIn(name, std::move(bytes).error());
}

/// Makes `view` a worktree of nothing but the ignore files that matter for the paths.
Status LayOut(const fs::path& view, const ConfinedRoot& root, const std::vector<std::string>& paths,
              const IgnoreFiles& planned) {
  std::set<std::string> names;
  for (const std::string& path : paths) {
    for (const std::string& folder : FoldersTo(path)) names.insert(folder + ".gitignore");
  }
  YBIS_TRY(RemoveTree(view));
  std::error_code error;
  fs::create_directories(view, error);
  for (const std::string& name : names) {
    YBIS_ASSIGN(const std::optional<std::string> rules, RulesOf(name, root, planned));
    if (!rules) continue;
    fs::create_directories((view / name).parent_path(), error);
    YBIS_TRY(WriteFileAtomic(view / name, *rules));
  }
  return {};
}

/// What `check-ignore` says: source, line, rule and path in turn.
std::vector<IgnoredPath> ParseVerdicts(const std::string& output) {
  std::vector<IgnoredPath> ignored;
  const std::vector<std::string> fields = SplitNul(output);
  for (size_t i = 0; i + 3 < fields.size(); i += 4) {
    const std::string& rule = fields[i + 2];
    if (rule.starts_with('!')) continue;
    ignored.push_back({.path = fields[i + 3].substr(2),
                       .why = fmt::format("rule '{}' in line {} of {}", rule, fields[i + 1], fields[i])});
  }
  return ignored;
}

Result<std::vector<IgnoredPath>> Judge(const GitProgram& program, const WorktreePlaces& places,
                                       const fs::path& view, const std::vector<std::string>& paths,
                                       std::stop_token stop) {
  GitCall call;
  call.git_dir = places.git_dir;
  call.work_tree = view;
  // It takes no literal path specifications, so a leading "./" keeps ':' from being one.
  call.arguments = {"--no-literal-pathspecs", "check-ignore", "--no-index", "--verbose", "-z", "--stdin"};
  for (const std::string& path : paths) call.input += "./" + path + '\0';
  call.max_output = kMaxOutput;
  YBIS_ASSIGN(const ProcessResult result, program.RunLocal(call, std::move(stop)));
  if ((result.exit_code == 0 || result.exit_code == 1) && !result.truncated)
    return ParseVerdicts(result.output);
  return Fail(ErrorCode::kInternal, fmt::format("git check-ignore failed with exit code {}: {}",
                                                result.exit_code, TellingLine(result.error_output)));
}

}  // namespace

Result<std::vector<IgnoredPath>> FindIgnored(const GitProgram& program, const WorktreePlaces& places,
                                             const ConfinedRoot& root, const std::vector<std::string>& paths,
                                             const IgnoreFiles& planned, std::stop_token stop) {
  YBIS_ASSIGN(const std::vector<IndexEntry> entries, ReadIndex(places.git_dir / "index"));
  std::set<std::string> tracked;
  std::set<std::string> submodules;
  for (const IndexEntry& entry : entries) {
    if (entry.mode == kModeSubmodule) submodules.insert(entry.path + "/");
    tracked.insert(entry.path);
  }
  std::vector<IgnoredPath> ignored;
  std::vector<std::string> asked;
  for (const std::string& path : paths) {
    if (tracked.contains(path)) continue;
    const std::vector<std::string> folders = FoldersTo(path);
    const auto above = std::find_if(folders.begin(), folders.end(),
                                    [&](const std::string& folder) { return submodules.contains(folder); });
    if (above == folders.end()) {
      asked.push_back(path);
    } else {
      ignored.push_back({.path = path, .why = fmt::format("it lies in the submodule {}", *above)});
    }
  }
  if (asked.empty()) return ignored;
  const fs::path view = places.git_dir / "ignore-view";
  YBIS_TRY(LayOut(view, root, asked, planned));
  YBIS_ASSIGN(const std::vector<IgnoredPath> judged, Judge(program, places, view, asked, std::move(stop)));
  YBIS_TRY(RemoveTree(view));
  ignored.insert(ignored.end(), judged.begin(), judged.end());
  return ignored;
}

}  // namespace ybis::git
