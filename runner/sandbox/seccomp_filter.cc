#include "runner/sandbox/seccomp_filter.h"

#include <asm/sockios.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fs.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <initializer_list>
#include <memory>
#include <system_error>

#include "base/unique_fd.h"
#include "runner/sandbox/attribute_guard.h"

namespace ybis::runner {
namespace {

// Refused outright. Names, not numbers: one that this architecture or libseccomp lacks is passed over.
constexpr const char* kRefused[] = {
    // other processes
    "ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "pidfd_getfd", "kcmp",
    "perf_event_open",
    // ways around the filter of sockets and files
    "io_uring_setup", "io_uring_enter", "io_uring_register", "open_by_handle_at", "name_to_handle_at",
    "userfaultfd", "bpf", "fanotify_init",
    // keys of the user's session
    "keyctl", "add_key", "request_key",
    // mounts and namespaces
    "mount", "umount", "umount2", "pivot_root", "chroot", "move_mount", "open_tree", "open_tree_attr",
    "fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr", "setns",
    // the machine
    "kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "create_module",
    "reboot", "swapon", "swapoff", "syslog", "acct", "quotactl", "quotactl_fd", "settimeofday",
    "clock_settime", "clock_settime64", "clock_adjtime", "clock_adjtime64", "adjtimex", "sethostname",
    "setdomainname", "iopl", "ioperm", "modify_ldt", "lookup_dcookie", "nfsservctl", "uselib", "vhangup",
    "_sysctl", "socketcall",
    // queues of other processes; new ones its limits forbid
    "mq_open", "mq_unlink"};

// Of any file that can be opened or named, whatever Landlock allows; tools do without.
constexpr const char* kAttributes[] = {"setxattr",    "lsetxattr",    "fsetxattr",
                                       "removexattr", "lremovexattr", "fremovexattr"};
// setxattrat, removexattrat, file_setattr: newer than libseccomp of Debian 12, the same everywhere.
constexpr int kNewAttributes[] = {463, 466, 469};
// Times are set by utimensat, which AttributeGuard answers; libraries fall back to it.
constexpr const char* kOldTimes[] = {"utime", "utimes", "futimesat"};

constexpr const char* kSystemV[] = {"shmget", "shmat",  "shmctl",     "shmdt",  "semget", "semop",
                                    "semctl", "msgget", "semtimedop", "msgsnd", "msgrcv", "msgctl"};

constexpr uint64_t kNamespaces = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |
                                 CLONE_NEWPID | CLONE_NEWNET | 0x80 /* CLONE_NEWTIME */;
constexpr uint64_t kLow32 = 0xffffffffULL;
constexpr uint64_t kSocketType = 0xf;
// Stand for the supervisor and its group until they are known: no process has such a number.
constexpr uint32_t kSupervisor = 0x7fabcdef;
constexpr uint32_t kSupervisorGroup = 0x80543211;

struct ContextDeleter {
  void operator()(void* context) const { ::seccomp_release(context); }
};
using Context = std::unique_ptr<void, ContextDeleter>;

Unexpected FailErrno(std::string_view what, int error) {
  return Fail(ErrorCode::kInternal, fmt::format("sandbox: system call filter: {}: {}", what,
                                                std::generic_category().message(error)));
}

scmp_arg_cmp Compare(unsigned index, scmp_compare how, uint64_t a, uint64_t b = 0) {
  return {.arg = index, .op = how, .datum_a = a, .datum_b = b};
}

/// Collects rules; the first one that cannot be added makes the filter fail.
class Rules {
 public:
  explicit Rules(scmp_filter_ctx context) : context_(context) {}

  void Refuse(const char* name, std::initializer_list<scmp_arg_cmp> when = {}, int error = EPERM) {
    const int number = ::seccomp_syscall_resolve_name(name);
    if (number == __NR_SCMP_ERROR || number < 0) return;
    Add(SCMP_ACT_ERRNO(static_cast<uint32_t>(error)), number, name, when);
  }
  void Refuse(int number, int error) {
    Add(SCMP_ACT_ERRNO(static_cast<uint32_t>(error)), number, "a call by its number", {});
  }
  void Notify(int number) { Add(SCMP_ACT_NOTIFY, number, "a call that is answered", {}); }
  Status Finish() const {
    if (failed_ != 0) return FailErrno(name_, failed_);
    return {};
  }

