#include "runner/sandbox/sandbox.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <system_error>

#include "base/log.h"
#include "base/unique_fd.h"
#include "runner/sandbox/attribute_guard.h"
#include "runner/sandbox/landlock.h"
#include "runner/sandbox/seccomp_filter.h"
#include "runner/sandbox/tree_usage.h"

namespace ybis::runner {
namespace {

constexpr const char* kPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
// The kernel counts processes per user on the whole machine, and not at all for root. So the exact limit is
// held by counting the tree, and this multiple of it is what stops a fork bomb between two counts.
constexpr uint64_t kProcessBackstop = 4;
constexpr uint64_t kMinProcessBackstop = 4096;
// The kernel's out-of-memory killer should take the command, not the runner.
constexpr std::string_view kOomScore = "500";

struct Limit {
  int resource;
  rlimit value;
};

Limit MakeLimit(int resource, uint64_t soft, uint64_t hard) {
  rlimit now{};
  ::getrlimit(static_cast<__rlimit_resource>(resource), &now);
  const rlim_t highest = std::min<rlim_t>(hard, now.rlim_max);
  return {resource, {.rlim_cur = std::min<rlim_t>(soft, highest), .rlim_max = highest}};
}

std::vector<Limit> MakeLimits(const SandboxLimits& limits) {
  const auto cpu = static_cast<uint64_t>(limits.cpu.count());
  const uint64_t processes = std::max(limits.processes * kProcessBackstop, kMinProcessBackstop);
  return {MakeLimit(RLIMIT_CPU, cpu, cpu + 5),
          MakeLimit(RLIMIT_DATA, limits.memory_bytes, limits.memory_bytes),
          MakeLimit(RLIMIT_FSIZE, limits.file_bytes, limits.file_bytes),
          MakeLimit(RLIMIT_NOFILE, limits.open_files, limits.open_files),
          MakeLimit(RLIMIT_NPROC, processes, processes),
          MakeLimit(RLIMIT_CORE, 0, 0),
          MakeLimit(RLIMIT_MSGQUEUE, 0, 0)};
}

/// What the child applies to itself between fork and exec; all made before fork. Its Apply is
/// async-signal-safe.
struct Confinement {
  std::vector<Limit> limits;
  UniqueFd landlock;                         ///< invalid = none
  std::vector<sock_filter> seccomp;          ///< empty = none
  std::vector<sock_filter> seccomp_own_ipc;  ///< with System V objects of its own; empty = no other than that
  std::unique_ptr<AttributeGuard> guard;     ///< of the calls that the filter does not judge itself

  int Apply() {
    const bool own_ipc = ::unshare(CLONE_NEWIPC) == 0;
    RaiseOomScore();
    for (const Limit& limit : limits) {
      if (::setrlimit(static_cast<__rlimit_resource>(limit.resource), &limit.value) != 0) return errno;
    }
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return errno;
    if (const int error = DropCapabilities(); error != 0) return error;
    if (landlock.valid()) {
      if (const int error = RestrictSelf(landlock.get()); error != 0) return error;
    }
    if (seccomp.empty()) return 0;
    int listener = -1;
    std::vector<sock_filter>& filter = own_ipc && !seccomp_own_ipc.empty() ? seccomp_own_ipc : seccomp;
    const int error = InstallSeccompFilter(filter, &listener);
    return error != 0 || listener < 0 ? error : guard->HandOver(listener);
  }

 private:
  /// A wish only: an undumpable process that is not root may not write there.
  static void RaiseOomScore() {
    const int file = ::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (file < 0) return;
    [[maybe_unused]] const ssize_t n = ::write(file, kOomScore.data(), kOomScore.size());
    ::close(file);
  }

