#include "cli/local/private_postgres.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <pwd.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstring>

#include "base/clock.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/log.h"
#include "base/process.h"
#include "base/unique_fd.h"
#include "cli/local/postgres_keeper.h"

namespace ybis::cli {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

/// Whose process and files the server is.
struct PrivatePostgres::Owner {
  uid_t uid = 0;
  gid_t gid = 0;
  std::string name;
};

struct PrivatePostgres::Programs {
  fs::path folder;
};

namespace {

constexpr const char* kInstall = "install it (Debian: apt-get install postgresql) or give --database-url";

int MajorOf(const std::string& text) {
  int version = 0;
  std::from_chars(text.data(), text.data() + text.size(), version);
  return version;
}

/// The programs of one major version, or of the newest that is installed (0).
Result<fs::path> FindPrograms(int wanted) {
  fs::path best;
  int best_version = 0;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator("/usr/lib/postgresql", ignored)) {
    const int version = MajorOf(entry.path().filename());
    const bool fits = wanted == 0 ? version > best_version : version == wanted;
    if (!fits || !fs::exists(entry.path() / "bin/initdb", ignored)) continue;
    best_version = version;
    best = entry.path() / "bin";
  }
  if (!best.empty()) return best;
  if (wanted == 0) {
    return Fail(ErrorCode::kUnsupported, std::string("no PostgreSQL server is installed: ") + kInstall);
  }
  return Fail(ErrorCode::kUnsupported,
              fmt::format("the local database was made by PostgreSQL {}, which is not installed any more: "
                          "apt-get install postgresql-{}",
                          wanted, wanted));
}

/// Gives up root for good. Between fork and exec: by the system calls, since the library's functions look for
/// threads that the parent had.
int DropTo(uid_t uid, gid_t gid) {
  if (::geteuid() != 0) return 0;
  const bool done = ::syscall(SYS_setgroups, 0, nullptr) == 0 && ::syscall(SYS_setgid, gid) == 0 &&
                    ::syscall(SYS_setuid, uid) == 0;
  return done ? 0 : errno;
}

Status Give(const fs::path& path, uid_t uid, gid_t gid) {
  if (::geteuid() != 0 || ::lchown(path.c_str(), uid, gid) == 0) return {};
  return Fail(ErrorCode::kDenied, fmt::format("{}: cannot be given to the database's user: {}", path.string(),
                                              std::strerror(errno)));
}

Status MakeFolder(const fs::path& path, fs::perms mode) {
  std::error_code error;
  fs::create_directories(path, error);
  if (!error) fs::permissions(path, mode, error);
  if (!error) return {};
  return Fail(ErrorCode::kDenied, fmt::format("{}: {}", path.string(), error.message()));
}

/// Held while the server is made, started or stopped; the kernel lets go of it when the process dies.
Result<UniqueFd> LockFile(const fs::path& path, std::stop_token stop) {
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd.valid()) {
    return Fail(ErrorCode::kDenied, fmt::format("{}: {}", path.string(), std::strerror(errno)));
  }
  const auto deadline = std::chrono::steady_clock::now() + 180s;
  while (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (!SystemClock().SleepFor(20ms, stop)) return Fail(ErrorCode::kCancelled, "stopped");
    if (std::chrono::steady_clock::now() > deadline) {
      return Fail(
          ErrorCode::kTimeout,
          fmt::format("{}: another command has been starting the database for 3 minutes", path.string()));
    }
  }
  return fd;
}

std::string Tail(const std::string& text, size_t bytes) {
  std::string tail = text.size() > bytes ? text.substr(text.size() - bytes) : text;
  while (!tail.empty() && std::isspace(static_cast<unsigned char>(tail.back()))) tail.pop_back();
  return tail;
}