 private:
  void Add(uint32_t action, int number, const char* name, std::initializer_list<scmp_arg_cmp> when) {
    const int failed =
        ::seccomp_rule_add_array(context_, action, number, static_cast<unsigned>(when.size()), when.begin());
    if (failed != 0 && failed_ == 0) {
      failed_ = -failed;
      name_ = name;
    }
  }

  scmp_filter_ctx context_;
  int failed_ = 0;
  const char* name_ = "";
};

void AddNamespaces(Rules& rules) {
  for (uint64_t bit = 1; bit != 0; bit <<= 1) {
    if ((kNamespaces & bit) == 0) continue;
    // 0x80 is part of the exit signal in clone's flags, a namespace only for unshare.
    if (bit != 0x80) rules.Refuse("clone", {Compare(0, SCMP_CMP_MASKED_EQ, bit, bit)});
    rules.Refuse("unshare", {Compare(0, SCMP_CMP_MASKED_EQ, bit, bit)});
  }
  // Its flags are in memory, where no filter sees them; libraries fall back to clone.
  rules.Refuse("clone3", {}, ENOSYS);
}

/// A datagram socket reaches any address without connecting. For AF_UNIX the kernel makes one of SOCK_RAW
/// too. What is left of socket pairs is connected for good to its other end.
void RefuseDatagrams(Rules& rules, const char* name) {
  rules.Refuse(name, {Compare(1, SCMP_CMP_MASKED_EQ, kSocketType, SOCK_DGRAM)}, EACCES);
  rules.Refuse(name, {Compare(1, SCMP_CMP_MASKED_EQ, kSocketType, SOCK_RAW)}, EACCES);
}

/// Which socket families there are. 64-bit comparisons are safe: the kernel cuts the argument to an int, and
/// a value with high bits set equals no allowed family.
void AddSockets(Rules& rules, const SandboxPolicy& policy) {
  rules.Refuse("socketpair", {Compare(0, SCMP_CMP_NE, AF_UNIX)}, EACCES);
  if (!policy.connect_unix) RefuseDatagrams(rules, "socketpair");
  if (policy.network) {
    // Of connect the filter sees no family, so without leave there must be no Unix socket to connect.
    for (uint64_t family = 0; family < AF_NETLINK; ++family) {
      if (family == AF_INET || family == AF_INET6 || (family == AF_UNIX && policy.connect_unix)) continue;
      rules.Refuse("socket", {Compare(0, SCMP_CMP_EQ, family)}, EACCES);
    }
    rules.Refuse("socket", {Compare(0, SCMP_CMP_GT, AF_NETLINK)}, EACCES);
    return;
  }
  rules.Refuse("socket", {Compare(0, SCMP_CMP_NE, AF_UNIX)}, EACCES);
  if (policy.connect_unix) return;
  rules.Refuse("connect", {}, EACCES);
  RefuseDatagrams(rules, "socket");
}

/// Landlock before 6 does not scope signals: keep at least the runner, the supervisor and the kill-everything
/// out of reach.
void AddSignals(Rules& rules, int runner) {
  for (const char* name : {"kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_open"}) {
    rules.Refuse(name, {Compare(0, SCMP_CMP_MASKED_EQ, kLow32, static_cast<uint32_t>(runner))});
    rules.Refuse(name, {Compare(0, SCMP_CMP_MASKED_EQ, kLow32, kSupervisor)});
  }
  rules.Refuse("kill", {Compare(0, SCMP_CMP_MASKED_EQ, kLow32, static_cast<uint32_t>(-1))});
  rules.Refuse("kill", {Compare(0, SCMP_CMP_MASKED_EQ, kLow32, static_cast<uint32_t>(-::getpgrp()))});
  rules.Refuse("kill", {Compare(0, SCMP_CMP_MASKED_EQ, kLow32, kSupervisorGroup)});
  // It takes a folder of /proc, too. And the owner of a file gets its signals, of any number.
  rules.Refuse("pidfd_send_signal", {}, ENOSYS);
  for (const uint64_t command : {F_SETOWN, F_SETOWN_EX}) {
    rules.Refuse("fcntl", {Compare(1, SCMP_CMP_MASKED_EQ, kLow32, command)});
  }
  for (const uint64_t request : {FIOSETOWN, SIOCSPGRP}) {
    rules.Refuse("ioctl", {Compare(1, SCMP_CMP_MASKED_EQ, kLow32, request)});
  }
}

/// What would change files outside, which the command may neither write nor own alone.
void AddAttributes(Rules& rules) {
  for (const char* name : kAttributes) rules.Refuse(name, {}, EOPNOTSUPP);
  for (const int number : kNewAttributes) rules.Refuse(number, EOPNOTSUPP);
  for (const char* name : kOldTimes) rules.Refuse(name, {}, ENOSYS);
  for (const uint64_t request : {FS_IOC_SETFLAGS, FS_IOC_FSSETXATTR}) {
    rules.Refuse("ioctl", {Compare(1, SCMP_CMP_MASKED_EQ, kLow32, request)}, EOPNOTSUPP);
  }
  for (const int number : GuardedCalls()) rules.Notify(number);
}

/// Before Landlock 3 a file can be cut without the right to write it.
void AddTruncation(Rules& rules) {
  rules.Refuse("truncate");
  rules.Refuse("truncate64");
  rules.Refuse("open", {Compare(1, SCMP_CMP_MASKED_EQ, O_TRUNC | O_ACCMODE, O_TRUNC)});
  rules.Refuse("openat", {Compare(2, SCMP_CMP_MASKED_EQ, O_TRUNC | O_ACCMODE, O_TRUNC)});
  rules.Refuse("openat2", {}, ENOSYS);
}

Result<std::vector<sock_filter>> Export(scmp_filter_ctx context) {
  const UniqueFd file(::memfd_create("filter", MFD_CLOEXEC));
  if (!file.valid()) return FailErrno("memfd", errno);
  if (const int failed = ::seccomp_export_bpf(context, file.get()); failed != 0)
    return FailErrno("compile", -failed);
  struct stat info {};
  if (::fstat(file.get(), &info) != 0) return FailErrno("stat", errno);
  std::vector<sock_filter> program(static_cast<size_t>(info.st_size) / sizeof(sock_filter));
  const ssize_t n = ::pread(file.get(), program.data(), static_cast<size_t>(info.st_size), 0);
  if (n != info.st_size || program.empty()) return FailErrno("read", errno);
  return program;
}

}  // namespace

bool SeccompAvailable() {
  const uint32_t action = SECCOMP_RET_ERRNO;
  return ::syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0U, &action) == 0;
}

