#include "tests/support/postgres.h"

#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <chrono>
#include <fstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "base/file.h"
#include "base/process.h"
#include "base/unique_fd.h"

namespace ybis::testing {
namespace {

namespace fs = std::filesystem;

/// The newest installed server's programs.
fs::path FindPostgres() {
  fs::path best;
  int best_version = 0;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator("/usr/lib/postgresql", ignored)) {
    const std::string name = entry.path().filename();
    int version = 0;
    std::from_chars(name.data(), name.data() + name.size(), version);
    if (version > best_version && fs::exists(entry.path() / "bin/postgres")) {
      best_version = version;
      best = entry.path() / "bin";
    }
  }
  if (best.empty()) throw std::runtime_error("no /usr/lib/postgresql/*/bin/postgres: install postgresql");
  return best;
}

/// Gives up root for good; async-signal-safe.
int DropTo(uid_t uid, gid_t gid) {
  if (geteuid() != 0) return 0;
  // By the system calls: the library's functions look for threads that the parent had.
  if (syscall(SYS_setgroups, 0, nullptr) != 0 || syscall(SYS_setgid, gid) != 0 ||
      syscall(SYS_setuid, uid) != 0)
    return errno;
  return 0;
}

void Run(std::vector<std::string> argv, uid_t uid, gid_t gid) {
  ProcessSpec spec;
  spec.argv = std::move(argv);
  spec.env = {{"PATH", "/usr/bin:/bin"}, {"LC_ALL", "C.UTF-8"}, {"PGUSER", "ybis"}};
  spec.directory = "/";
  spec.before_exec = [uid, gid] { return DropTo(uid, gid); };
  const auto result = RunProcess(spec, {});
  if (!result) throw std::runtime_error(spec.argv[0] + ": " + result.error().message);
  if (result->exit_code != 0) throw std::runtime_error(spec.argv[0] + ": " + result->error_output);
}

/// Processes whose parent is `parent`.
std::vector<pid_t> ChildrenOf(pid_t parent) {
  std::vector<pid_t> children;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    pid_t pid = 0;
    if (std::from_chars(name.data(), name.data() + name.size(), pid).ec != std::errc()) continue;
    std::ifstream stat(entry.path() / "stat");
    std::string line;
    std::getline(stat, line);
    const size_t end_of_name = line.rfind(')');
    if (end_of_name == std::string::npos || end_of_name + 4 > line.size()) continue;
    if (std::atoi(line.c_str() + end_of_name + 4) == parent) children.push_back(pid);
  }
  return children;
}

/// Waits until the server says in its pid file that it takes connections.
/// Recovery writes the whole folder through to the disk first, which others may keep busy.
bool WaitReady(pid_t pid, const fs::path& pid_file) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(120);
  while (std::chrono::steady_clock::now() < deadline) {
    if (waitpid(pid, nullptr, WNOHANG) == pid) return false;
    std::ifstream file(pid_file);
    std::string line, first;
    std::getline(file, first);
    while (std::getline(file, line)) {
      if (line.starts_with("ready") && first == std::to_string(pid)) return true;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return false;
}

}  // namespace

Postgres::Postgres(PostgresOptions options) : bin_(FindPostgres()), uid_(getuid()), gid_(getgid()) {
  if (geteuid() == 0) {
    const passwd* user = getpwnam("postgres");
    if (user == nullptr) user = getpwnam("nobody");
    if (user == nullptr) throw std::runtime_error("no user postgres or nobody to run the server as");
    uid_ = user->pw_uid;
    gid_ = user->pw_gid;
    if (chown(dir_.path().c_str(), uid_, gid_) != 0) throw std::runtime_error("chown of the data folder");
  }
  fs::permissions(dir_.path(), fs::perms::owner_all | fs::perms::group_exec | fs::perms::others_exec);
  Run({bin_ / "initdb", "-D", dir_.path() / "data", "-U", "ybis", "-A", "trust", "-E", "UTF8",
       "--locale=C.UTF-8", "--no-sync", "--no-instructions"},
      uid_, gid_);
  fs::create_directory(socket_dir());
  if (geteuid() == 0 && chown(socket_dir().c_str(), uid_, gid_) != 0) throw std::runtime_error("chown");
  std::ofstream conf(dir_.path() / "data/postgresql.conf", std::ios::app);
  conf << "listen_addresses = ''\nunix_socket_directories = '" << socket_dir().string() << "'\n"
       << "unix_socket_permissions = 0777\nshared_buffers = 32MB\nmax_connections = "
       << options.max_connections << "\nfsync = " << (options.fsync ? "on" : "off")
       << "\nlogging_collector = off\n"
       << options.extra << "\n";
  conf.close();
  Start();
  Run({bin_ / "createdb", "-h", socket_dir(), "-U", "ybis", "ybis"}, uid_, gid_);
}

Postgres::~Postgres() {
  if (pid_ > 0) KillHard();
}

fs::path Postgres::socket_dir() const { return dir_.path() / "socket"; }

std::string Postgres::Url() const { return "postgresql:///ybis?user=ybis&host=" + socket_dir().string(); }

std::string Postgres::NewDatabase() {
  const std::string name = "test" + std::to_string(++databases_);
  Run({bin_ / "createdb", "-h", socket_dir(), "-U", "ybis", name}, uid_, gid_);
  return "postgresql:///" + name + "?user=ybis&host=" + socket_dir().string();
}

void Postgres::Start() {
  const std::string program = bin_ / "postgres";
  const std::string data = dir_.path() / "data";
  const std::string log = dir_.path() / "log";
  const pid_t pid = fork();
  if (pid < 0) throw std::runtime_error("fork");
  if (pid == 0) {
    if (DropTo(uid_, gid_) != 0) _exit(126);
    // Ends with the test program even when that is killed. The kernel ties it to the thread that forked.
    prctl(PR_SET_PDEATHSIG, SIGQUIT);
    const int out = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
    dup2(out, 1);
    dup2(out, 2);
    close_range(3, ~0U, 0);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    execl(program.c_str(), program.c_str(), "-D", data.c_str(), nullptr);
    _exit(127);
  }
  pid_ = pid;
  if (!WaitReady(pid, dir_.path() / "data/postmaster.pid")) {
    throw std::runtime_error("postgres did not start: " + ReadFile(log).value_or("no log"));
  }
}

void Postgres::Stop() {
  if (pid_ <= 0) return;
  kill(pid_, SIGINT);
  waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

void Postgres::Restart() {
  Stop();
  Start();
}

void Postgres::KillHard() {
  if (pid_ <= 0) return;
  kill(pid_, SIGSTOP);  // no new children while they are counted
  waitpid(pid_, nullptr, WUNTRACED);
  std::vector<UniqueFd> children;
  for (const pid_t child : ChildrenOf(pid_)) {
    children.emplace_back(static_cast<int>(syscall(SYS_pidfd_open, child, 0)));
    kill(child, SIGKILL);
  }
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  pid_ = -1;
  // One that is writing to the disk dies after that, and the next server refuses the memory that it holds
  // until then.
  for (const UniqueFd& child : children) {
    pollfd gone{child.get(), POLLIN, 0};
    if (child.valid()) poll(&gone, 1, 60'000);
  }
}

}  // namespace ybis::testing
