#include "cli/local/postgres_keeper.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstring>
#include <sstream>

#include "base/clock.h"
#include "base/file.h"

namespace ybis::cli {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using SteadyTime = std::chrono::steady_clock::time_point;

namespace {

constexpr int kGuardFd = 3;
constexpr size_t kLongestSocketList = 16U * 1024 * 1024;
constexpr auto kStopTime = 60s;

Result<UniqueFd> OpenLock(const fs::path& path) {
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (fd.valid()) return fd;
  return Fail(ErrorCode::kDenied, fmt::format("{}: {}", path.string(), std::strerror(errno)));
}

fs::path UsersFile(const fs::path& folder) { return folder / "users"; }
fs::path GuardFile(const fs::path& folder) { return folder / "keeper"; }

/// Connections that others have to the server: the kernel names the listener's path for each of them.
/// -1 when the list cannot be read, which counts as used.
int Connections(const std::string& socket) {
  const auto text = ReadFile("/proc/net/unix", kLongestSocketList);
  if (!text) return -1;
  int found = 0;
  const std::string ending = " " + socket + "\n";
  for (size_t at = text->find(ending); at != std::string::npos; at = text->find(ending, at + 1)) ++found;
  return found - 1;  // the listener itself
}

/// A running server, held fast so that its number cannot become another's.
struct Server {
  UniqueFd process;    ///< invalid when none lives
  std::string socket;  ///< by the name under which it was bound
};

/// The n-th line of postmaster.pid, counted from 1.
std::string LineOf(const std::string& text, int n) {
  std::istringstream lines(text);
  std::string line;
  for (int i = 0; i < n && std::getline(lines, line);) ++i;
  return lines ? line : std::string();
}

Server OpenServer(const fs::path& data) {
  const auto text = ReadFile(data / "postmaster.pid", 4096);
  pid_t pid = 0;
  if (!text || std::from_chars(text->data(), text->data() + text->size(), pid).ec != std::errc() || pid <= 0)
    return {};
  UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!WorksIn(fmt::format("/proc/{}", pid), data)) return {};
  constexpr int kSocketFolder = 5;
  return {std::move(process), LineOf(*text, kSocketFolder) + "/.s.PGSQL.5432"};
}

bool EndsWithin(int process, std::chrono::milliseconds limit) {
  pollfd fd{process, POLLIN, 0};
  return ::poll(&fd, 1, static_cast<int>(limit.count())) > 0;
}

/// Fast shutdown: sessions are ended, the data is written out.
void StopServer(int process) {
  ::syscall(SYS_pidfd_send_signal, process, SIGINT, nullptr, 0);
  EndsWithin(process, kStopTime);
}

/// The last moment at which the lock file was touched, on the steady clock.
SteadyTime LastTouched(int users) {
  struct stat found {};
  if (::fstat(users, &found) != 0) return std::chrono::steady_clock::now();
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  const auto age = std::chrono::seconds(now.tv_sec - found.st_mtim.tv_sec) +
                   std::chrono::nanoseconds(now.tv_nsec - found.st_mtim.tv_nsec);
  return std::chrono::steady_clock::now() - std::max<std::chrono::nanoseconds>(age, 0ns);
}

/// Looks now and then; stops the server while it alone holds the users' lock.
void Watch(const KeeperSettings& settings, int users, const Server& server) {
  const auto tick = std::clamp<std::chrono::milliseconds>(settings.idle / 30, 50ms, 30s);
  SteadyTime used = std::chrono::steady_clock::now();
  while (!EndsWithin(server.process.get(), tick)) {
    const bool alone = ::flock(users, LOCK_EX | LOCK_NB) == 0;
    if (!alone || Connections(server.socket) != 0) used = std::chrono::steady_clock::now();
    used = std::max(used, LastTouched(users));
    if (alone && std::chrono::steady_clock::now() - used >= settings.idle)
      return StopServer(server.process.get());
    if (alone) ::flock(users, LOCK_UN);
  }
}

Status BecomeOwnerOf(const fs::path& data) {
  struct stat found {};
  if (::stat(data.c_str(), &found) != 0) return Fail(ErrorCode::kNotFound, data.string() + ": no database");
  if (::geteuid() != 0 || found.st_uid == 0) return {};
  if (::setgroups(0, nullptr) == 0 && ::setgid(found.st_gid) == 0 && ::setuid(found.st_uid) == 0) return {};
  return Fail(ErrorCode::kDenied, fmt::format("root was not given up: {}", std::strerror(errno)));
}

/// The program to start keepers from; empty in tests and other programs that only hold this code.
std::string KeeperProgram() {
  std::error_code error;
  const fs::path self = fs::read_symlink("/proc/self/exe", error);
  const std::string name = self.filename();
  return !error && (name == "ybis" || name == "kubectl-ybis") ? self.string() : std::string();
}

/// In a child of its own that is nobody's: not killed with the command's session, not waited for.
void StartKeeper(const std::string& program, const KeeperSettings& settings, int guard) {
  const std::string folder = settings.folder;
  const std::string idle = std::to_string(settings.idle.count());
  const char* const argv[] = {program.c_str(), "db",        "keep",       "--folder",
                              folder.c_str(),  "--idle-ms", idle.c_str(), nullptr};
  const char* const env[] = {"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8", nullptr};
  const pid_t child = ::fork();
  if (child < 0) return;
  if (child > 0) {
    ::waitpid(child, nullptr, 0);
    return;
  }
  // From here on system calls alone: this may be a copy of a process with threads.
  ::setsid();
  if (::fork() != 0) ::_exit(0);
  if (::chdir("/") != 0 || ::dup2(guard, kGuardFd) < 0) ::_exit(1);
  ::fcntl(kGuardFd, F_SETFD, 0);
  ::syscall(SYS_close_range, kGuardFd + 1, ~0U, 0U);
  const int null = ::open("/dev/null", O_RDWR);
  for (const int fd : {0, 1, 2}) ::dup2(null, fd);
  ::close(null);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::execve(program.c_str(), const_cast<char* const*>(argv), const_cast<char* const*>(env));
  ::_exit(1);
}

}  // namespace