Result<std::vector<sock_filter>> CompileSeccompFilter(const SandboxPolicy& policy, int landlock_abi,
                                                      int runner) {
  const Context context(::seccomp_init(SCMP_ACT_ALLOW));
  if (context == nullptr) return FailErrno("start", ENOMEM);
  // Calls of another architecture (32-bit, x32) have other numbers and would pass unseen.
  ::seccomp_attr_set(context.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
  ::seccomp_attr_set(context.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2);
  Rules rules(context.get());
  for (const char* name : kRefused) rules.Refuse(name);
  AddNamespaces(rules);
  AddSockets(rules, policy);
  AddAttributes(rules);
  if (!policy.sysv_ipc) {
    for (const char* name : kSystemV) rules.Refuse(name);
  }
  // A limit of processor time kills; it may be set on every process of the user.
  rules.Refuse("prlimit64", {Compare(0, SCMP_CMP_NE, 0), Compare(2, SCMP_CMP_NE, 0)});
  if (landlock_abi < 6) AddSignals(rules, runner);
  if (landlock_abi < 3) AddTruncation(rules);
  rules.Refuse("ioctl", {Compare(1, SCMP_CMP_MASKED_EQ, kLow32, TIOCSTI)});
  rules.Refuse("ioctl", {Compare(1, SCMP_CMP_MASKED_EQ, kLow32, TIOCLINUX)});
  YBIS_TRY(rules.Finish());
  return Export(context.get());
}

int InstallSeccompFilter(std::vector<sock_filter>& program, int* listener) {
  const auto supervisor = static_cast<uint32_t>(::getppid());
  for (sock_filter& step : program) {
    if (step.code != (BPF_JMP | BPF_JEQ | BPF_K)) continue;
    if (step.k == kSupervisor) step.k = supervisor;
    if (step.k == kSupervisorGroup) step.k = 0 - supervisor;
  }
  sock_fprog filter{.len = static_cast<unsigned short>(program.size()), .filter = program.data()};
  const long installed =
      ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &filter);
  // Within a sandbox that listens itself there is no second listener.
  if (installed < 0 && errno == EBUSY) {
    *listener = -1;
    return ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0U, &filter) == 0 ? 0 : errno;
  }
  *listener = static_cast<int>(installed);
  return installed < 0 ? errno : 0;
}

}  // namespace ybis::runner