Status RunTool(std::vector<std::string> argv, uid_t uid, gid_t gid, bool contain, std::string input,
               std::stop_token stop) {
  ProcessSpec spec;
  const std::string name = fs::path(argv.front()).filename();
  spec.argv = std::move(argv);
  spec.env = {{"PATH", "/usr/bin:/bin"}, {"LC_ALL", "C.UTF-8"}, {"TZ", "UTC"}};
  spec.directory = "/";
  spec.input = std::move(input);
  spec.timeout = 180s;
  spec.contain = contain;
  spec.before_exec = [uid, gid] {
    ::umask(077);
    return DropTo(uid, gid);
  };
  YBIS_ASSIGN(const ProcessResult result, RunProcess(spec, std::move(stop)));
  if (result.exit_code == 0) return {};
  return Fail(ErrorCode::kUnavailable,
              fmt::format("{}: {}", name, Tail(result.error_output + result.output, 800)));
}

/// A value in a connection string or in postgresql.conf.
std::string Quoted(std::string_view value, std::string_view escape_quote) {
  std::string out = "'";
  for (const char c : value) {
    if (c == '\\') out += '\\';
    if (c == '\'') out += escape_quote;
    out += c;
  }
  return out + "'";
}

bool MayEnter(const struct stat& folder, uid_t uid, gid_t gid) {
  if (uid == 0) return true;
  if (folder.st_uid == uid) return (folder.st_mode & S_IXUSR) != 0;
  if (folder.st_gid == gid) return (folder.st_mode & S_IXGRP) != 0;
  return (folder.st_mode & S_IXOTH) != 0;
}

/// Whether a living server process works in the data folder: all of them have it as their working directory.
bool InUse(const fs::path& data) {
  std::error_code ignored;
  for (const auto& process : fs::directory_iterator("/proc", ignored)) {
    if (WorksIn(process.path(), data)) return true;
  }
  return false;
}

/// Its listener still takes connections then, and answers each that it is shutting down.
bool IsStopping(const fs::path& data) {
  const auto text = ReadFile(data / "postmaster.pid", 4096);
  return text && text->find("\nstopping") != std::string::npos;
}

/// A server that was killed leaves its number behind. When that number is another's now, or nobody has waited
/// for the dead one yet, the next server would take it for alive. Call it with the lock held.
void ForgetDeadServer(const fs::path& data, const fs::path& sockets, std::stop_token stop) {
  const fs::path left[] = {data / "postmaster.pid", sockets / ".s.PGSQL.5432.lock",
                           sockets / ".s.PGSQL.5432"};
  std::error_code ignored;
  if (std::none_of(std::begin(left), std::end(left),
                   [&](const fs::path& path) { return fs::exists(path, ignored); })) {
    return;
  }
  const auto deadline = std::chrono::steady_clock::now() + 30s;
  while (InUse(data)) {  // its helpers end soon after it
    if (std::chrono::steady_clock::now() > deadline || !SystemClock().SleepFor(50ms, stop)) return;
  }
  for (const fs::path& path : left) fs::remove(path, ignored);
}

Result<std::pair<uid_t, gid_t>> AccountOf(std::string& name) {
  for (const char* candidate : {"postgres", "nobody"}) {
    const passwd* user = ::getpwnam(candidate);
    if (user == nullptr) continue;
    name = candidate;
    return std::pair{user->pw_uid, user->pw_gid};
  }
  return Fail(ErrorCode::kUnsupported,
              "there is no user postgres or nobody, and PostgreSQL refuses to run as root: make one, or give "
              "--database-url");
}

}  // namespace

bool PrivatePostgres::Answers() const {
  const std::string path = Sockets() / ".s.PGSQL.5432";
  sockaddr_un to{};
  to.sun_family = AF_UNIX;
  if (path.size() >= sizeof(to.sun_path)) return false;
  std::memcpy(to.sun_path, path.data(), path.size());
  const UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  return ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&to), sizeof(to)) == 0 &&
         !IsStopping(Data());
}

Result<std::string> PrivatePostgres::ConnectionString() const {
  YBIS_ASSIGN(const std::string password, ReadFile(folder_ / "password", 1024));
  log::RegisterSecret(password);
  return fmt::format("host={} user=ybis dbname=ybis password={}", Quoted(Sockets().string(), "\\"), password);
}