bool WorksIn(const fs::path& process, const fs::path& folder) {
  std::error_code ignored;
  return fs::equivalent(process / "cwd", folder, ignored);
}

Result<UniqueFd> HoldDatabase(const fs::path& folder, std::stop_token stop) {
  YBIS_ASSIGN(UniqueFd users, OpenLock(UsersFile(folder)));
  const auto deadline = std::chrono::steady_clock::now() + kStopTime + 30s;
  while (::flock(users.get(), LOCK_SH | LOCK_NB) != 0) {
    if (!SystemClock().SleepFor(5ms, stop)) return Fail(ErrorCode::kCancelled, "stopped");
    if (std::chrono::steady_clock::now() > deadline) {
      return Fail(ErrorCode::kTimeout, fmt::format("{}: the idle database has been stopping for too long",
                                                   UsersFile(folder).string()));
    }
  }
  ::futimens(users.get(), nullptr);
  return users;
}

void EnsureKeeper(const fs::path& folder, const std::function<std::chrono::milliseconds()>& idle) {
  const std::string program = KeeperProgram();
  if (program.empty() || !idle) return;
  const auto guard = OpenLock(GuardFile(folder));
  // The lock is the descriptor's, which the keeper inherits: there is no moment without it.
  if (!guard || ::flock(guard->get(), LOCK_EX | LOCK_NB) != 0) return;
  const auto limit = idle();
  if (limit > 0ms) StartKeeper(program, {folder, limit}, guard->get());
}

Status KeepDatabase(const KeeperSettings& settings, UniqueFd guard) {
  if (::flock(guard.get(), LOCK_EX | LOCK_NB) != 0)
    return Fail(ErrorCode::kExists, "another keeper watches this database");
  YBIS_ASSIGN(const UniqueFd users, OpenLock(UsersFile(settings.folder)));
  YBIS_TRY(BecomeOwnerOf(settings.folder / "data"));
  const Server server = OpenServer(settings.folder / "data");
  if (server.process.valid()) Watch(settings, users.get(), server);
  return {};
}

}  // namespace ybis::cli
