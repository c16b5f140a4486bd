#include "cli/local/runner_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/digest.h"
#include "base/unique_fd.h"

namespace ybis::cli {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

constexpr const char* kTokenFolder = "token-";
constexpr int64_t kMaxLogBytes = 32 * 1024 * 1024;
constexpr auto kGrace = 20s;  // the runner gives its lease back within 10 s

bool IsProgram(const fs::path& path) {
  return fs::is_regular_file(path) && ::access(path.c_str(), X_OK) == 0;
}

Status MakeFolder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (!error) fs::permissions(folder, fs::perms::owner_all, error);
  if (!error) return {};
  return Fail(ErrorCode::kUnavailable, fmt::format("{}: {}", folder.string(), error.message()));
}

/// Appends what the runner prints, up to a cap.
class RunnerLog {
 public:
  explicit RunnerLog(const fs::path& path)
      : fd_(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600)) {
    struct stat found {};
    if (::fstat(fd_.get(), &found) == 0) room_ = kMaxLogBytes - found.st_size;
  }
  void Write(std::string_view bytes) {
    if (room_ <= 0) return;
    room_ -= static_cast<int64_t>(bytes.size());
    [[maybe_unused]] const auto written = ::write(fd_.get(), bytes.data(), bytes.size());
  }

 private:
  UniqueFd fd_;
  int64_t room_ = 0;
};

/// Not synced to disk as WriteFileAtomic does: it is worth nothing once this process has ended.
Status WriteToken(const fs::path& file, const std::string& token) {
  const UniqueFd fd(::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  const bool written =
      fd.valid() && ::write(fd.get(), token.data(), token.size()) == static_cast<ssize_t>(token.size());
  if (written) return {};
  return Fail(ErrorCode::kUnavailable, fmt::format("{}: {}", file.string(), std::strerror(errno)));
}

std::vector<std::string> Arguments(const RunnerStart& start, const fs::path& token_file) {
  std::vector<std::string> argv = {start.program,   "--run-id",     start.run_id, "--api-url",
                                   start.api_url,   "--token-file", token_file,   "--workspace",
                                   start.workspace, "--log-format", "json"};
  if (!start.credentials_dir.empty())
    argv.insert(argv.end(), {"--git-credentials-dir", start.credentials_dir});
  if (!start.ca_file.empty()) argv.insert(argv.end(), {"--git-ca-file", start.ca_file});
  return argv;
}

Environment PassedOn(const Environment& environment) {
  Environment out = {{"PATH", "/usr/local/bin:/usr/bin:/bin"}, {"LC_ALL", "C.UTF-8"}};
  for (const char* name : {"PATH", "https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY", "SSL_CERT_FILE",
                           "HOME", "XDG_CONFIG_HOME"}) {
    if (const std::string value = ValueOf(environment, name); !value.empty()) out[name] = value;
  }
  return out;
}

}  // namespace

bool IsScratch(const std::string& name) {
  return name.starts_with("repo.git") || name == "worktrees" || name == "private" || name == "lock" ||
         name.starts_with(kTokenFolder);
}

Result<fs::path> FindRunner(const Environment& environment) {
  if (const std::string named = ValueOf(environment, "YBIS_RUNNER"); !named.empty()) {
    if (IsProgram(named)) return fs::absolute(named);
    return Fail(ErrorCode::kNotFound, fmt::format("YBIS_RUNNER: {} is no program", named));
  }
  std::error_code ignored;
  const fs::path beside = fs::read_symlink("/proc/self/exe", ignored).parent_path() / "ybis-runner";
  if (IsProgram(beside)) return beside;
  const std::string path = ValueOf(environment, "PATH");
  for (size_t at = 0; at <= path.size();) {
    const size_t end = std::min(path.find(':', at), path.size());
    const fs::path candidate = fs::path(path.substr(at, end - at)) / "ybis-runner";
    if (candidate.is_absolute() && IsProgram(candidate)) return candidate;
    at = end + 1;
  }
  return Fail(
      ErrorCode::kNotFound,
      fmt::format("ybis-runner is neither {} nor on PATH; install it beside ybis, or name it in YBIS_RUNNER",
                  beside.string()));
}

Result<ProcessResult> RunRunner(const RunnerStart& start, std::stop_token stop) {
  // Of this start alone: one that ends late must not take the next one's token with it.
  const fs::path token_folder = start.workspace / (kTokenFolder + RandomHex(8));
  YBIS_TRY(MakeFolder(start.workspace));
  YBIS_TRY(MakeFolder(token_folder));
  YBIS_TRY(WriteToken(token_folder / "token", start.token));
  RunnerLog log(start.workspace / "runner.log");
  ProcessSpec spec;
  spec.argv = Arguments(start, token_folder / "token");
  spec.env = PassedOn(start.environment);
  spec.directory = start.workspace;
  spec.timeout = std::chrono::hours(24 * 30);  // the run's own deadline ends it long before
  spec.max_output = 64 * 1024;
  spec.cancel_grace = kGrace;
  spec.on_output = [&log](std::string_view bytes) { log.Write(bytes); };
  const pid_t parent = ::getpid();
  spec.before_exec = [parent]() -> int {
    // Without its worker it could tell nobody what it does.
    if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return errno;
    return ::getppid() == parent ? 0 : ESRCH;
  };
  auto result = RunProcess(spec, std::move(stop));
  std::error_code ignored;
  fs::remove_all(token_folder, ignored);
  return result;
}

Result<fs::path> SecretFolder(const Folders& folders, const std::string& name) {
  if (name.empty()) return fs::path();
  const fs::path folder = folders.Secret(name);
  std::error_code ignored;
  if (name.find('/') == std::string::npos && name.front() != '.' && fs::is_directory(folder, ignored))
    return folder;
  return Fail(
      ErrorCode::kNotFound,
      fmt::format("the task names the Secret '{}'; locally that is the folder {} with its keys as files "
                  "(username and password, token, ssh-privatekey and known_hosts, ca.crt)",
                  name, folder.string()));
}

}  // namespace ybis::cli