Status PrivatePostgres::CheckFolder(const Owner& owner) const {
  const std::string socket = Sockets() / ".s.PGSQL.5432";
  if (socket.size() > 100) {
    return Fail(ErrorCode::kInvalid,
                fmt::format("{}: too long for a Unix socket; set YBIS_DATA_DIR to a shorter path", socket));
  }
  // The server has the caller's own rights, groups and all, who has come this far.
  if (::geteuid() != 0) return {};
  for (fs::path at = folder_; at.has_relative_path(); at = at.parent_path()) {
    struct stat found {};
    if (::stat(at.c_str(), &found) != 0 || MayEnter(found, owner.uid, owner.gid)) continue;
    return Fail(
        ErrorCode::kDenied,
        fmt::format("{}: the database runs as {}, who may not enter this folder; set YBIS_DATA_DIR to one "
                    "that others may pass through, e.g. /var/lib/ybis",
                    at.string(), owner.name));
  }
  return {};
}

Status PrivatePostgres::WriteSettings(const fs::path& data, const Owner& owner) const {
  const std::string settings = fmt::format(
      "listen_addresses = ''\nunix_socket_directories = {}\nunix_socket_permissions = 0700\n"
      "max_connections = 100\nshared_buffers = 64MB\nwal_level = minimal\nmax_wal_senders = 0\n"
      "max_wal_size = 256MB\njit = off\nlogging_collector = off\nlog_min_messages = warning\n"
      "timezone = 'UTC'\nlog_timezone = 'UTC'\n",
      Quoted(Sockets().string(), "'"));
  YBIS_TRY(WriteFileAtomic(data / "ybis.conf", settings, 0600));
  return Give(data / "ybis.conf", owner.uid, owner.gid);
}

/// In a folder of its own first and then renamed, so that a half-made one is never taken for a database.
Status PrivatePostgres::Make(const Owner& owner, const Programs& programs, std::stop_token stop) const {
  const fs::path staging = folder_ / "making";
  std::error_code error;
  fs::remove_all(staging, error);
  YBIS_TRY(MakeFolder(staging, fs::perms::owner_all));
  YBIS_TRY(Give(staging, owner.uid, owner.gid));
  const std::string password = RandomHex(24);
  log::RegisterSecret(password);
  YBIS_TRY(WriteFileAtomic(staging / "password", password, 0600));
  YBIS_TRY(Give(staging / "password", owner.uid, owner.gid));
  const fs::path data = staging / "data";
  YBIS_TRY(RunTool(
      {programs.folder / "initdb", "-D", data, "-U", "ybis", "-A", "scram-sha-256",
       "--pwfile=" + (staging / "password").string(), "-E", "UTF8", "--locale=C.UTF-8", "--no-instructions"},
      owner.uid, owner.gid, true, {}, stop));
  YBIS_ASSIGN(std::string settings, ReadFile(data / "postgresql.conf"));
  settings += "include 'ybis.conf'\n";
  YBIS_TRY(WriteFileAtomic(data / "postgresql.conf", settings, 0600));
  YBIS_TRY(Give(data / "postgresql.conf", owner.uid, owner.gid));
  YBIS_TRY(WriteSettings(data, owner));
  YBIS_TRY(RunTool({programs.folder / "postgres", "--single", "-D", data, "postgres"}, owner.uid, owner.gid,
                   true, "CREATE DATABASE ybis;\n", stop));
  YBIS_TRY(WriteFileAtomic(folder_ / "password", password, 0600));
  fs::rename(data, Data(), error);
  if (error) return Fail(ErrorCode::kInternal, fmt::format("{}: {}", Data().string(), error.message()));
  fs::remove_all(staging, error);
  return {};
}

Status PrivatePostgres::Start(const Owner& owner, const Programs& programs, std::stop_token stop) const {
  for (const fs::path& folder : {Sockets(), Log().parent_path()}) {
    YBIS_TRY(MakeFolder(folder, fs::perms::owner_all));
    YBIS_TRY(Give(folder, owner.uid, owner.gid));
  }
  YBIS_TRY(WriteSettings(Data(), owner));
  ForgetDeadServer(Data(), Sockets(), stop);
  const Status started =
      RunTool({programs.folder / "pg_ctl", "-D", Data(), "-l", Log(), "-w", "-s", "-t", "120", "start"},
              owner.uid, owner.gid, false, {}, stop);
  if (started) return {};
  const auto log_text = ReadFile(Log(), 256 * 1024 * 1024);
  return Fail(ErrorCode::kUnavailable,
              fmt::format("the local database did not start ({}): {}\n{}", Log().string(),
                          started.error().message, log_text ? Tail(*log_text, 1500) : std::string()));
}

