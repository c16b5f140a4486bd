#include "tests/runner/git/checkout_fixture.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>

#include "base/digest.h"
#include "base/file.h"
#include "base/process.h"
#include "runner/git/entry_match.h"

namespace ybis::git {

namespace fs = std::filesystem;

namespace {

GitProgram ProgramIn(const fs::path& folder) {
  Settings settings;
  settings.private_dir = folder / "private";
  settings.allow_file = true;
  return GitProgram::Create(settings).value();
}

std::string OneEntry(const fs::path& path) {
  struct stat info {};
  ::lstat(path.c_str(), &info);
  std::string content;
  if (S_ISLNK(info.st_mode)) content = fs::read_symlink(path).string();
  if (S_ISREG(info.st_mode)) content = Sha256Hex(ReadFile(path, 1 << 30).value_or("unreadable"));
  return fmt::format("{} {:o} {} {}.{} {}\n", path.string(), info.st_mode, info.st_ino, info.st_mtim.tv_sec,
                     info.st_mtim.tv_nsec, content);
}

}  // namespace

SourceCheckout::SourceCheckout() {
  fs::create_directories(path());
  fs::create_directories(home());
  Git({"init", "-q", "-b", "main"});
}

std::string SourceCheckout::Git(const std::vector<std::string>& arguments, const fs::path& folder) const {
  ProcessSpec spec;
  spec.argv = {"/usr/bin/git", "-c", "user.name=Owner", "-c", "user.email=owner@example.com"};
  spec.argv.insert(spec.argv.end(), arguments.begin(), arguments.end());
  spec.env = {{"PATH", "/usr/bin:/bin"},      {"HOME", home().string()},
              {"GIT_CONFIG_NOSYSTEM", "1"},   {"GIT_AUTHOR_DATE", "2026-01-01T00:00:00Z"},
              {"GIT_ALLOW_PROTOCOL", "file"}, {"GIT_COMMITTER_DATE", "2026-01-01T00:00:00Z"}};
  spec.directory = folder.empty() ? path() : folder;
  spec.max_output = 16 * 1024 * 1024;
  const auto result = RunProcess(spec, {});
  if (!result || result->exit_code != 0) {
    ADD_FAILURE() << "git " << arguments.front() << ": "
                  << (result ? result->error_output : result.error().message);
    return {};
  }
  return result->output;
}

void SourceCheckout::Write(const std::string& name, const std::string& bytes) const {
  const fs::path file = path() / name;
  fs::create_directories(file.parent_path());
  ASSERT_TRUE(WriteFileAtomic(file, bytes)) << name;
}

void SourceCheckout::Commit(const std::string& message) const {
  Git({"add", "-A"});
  Git({"commit", "-q", "--allow-empty", "-m", message});
}

std::string SourceCheckout::Fingerprint() const {
  std::vector<std::string> lines = {OneEntry(path())};
  for (const auto& entry : fs::recursive_directory_iterator(path())) lines.push_back(OneEntry(entry.path()));
  std::sort(lines.begin(), lines.end());
  std::string all;
  for (const std::string& line : lines) all += line;
  return all;
}

std::map<std::string, std::string> FilesOf(const SourceCheckout& source, const fs::path& repository,
                                           const std::string& revision) {
  std::map<std::string, std::string> files;
  for (const std::string& line : SplitNul(source.Git({"ls-tree", "-r", "-z", revision}, repository))) {
    const size_t tab = line.find('\t');
    files[line.substr(tab + 1)] = line.substr(0, 6) + " " + line.substr(12, 40);
  }
  return files;
}

std::map<std::string, std::string> SourceCheckout::WholeTree() const {
  const testing::TempDir folder;
  const fs::path copy = folder.path() / "copy";
  ProcessSpec spec;
  spec.argv = {"/bin/cp", "-a", path().string(), copy.string()};
  const auto copied = RunProcess(spec, {});
  EXPECT_TRUE(copied && copied->exit_code == 0);
  Git({"-c", "core.safecrlf=false", "add", "-A"}, copy);
  std::string tree = Git({"write-tree"}, copy);
  tree.resize(std::min(tree.find('\n'), tree.size()));
  return FilesOf(*this, copy, tree);
}

Volume::Volume(const SourceCheckout& source) : source_(source), program_(ProgramIn(folder_.path())) {}

BareRepository Volume::Open(const std::string& commit) const {
  auto opened = BareRepository::Open(
      program_, {.directory = bare(), .url = source_.path().string(), .ref = {}, .commit = commit}, {}, {});
  if (!opened) ADD_FAILURE() << opened.error().message;
  return std::move(opened).value();
}

Checkout Volume::Source() const {
  auto checkout = Checkout::Open(program_, source_.path(), {.home = source_.home(), .xdg_config = {}});
  if (!checkout) ADD_FAILURE() << checkout.error().message;
  return std::move(checkout).value();
}

SyncedBase Volume::Sync(BareRepository& repository, const UncommittedLimits& limits) const {
  auto base = SyncBase(program_, repository, Source(), limits, {});
  if (!base) ADD_FAILURE() << base.error().message;
  return std::move(base).value_or(SyncedBase{});
}

}  // namespace ybis::git