  /// Root without capabilities is a user like any other: it reads no other user's files and traces no one.
  static int DropCapabilities() {
    for (int capability = 0; capability < 64; ++capability) ::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
    ::prctl(PR_SET_SECUREBITS, SECBIT_NOROOT | SECBIT_NOROOT_LOCKED, 0, 0, 0);
    ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    __user_cap_data_struct none[2]{};
    return ::syscall(SYS_capset, &header, none) == 0 ? 0 : errno;
  }
};

Result<std::shared_ptr<Confinement>> Confine(const SandboxPolicy& policy, const SandboxSupport& support) {
  auto confinement = std::make_shared<Confinement>();
  confinement->limits = MakeLimits(policy.limits);
  if (support.landlock_abi > 0) {
    YBIS_ASSIGN(confinement->landlock, MakeLandlockRuleset(policy, support.landlock_abi));
  }
  if (support.seccomp) {
    YBIS_ASSIGN(confinement->seccomp, CompileSeccompFilter(policy, support.landlock_abi, ::getpid()));
    if (!policy.sysv_ipc) {
      SandboxPolicy own_ipc = policy;
      own_ipc.sysv_ipc = true;
      YBIS_ASSIGN(confinement->seccomp_own_ipc,
                  CompileSeccompFilter(own_ipc, support.landlock_abi, ::getpid()));
    }
    std::vector<std::filesystem::path> roots = policy.writable;
    roots.push_back(policy.temp);
    YBIS_ASSIGN(confinement->guard, AttributeGuard::Make(roots));
  }
  return confinement;
}

Status CheckFolder(std::string_view name, const std::filesystem::path& path) {
  if (!path.is_absolute()) {
    return Fail(ErrorCode::kInvalid, fmt::format("sandbox: {} '{}' must be absolute", name, path.string()));
  }
  struct stat info {};
  if (::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode)) return {};
  return Fail(ErrorCode::kInvalid, fmt::format("sandbox: {} {} is not a folder", name, path.string()));
}

Status CheckPolicy(const SandboxPolicy& policy, const SandboxCommand& command) {
  YBIS_TRY(CheckFolder("temp", policy.temp));
  YBIS_TRY(CheckFolder("directory", command.directory));
  for (const auto& path : policy.writable) YBIS_TRY(CheckFolder("writable", path));
  return {};
}

/// The whole environment of the command; a registered secret in it is an error, whichever way it came.
Result<std::map<std::string, std::string>> Environment(const SandboxPolicy& policy,
                                                       const SandboxCommand& command) {
  std::map<std::string, std::string> env = {
      {"PATH", kPath}, {"HOME", policy.temp.string()}, {"TMPDIR", policy.temp.string()}, {"LANG", "C.UTF-8"}};
  for (const std::string& name : policy.inherit_env) {
    // NOLINTNEXTLINE(concurrency-mt-unsafe): nothing in the runner changes the environment
    if (const char* value = std::getenv(name.c_str()); value != nullptr) env[name] = value;
  }
  for (const auto& [name, value] : command.env) env[name] = value;
  for (const auto& [name, value] : env) {
    if (log::Redact(value) == value) continue;
    return Fail(ErrorCode::kInvalid,
                fmt::format("sandbox: the variable {} holds a secret; a command may not", name));
  }
  return env;
}

/// Answers the name of the limit that the tree below `pid` passes, or nothing.
std::string PassedLimit(const SandboxLimits& limits, int pid) {
  const TreeUsage usage = MeasureDescendants(pid);
  if (usage.processes > limits.processes) return "processes";
  if (usage.memory_bytes > limits.memory_bytes) return "memory";
  return "";
}

ProcessSpec MakeSpec(const SandboxPolicy& policy, const SandboxCommand& command,
                     std::shared_ptr<Confinement> confinement) {
  ProcessSpec spec;
  spec.argv = command.argv;
  spec.directory = command.directory;
  spec.input = command.input;
  spec.timeout = policy.timeout;
  spec.max_output = policy.max_output;
  spec.on_output = command.on_output;
  spec.contain = true;
  spec.before_exec = [confinement = std::move(confinement)] { return confinement->Apply(); };
  spec.inspect = [limits = policy.limits](int pid) { return PassedLimit(limits, pid); };
  return spec;
}

std::vector<std::string> Missing(const SandboxSupport& support) {
  std::vector<std::string> missing;
  if (support.landlock_abi == 0) {
    missing.push_back("file access limits (Landlock: Linux 5.13 or newer, with 'landlock' among its lsm=)");
  }
  if (!support.seccomp)
    missing.push_back("system call filters (seccomp), and with them the ban on the network");
  if (!support.track_descendants) {
    missing.push_back("killing processes that leave their group (CONFIG_PROC_CHILDREN and a mounted /proc)");
  }
  return missing;
}

}  // namespace

Result<SandboxSupport> ProbeSandbox() {
  SandboxSupport support;
  support.landlock_abi = LandlockAbi();
  support.seccomp = SeccompAvailable();
  support.track_descendants = ::access("/proc/thread-self/children", R_OK) == 0;
  support.scopes_signals = support.landlock_abi >= 6;
  support.missing = Missing(support);
  return support;
}

Result<SandboxResult> RunSandboxed(const SandboxPolicy& policy, const SandboxCommand& command,
                                   std::stop_token stop) {
  YBIS_TRY(CheckPolicy(policy, command));
  YBIS_ASSIGN(const SandboxSupport support, ProbeSandbox());
  if (!support.missing.empty() && !policy.best_effort) {
    return Fail(ErrorCode::kUnsupported,
                fmt::format("sandbox: this machine cannot enforce: {}; use another node, or "
                            "'sandbox: best-effort' in the profile to run without it",
                            fmt::join(support.missing, "; ")));
  }
  if (!support.missing.empty()) log::Warn("sandbox is incomplete", {{"missing", support.missing}});
  YBIS_ASSIGN(auto confinement, Confine(policy, support));
  ProcessSpec spec = MakeSpec(policy, command, std::move(confinement));
  YBIS_ASSIGN(spec.env, Environment(policy, command));
  YBIS_ASSIGN(ProcessResult process, RunProcess(spec, std::move(stop)));
  std::string stopped_for = process.stopped_for;
  return SandboxResult{std::move(process), std::move(stopped_for), support.missing};
}

Status MakeUndumpable() {
  const rlimit none{};
  if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0 || ::setrlimit(RLIMIT_CORE, &none) != 0) {
    return Fail(ErrorCode::kInternal,
                fmt::format("make the process unreadable: {}", std::generic_category().message(errno)));
  }
  return {};
}

}  // namespace ybis::runner