Result<PrivatePostgres::Owner> PrivatePostgres::OwnerHere() {
  Owner owner{::geteuid(), ::getegid(), "you"};
  if (owner.uid == 0) {
    YBIS_ASSIGN(const auto account, AccountOf(owner.name));
    std::tie(owner.uid, owner.gid) = account;
  }
  return owner;
}

/// Makes and starts it when it is not up; with the lock held, so one command does and the others find it.
Status PrivatePostgres::StartLocked(const Owner& owner, std::stop_token stop) const {
  YBIS_ASSIGN(const UniqueFd lock, LockFile(folder_ / "lock", stop));
  if (Answers()) return {};
  YBIS_TRY(CheckFolder(owner));
  const auto version = ReadFile(Data() / "PG_VERSION", 64);
  YBIS_ASSIGN(const fs::path folder, FindPrograms(version ? MajorOf(*version) : 0));
  if (!version) YBIS_TRY(Make(owner, {folder}, stop));
  return Start(owner, {folder}, stop);
}

Result<PrivatePostgres::Use> PrivatePostgres::Ensure(std::stop_token stop) const {
  YBIS_ASSIGN(const Owner owner, OwnerHere());
  const auto through = fs::perms::owner_all | fs::perms::group_exec | fs::perms::others_exec;
  YBIS_TRY(MakeFolder(folder_, ::geteuid() == 0 ? through : fs::perms::owner_all));
  YBIS_ASSIGN(UniqueFd hold, HoldDatabase(folder_, stop));
  if (!Answers()) YBIS_TRY(StartLocked(owner, stop));
  EnsureKeeper(folder_, idle_);
  YBIS_ASSIGN(std::string url, ConnectionString());
  return Use{std::move(url), std::move(hold)};
}

Status PrivatePostgres::Revive(std::stop_token stop) const {
  if (Answers()) return {};
  YBIS_ASSIGN(const UniqueFd lock, LockFile(folder_ / "lock", stop));
  std::error_code ignored;
  const bool killed = fs::exists(Data() / "postmaster.pid", ignored);  // a server that stops takes it away
  if (Answers() || !killed) return {};
  log::Warn("the local database was killed; starting it again", {});
  YBIS_ASSIGN(const Owner owner, OwnerHere());
  YBIS_ASSIGN(const std::string version, ReadFile(Data() / "PG_VERSION", 64));
  YBIS_ASSIGN(const fs::path folder, FindPrograms(MajorOf(version)));
  return Start(owner, {folder}, stop);
}

Result<bool> PrivatePostgres::Stop(std::stop_token stop) {
  if (!fs::exists(Data() / "PG_VERSION")) return false;
  YBIS_ASSIGN(const UniqueFd lock, LockFile(folder_ / "lock", stop));
  if (!Answers()) return false;
  struct stat found {};
  if (::stat(Data().c_str(), &found) != 0) return false;
  const auto version = ReadFile(Data() / "PG_VERSION", 64);
  YBIS_ASSIGN(const fs::path folder, FindPrograms(version ? MajorOf(*version) : 0));
  YBIS_TRY(RunTool({folder / "pg_ctl", "-D", Data(), "-m", "fast", "-w", "-s", "-t", "60", "stop"},
                   found.st_uid, found.st_gid, true, {}, stop));
  return true;
}

PrivatePostgres::Info PrivatePostgres::Look() const {
  Info info{State::kAbsent, {}, folder_};
  const auto version = ReadFile(Data() / "PG_VERSION", 64);
  if (!version) return info;
  info.version = std::to_string(MajorOf(*version));
  info.state = Answers() ? State::kRunning : State::kStopped;
  return info;
}

}  // namespace ybis::cli
