#include "runner/sandbox/sandbox.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <thread>

#include "base/file.h"
#include "base/log.h"
#include "base/unique_fd.h"
#include "tests/support/temp_dir.h"

namespace ybis::runner {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

/// A worktree, a temp folder and a place outside of both, on a machine that can enforce all.
class Sandboxed : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto support = ProbeSandbox();
    ASSERT_TRUE(support);
    if (!support->missing.empty()) GTEST_SKIP() << "this machine lacks " << support->missing.front();
    worktree_ = dir_.path() / "worktree";
    outside_ = dir_.path() / "outside";
    policy_.temp = dir_.path() / "temp";
    for (const auto& path : {worktree_, outside_, policy_.temp}) std::filesystem::create_directories(path);
    policy_.writable = {worktree_};
    policy_.timeout = milliseconds(60'000);
  }

  Result<SandboxResult> Run(std::vector<std::string> argv) {
    return RunSandboxed(policy_, {.argv = std::move(argv), .directory = worktree_, .env = env_}, {});
  }
  ProcessResult Shell(const std::string& script) { return Process({"/bin/sh", "-c", script}); }
  ProcessResult Python(const std::string& script) { return Process({"python3", "-c", script}); }
  ProcessResult Process(std::vector<std::string> argv) {
    auto result = Run(std::move(argv));
    EXPECT_TRUE(result) << result.error().message;
    return result ? result->process : ProcessResult{};
  }

  testing::TempDir dir_;
  std::filesystem::path worktree_;
  std::filesystem::path outside_;
  SandboxPolicy policy_;
  std::map<std::string, std::string> env_;
};

/// The errno of a system call made inside, by number; 0 when it succeeded.
std::string Syscall(const std::string& call) {
  return "import ctypes,os\nl=ctypes.CDLL(None,use_errno=True)\nr=l.syscall(" + call +
         ")\nprint(ctypes.get_errno() if r<0 else 0)";
}

std::string ErrnoOf(const std::string& action) {
  return "import os,socket\ntry:\n  " + action + "\n  print(0)\nexcept OSError as e: print(e.errno)";
}

// Files

TEST_F(Sandboxed, WritesTheWorktreeAndTheTempFolderAndNothingElse) {
  EXPECT_EQ(Shell("echo in > file && echo t > $TMPDIR/t && mkdir d && mv file d/ && rm $TMPDIR/t").exit_code,
            0);
  EXPECT_TRUE(std::filesystem::exists(worktree_ / "d/file"));
  EXPECT_NE(Shell("echo out > " + (outside_ / "x").string()).exit_code, 0);
  EXPECT_FALSE(std::filesystem::exists(outside_ / "x"));
  EXPECT_NE(Shell("touch /tmp/ybis-sandbox-probe").exit_code, 0);
  EXPECT_NE(Shell("echo x > /usr/ybis-sandbox-probe").exit_code, 0);
}

TEST_F(Sandboxed, NeitherReadsNorCutsNorMovesNorLinksWhatIsOutside) {
  const auto file = dir_.Write("outside/secret", "token").string();
  EXPECT_EQ(Shell("cat " + file).output, "");
  EXPECT_NE(Shell("ls " + outside_.string()).exit_code, 0);
  EXPECT_EQ(Python(ErrnoOf("os.truncate('" + file + "', 0)")).output, "13\n");
  EXPECT_NE(Shell("mv " + file + " mine").exit_code, 0);
  EXPECT_NE(Shell("ln " + file + " mine").exit_code, 0);
  EXPECT_EQ(Shell("rm -f " + file).exit_code, 1);
  EXPECT_EQ(ReadFile(file).value(), "token");
}

TEST_F(Sandboxed, WritesNothingThroughALinkInTheWorktree) {
  const auto file = dir_.Write("outside/config", "old");
  std::filesystem::create_symlink(file, worktree_ / "link");
  std::filesystem::create_directory_symlink("/etc", worktree_ / "etc");
  EXPECT_NE(Shell("echo new > link").exit_code, 0);
  EXPECT_NE(Shell("echo new > etc/ybis-sandbox-probe").exit_code, 0);
  EXPECT_EQ(ReadFile(file).value(), "old");
}

unsigned ModeOf(const std::filesystem::path& path) {
  struct stat info {};
  EXPECT_EQ(::lstat(path.c_str(), &info), 0) << path;
  return info.st_mode & 07777U;
}

int64_t TimeOf(const std::filesystem::path& path) {
  struct stat info {};
  EXPECT_EQ(::lstat(path.c_str(), &info), 0) << path;
  return info.st_mtime;
}

TEST_F(Sandboxed, ChangesNoModeOwnerTimeOrAttributeOfWhatIsOutside) {
  const auto file = dir_.Write("outside/secret", "token");
  const auto tool = dir_.Write("tools/tool", "#!/bin/sh");
  for (const auto& path : {file, tool}) ASSERT_EQ(::chmod(path.c_str(), 0600), 0);
  const int64_t time = TimeOf(file);
  std::filesystem::create_symlink(file, worktree_ / "link");
  policy_.readable.push_back(dir_.path() / "tools");
  for (const std::string mode : {"4777", "644"}) {
    for (const std::string& path : {file.string(), std::string("link"), std::string("../outside/secret"),
                                    tool.string(), worktree_.string() + "/../tools/tool"}) {
      EXPECT_NE(Shell("chmod " + mode + " " + path).exit_code, 0) << mode << " " << path;
    }
  }
  const std::string open = "import os; f=os.open('" + tool.string() + "', 0)\n";
  EXPECT_EQ(Python(open + ErrnoOf("os.fchmod(f, 0o777)")).output, "1\n");
  EXPECT_EQ(Python(open + ErrnoOf("os.chmod(f'/proc/self/fd/{f}', 0o777)")).output, "1\n");
  EXPECT_EQ(Python(open + ErrnoOf("os.utime(f)")).output, "1\n");
  EXPECT_EQ(Python(open + ErrnoOf("os.fchown(f, -1, -1)")).output, "1\n");
  EXPECT_EQ(Python(open + ErrnoOf("os.setxattr(f, 'user.ybis', b'x')")).output, "95\n");
  EXPECT_EQ(Python(ErrnoOf("os.utime('" + file.string() + "', (1, 1))")).output, "1\n");
  EXPECT_EQ(Python(ErrnoOf("os.chown('" + file.string() + "', -1, -1)")).output, "1\n");
  EXPECT_EQ(Python(ErrnoOf("os.chmod('/dev/null', 0o600)")).output, "1\n");
  EXPECT_EQ(Python(ErrnoOf("os.chmod('/proc/self/root/etc/hostname', 0o600)")).output, "40\n");
  EXPECT_EQ(ModeOf(file), 0600U);
  EXPECT_EQ(ModeOf(tool), 0600U);
  EXPECT_EQ(TimeOf(file), time);
#ifdef __x86_64__
  const std::string path = "b'" + file.string() + "'";
  EXPECT_EQ(Python(Syscall("452, -100, " + path + ", 0o777, 0")).output, "1\n") << "fchmodat2";
  EXPECT_EQ(Python(Syscall("92, " + path + ", 0, 0")).output, "1\n") << "chown";
  EXPECT_EQ(Python(Syscall("132, " + path + ", 0")).output, "38\n") << "utime";
  for (const char* call : {"188", "189", "463"}) {
    EXPECT_EQ(Python(Syscall(call + std::string(", ") + path + ", b'user.x', b'x', 1, 0")).output, "95\n")
        << call;
  }
#endif
}

TEST_F(Sandboxed, ChangesNothingOutsideByALinkThatTurnsWhileItIsLookedAt) {
  const auto file = dir_.Write("outside/secret", "token");
  ASSERT_EQ(::chmod(file.c_str(), 0600), 0);
  const auto result = Python(
      "import os,time\nopen('mine','w').close()\nos.symlink('mine','in')\nos.symlink('" + file.string() +
      "','out')\nos.mkdir('d')\n"
      "if os.fork()==0:\n  end=time.time()+2\n  while time.time()<end:\n    for n in ('in','out'):\n"
      "      os.link(n,'d/new',follow_symlinks=False)\n      os.rename('d/new','turns')\n  os._exit(0)\n"
      "changed=0\nend=time.time()+2\nwhile time.time()<end:\n  try:\n    os.chmod('turns',0o666)\n"
      "    changed+=1\n  except OSError: pass\nprint(changed>0)");
  EXPECT_EQ(result.output, "True\n") << result.error_output;
  EXPECT_EQ(ModeOf(file), 0600U);
}

TEST_F(Sandboxed, ChangesModesAndTimesOfItsOwnFiles) {
  const auto result = Shell(
      "set -e; echo '#!/bin/sh' > tool; ln -s tool link; mkdir folder; chmod +x tool; ./tool\n"
      "chmod 640 link; chmod 2750 folder; chmod 700 \"$TMPDIR\"; chmod 644 \"$PWD/folder/../tool\"\n"
      "touch -d @1000 tool; touch -h -d @2000 link; chown \"$(id -u)\" tool\n"
      "! chmod u+s tool; ! chown 12345 tool; ! chmod 644 missing; ! chmod 644 tool/");
  EXPECT_EQ(result.exit_code, 0) << result.error_output;
  EXPECT_EQ(ModeOf(worktree_ / "tool"), 0644U);
  EXPECT_EQ(ModeOf(worktree_ / "folder"), 02750U);
  EXPECT_EQ(TimeOf(worktree_ / "tool"), 1000);
  EXPECT_EQ(TimeOf(worktree_ / "link"), 2000);
  EXPECT_EQ(
      Python("import os\nf=os.open('tool',0); os.fchmod(f,0o750); os.utime(f,(5,5))\n"
             "d=os.open('.',0); os.chmod('link',0o751,dir_fd=d); os.unlink('tool'); os.fchmod(f,0o600)\n"
             "print(oct(os.fstat(f).st_mode))")
          .output,
      "0o100600\n");
}

TEST_F(Sandboxed, CopiesInstallsAndUnpacks) {
  const auto result = Shell(
      "set -e; mkdir -p a/b; echo x > a/b/x; chmod 754 a/b/x; touch -d @1000 a/b/x\n"
      "cp -p a/b/x copy; cp -a a tree; install -m 755 a/b/x installed\n"
      "tar cf a.tar a; mkdir out; tar xpf a.tar -C out; git init -q repo; cd repo; cp ../copy .\n"
      "git add copy; git -c user.name=a -c user.email=a@b commit -q -m first; git clone -q . ../clone");
  EXPECT_EQ(result.exit_code, 0) << result.error_output;
  EXPECT_EQ(result.error_output, "");
  for (const char* path : {"copy", "tree/b/x", "out/a/b/x"}) {
    EXPECT_EQ(ModeOf(worktree_ / path), 0754U) << path;
    EXPECT_EQ(TimeOf(worktree_ / path), 1000) << path;
  }
  EXPECT_EQ(ModeOf(worktree_ / "installed"), 0755U);
}

TEST_F(Sandboxed, DoesNotReadAHiddenPlaceBelowAReadableOne) {
  dir_.Write("tools/bin/data", "fine");
  dir_.Write("tools/credentials/token", "hunter2");
  policy_.readable.push_back(dir_.path() / "tools");
  policy_.hidden.push_back(dir_.path() / "tools/credentials");
  EXPECT_EQ(Shell("cat " + (dir_.path() / "tools/bin/data").string()).output, "fine");
  EXPECT_EQ(Shell("cat " + (dir_.path() / "tools/credentials/token").string()).output, "");
  EXPECT_EQ(Shell("cat /etc/shadow").output, "");
}

TEST_F(Sandboxed, RefusesAPolicyWhoseSecretsAreWritable) {
  policy_.hidden.push_back(worktree_ / "secrets");
  const auto result = Run({"true"});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kInvalid);
  EXPECT_NE(result.error().message.find("secrets"), std::string::npos);
}

TEST_F(Sandboxed, RefusesAFolderThatIsNotThere) {
  policy_.writable.push_back(dir_.path() / "missing");
  EXPECT_EQ(Run({"true"}).error().code, ErrorCode::kInvalid);
}

// Network and system calls

TEST_F(Sandboxed, ConnectsToNothing) {
  const UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  ASSERT_EQ(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), length), 0);
  ASSERT_EQ(::listen(listener.get(), 1), 0);
  ASSERT_EQ(::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &length), 0);
  const std::string connect =
      ErrnoOf("socket.create_connection(('127.0.0.1', " + std::to_string(ntohs(address.sin_port)) + "), 2)");
  EXPECT_EQ(Python(connect).output, "13\n");
  policy_.network = true;
  EXPECT_EQ(Python(connect).output, "0\n") << "the same connection works where the policy allows it";
}

TEST_F(Sandboxed, MakesNoSocketButUnixOnes) {
  // AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, AF_ALG, AF_VSOCK, and AF_UNIX with a high bit set.
  for (const char* family : {"2", "10", "16", "17", "38", "40", "ctypes.c_ulong(0x100000002)"}) {
    EXPECT_EQ(Python(Syscall("41, " + std::string(family) + ", 1, 0")).output, "13\n") << family;
  }
  // Datagram sockets, also by the kernel's other name for them, reach any address without connecting.
  for (const char* kind : {"socket", "socketpair"}) {
    for (const char* type : {"SOCK_DGRAM", "SOCK_RAW"}) {
      const std::string call = fmt::format("socket.{}(socket.AF_UNIX, socket.{})", kind, type);
      EXPECT_EQ(Python(ErrnoOf(call)).output, "13\n") << call;
    }
  }
  EXPECT_EQ(Python(ErrnoOf("a,b=socket.socketpair(); a.send(b'x'); assert b.recv(1)==b'x'")).output, "0\n");
  EXPECT_EQ(Python(ErrnoOf("s=socket.socket(socket.AF_UNIX); s.bind('s'); s.listen()")).output, "0\n");
}

TEST_F(Sandboxed, ConnectsToUnixSocketsOnlyWhereAllowed) {
  const std::string script = ErrnoOf(
      "s=socket.socket(socket.AF_UNIX); s.bind('s'); s.listen(); c=socket.socket(socket.AF_UNIX); "
      "c.connect('s')");
  EXPECT_EQ(Python(script).output, "13\n");
  std::filesystem::remove(worktree_ / "s");
  policy_.connect_unix = true;
  EXPECT_EQ(Python(script).output, "0\n");
}

/// A Unix socket of this process that listens; a name that begins with NUL is an abstract one.
UniqueFd ListenUnix(const std::string& name, int type = SOCK_STREAM) {
  UniqueFd listener(::socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  name.copy(address.sun_path, sizeof(address.sun_path) - 1);
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
  EXPECT_EQ(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), length), 0) << errno;
  EXPECT_EQ(::listen(listener.get(), 8), 0);
  return listener;
}

TEST_F(Sandboxed, ReachesNoUnixSocketThroughTheNetworkItMayUse) {
  policy_.network = true;
  const std::string path = (outside_ / "engine.sock").string();
  const std::string abstract = fmt::format("ybis-sandbox-test-{}", ::getpid());
  const UniqueFd by_path = ListenUnix(path);
  const UniqueFd packets = ListenUnix(path + ".SOCK_SEQPACKET", SOCK_SEQPACKET);
  const UniqueFd streams = ListenUnix(path + ".SOCK_STREAM");
  const UniqueFd by_name = ListenUnix('\0' + abstract);
  const std::string connect = ErrnoOf("socket.socket(socket.AF_UNIX).connect('" + path + "')");
  EXPECT_EQ(Python(connect).output, "13\n");
  EXPECT_EQ(Python(ErrnoOf("socket.socket(socket.AF_UNIX).connect('\\0" + abstract + "')")).output, "13\n");
  for (const char* type : {"SOCK_DGRAM", "SOCK_RAW", "SOCK_SEQPACKET"}) {
    EXPECT_EQ(Python(ErrnoOf(fmt::format("socket.socket(socket.AF_UNIX, socket.{})", type))).output, "13\n")
        << type;
  }
  for (const char* type : {"SOCK_DGRAM", "SOCK_RAW"}) {
    EXPECT_EQ(Python(ErrnoOf(fmt::format("socket.socketpair(socket.AF_UNIX, socket.{})", type))).output,
              "13\n")
        << type;
  }
  // A pair stays one: it can be led nowhere else (EISCONN).
  for (const char* type : {"SOCK_STREAM", "SOCK_SEQPACKET"}) {
    const std::string pair = fmt::format("a,b=socket.socketpair(socket.AF_UNIX, socket.{}); ", type);
    EXPECT_EQ(Python(ErrnoOf(pair + "a.send(b'x'); assert b.recv(1)==b'x'")).output, "0\n") << type;
    EXPECT_EQ(Python(ErrnoOf(fmt::format("{}b.close(); a.connect('{}.{}')", pair, path, type))).output,
              "106\n")
        << type;
  }
#ifdef __x86_64__
  EXPECT_EQ(Python(Syscall("41, ctypes.c_ulong(0x100000001), 1, 0")).output, "13\n") << "cut to AF_UNIX";
#endif
  policy_.connect_unix = true;
  EXPECT_EQ(Python(connect).output, "0\n") << "the same connection works where the policy allows it";
}

TEST_F(Sandboxed, LooksUpNamesWhereTheNetworkIsAllowed) {
  policy_.network = true;
  // glibc asks nscd by a Unix socket first and goes on without it.
  EXPECT_EQ(Python(ErrnoOf("assert socket.getaddrinfo('localhost', 80)")).output, "0\n");
  EXPECT_EQ(
      Python(ErrnoOf("socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(('127.0.0.1', 53))")).output,
      "0\n");
}

TEST_F(Sandboxed, MakesNoneOfTheRefusedCalls) {
#ifdef __x86_64__
  const std::map<std::string, std::string> calls = {{"ptrace", "101, 0, 0, 0, 0"},
                                                    {"process_vm_readv", "310, os.getppid(), 0, 0, 0, 0, 0"},
                                                    {"io_uring_setup", "425, 1, 0"},
                                                    {"keyctl", "250, 0, 0, 0"},
                                                    {"mount", "165, 0, 0, 0, 0, 0"},
                                                    {"unshare(NEWUSER)", "272, 0x10000000"},
                                                    {"unshare(NEWNET)", "272, 0x40000000"},
                                                    {"bpf", "321, 0, 0, 0"},
                                                    {"perf_event_open", "298, 0, 0, 0, 0, 0"},
                                                    {"userfaultfd", "323, 0"},
                                                    {"open_by_handle_at", "304, 0, 0, 0"},
                                                    {"kexec_load", "246, 0, 0, 0, 0"},
                                                    {"clone(NEWUSER)", "56, 0x10000011, 0, 0, 0, 0"},
                                                    {"pidfd_getfd", "438, 0, 0, 0"}};
  for (const auto& [name, call] : calls) EXPECT_EQ(Python(Syscall(call)).output, "1\n") << name;
  EXPECT_EQ(Python(Syscall("435, 0, 0")).output, "38\n") << "clone3 falls back to clone";
#endif
}

TEST_F(Sandboxed, ReachesNoSystemVObjectOfOthers) {
#ifdef __x86_64__
  const int segment = ::shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);
  ASSERT_GE(segment, 0);
  EXPECT_NE(Python(Syscall(fmt::format("30, {}, 0, 0", segment))).output, "0\n");
  const std::string make = Syscall("29, 0, 4096, 0o1600");
  const pid_t child = ::fork();
  if (child == 0) {
    // Without the right to make others there are those of the machine alone.
    __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    __user_cap_data_struct none[2]{};
    ::syscall(SYS_capset, &header, none);
    if (Python(make).output != "1\n") ::_exit(1);
    policy_.sysv_ipc = true;
    const std::string use =
        "import ctypes\nl=ctypes.CDLL(None)\nprint(l.shmctl(l.shmget(0, 4096, 0o1600), 0, 0))";
    ::_exit(Python(use).output == "0\n" ? 0 : 2);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 0);
  ::shmctl(segment, IPC_RMID, nullptr);
  EXPECT_EQ(Python(Syscall("240, b'ybis', 0, 0, 0")).output, "1\n") << "mq_open";
#endif
}

TEST_F(Sandboxed, DiesOnCallsOfAnotherArchitecture) {
#ifdef __x86_64__
  EXPECT_EQ(Python(Syscall("0x40000000 + 41, 2, 1, 0")).signal, SIGSYS) << "x32 socket()";
#endif
}

TEST_F(Sandboxed, GainsNoPrivilegesAndHoldsNone) {
  const std::string status = Process({"/bin/cat", "/proc/self/status"}).output;
  EXPECT_NE(status.find("NoNewPrivs:\t1"), std::string::npos);
  EXPECT_NE(status.find("CapEff:\t0000000000000000"), std::string::npos);
  EXPECT_NE(status.find("CapPrm:\t0000000000000000"), std::string::npos);
  EXPECT_NE(status.find("Seccomp:\t2"), std::string::npos);
}

// The runner

TEST_F(Sandboxed, SeesNothingOfTheRunner) {
  const std::string proc = "/proc/" + std::to_string(::getpid());
  for (const char* file : {"/environ", "/mem", "/maps", "/fd/0", "/root/etc/hostname", "/cwd/x"}) {
    EXPECT_NE(Shell("cat " + proc + file).exit_code, 0) << file;
  }
}

TEST_F(Sandboxed, DoesNotSignalTheRunner) {
  if (!ProbeSandbox()->scopes_signals) GTEST_SKIP() << "needs Landlock 6";
  EXPECT_NE(Shell("kill -0 " + std::to_string(::getpid())).exit_code, 0);
  EXPECT_NE(Shell("kill -TERM $PPID").exit_code, 0) << "nor its own supervisor";
}

TEST_F(Sandboxed, LimitsNoProcessButItself) {
  const std::string limit =
      "import resource\n" + ErrnoOf("resource.prlimit({}, resource.RLIMIT_CPU, (1, 1))");
  EXPECT_EQ(Python(fmt::format(fmt::runtime(limit), "os.getppid()")).output, "1\n");
  EXPECT_EQ(Python(fmt::format(fmt::runtime(limit), ::getpid())).output, "1\n");
  EXPECT_EQ(Python(fmt::format(fmt::runtime(limit), 0)).output, "0\n");
}

TEST_F(Sandboxed, InheritsNoVariable) {
  ::setenv("YBIS_TEST_SECRET", "hunter2", 1);
  ::setenv("YBIS_TEST_SHARED", "fine", 1);
  policy_.inherit_env = {"YBIS_TEST_SHARED", "YBIS_TEST_ABSENT"};
  env_ = {{"EXTRA", "1"}};
  const std::string env = Process({"/usr/bin/env"}).output;
  ::unsetenv("YBIS_TEST_SECRET");
  ::unsetenv("YBIS_TEST_SHARED");
  EXPECT_EQ(env,
            "EXTRA=1\nHOME=" + policy_.temp.string() +
                "\nLANG=C.UTF-8\nPATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nTMPDIR=" +
                policy_.temp.string() + "\nYBIS_TEST_SHARED=fine\n");
}

TEST_F(Sandboxed, RefusesASecretInTheEnvironment) {
  log::RegisterSecret("s3cr3t-of-the-sandbox-test");
  env_ = {{"TOKEN", "s3cr3t-of-the-sandbox-test"}};
  const auto result = Run({"true"});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kInvalid);
  EXPECT_EQ(result.error().message.find("s3cr3t"), std::string::npos);
}

TEST(MakeUndumpable, KeepsOthersOfTheUserFromReadingTheProcess) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(MakeUndumpable() && ::prctl(PR_GET_DUMPABLE) == 0 ? 0 : 1);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

// Limits

TEST_F(Sandboxed, StopsAForkBomb) {
  policy_.limits.processes = 50;
  const auto start = steady_clock::now();
  const auto result = Run({"python3", "-c",
                           "import os,time\nfor i in range(400):\n  if os.fork()==0: time.sleep(60)\n"
                           "time.sleep(60)"});
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(result->stopped_for, "processes");
  EXPECT_LT(steady_clock::now() - start, milliseconds(20'000));
}

TEST_F(Sandboxed, StopsAMemoryHog) {
  policy_.limits.memory_bytes = 200 << 20;
  const auto result = Python("x=bytearray(1<<30)\nprint(len(x))");
  EXPECT_NE(result.exit_code, 0);
  EXPECT_NE(result.error_output.find("MemoryError"), std::string::npos);
}

TEST_F(Sandboxed, StopsMemoryHogsThatShareTheBurden) {
  policy_.limits.memory_bytes = 200 << 20;
  const auto result = Run({"python3", "-c",
                           "import os,time\nfor i in range(5):\n  if os.fork()==0: break\n"
                           "x=bytearray(b'x')*(90<<20)\ntime.sleep(60)"});
  ASSERT_TRUE(result);
  EXPECT_EQ(result->stopped_for, "memory");
}

TEST_F(Sandboxed, BoundsFilesOpenFilesAndProcessorTime) {
  policy_.limits.file_bytes = 1 << 20;
  policy_.limits.open_files = 32;
  policy_.limits.cpu = std::chrono::seconds(1);
  EXPECT_NE(Shell("head -c 5000000 /dev/zero > big").exit_code, 0);
  EXPECT_LE(std::filesystem::file_size(worktree_ / "big"), 1u << 20);
  EXPECT_EQ(Python(ErrnoOf("[os.open('/dev/null', 0) for i in range(100)]")).output, "24\n");
  EXPECT_EQ(Shell("while :; do :; done").signal, SIGXCPU);
  EXPECT_EQ(Shell("ulimit -c").output, "0\n");
}

TEST_F(Sandboxed, KillsEverythingAtTheDeadline) {
  policy_.timeout = milliseconds(500);
  const auto result = Shell("setsid sh -c 'trap \"\" TERM; echo $$; exec sleep 60' & sleep 60");
  EXPECT_TRUE(result.timed_out);
  const pid_t daemon = static_cast<pid_t>(std::atoi(result.output.c_str()));
  ASSERT_GT(daemon, 1);
  EXPECT_EQ(::kill(daemon, 0), -1);
  EXPECT_EQ(errno, ESRCH);
}

// A machine that lacks something

/// Runs `body` in a copy of this process in which Landlock does not exist; its exit code.
int WithoutLandlock(const std::function<int()>& body) {
  const pid_t child = ::fork();
  if (child == 0) {
    scmp_filter_ctx filter = ::seccomp_init(SCMP_ACT_ALLOW);
    ::seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SYS_landlock_create_ruleset, 0);
    ::_exit(::seccomp_load(filter) == 0 ? body() : 99);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 98;
}

TEST_F(Sandboxed, ChangesNoModeWithinAnotherSandboxWhoseCallsAreAnswered) {
  const pid_t child = ::fork();
  if (child == 0) {
    scmp_filter_ctx filter = ::seccomp_init(SCMP_ACT_ALLOW);
    ::seccomp_rule_add(filter, SCMP_ACT_NOTIFY, SYS_acct, 0);
    if (::seccomp_load(filter) != 0) ::_exit(1);
    const auto result = Run({"/bin/sh", "-c", ": > file && ! chmod 600 file"});
    ::_exit(result && result->process.exit_code == 0 ? 0 : 2);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST_F(Sandboxed, IsRefusedWhereItCannotBeEnforced) {
  EXPECT_EQ(WithoutLandlock([this] {
              const auto result = Run({"/bin/true"});
              if (result) return 1;
              if (result.error().code != ErrorCode::kUnsupported) return 2;
              return result.error().message.find("Landlock") == std::string::npos ? 3 : 0;
            }),
            0);
}

TEST_F(Sandboxed, RunsByBestEffortAndTellsWhatIsMissing) {
  policy_.best_effort = true;
  EXPECT_EQ(WithoutLandlock([this] {
              // Signals to the runner, the supervisor and everybody stay refused, by the filter.
              const auto result =
                  Run({"/bin/sh", "-c",
                       "kill -0 " + std::to_string(::getpid()) +
                           " && exit 7; kill -0 -1 && exit 8; kill -9 $PPID && exit 9; "
                           "kill -9 -$PPID && exit 10; kill -0 $$ || exit 11; "
                           "python3 -c 'import os,signal; f=os.open(f\"/proc/{os.getppid()}\", 0)\n"
                           "try: signal.pidfd_send_signal(f, 0)\n"
                           "except OSError: exit(0)\n"
                           "exit(12)'"});
              if (!result || result->process.exit_code != 0) return 1;
              return result->unenforced.size() == 1 ? 0 : 2;
            }),
            0);
}

TEST_F(Sandboxed, ReadsWhatIsOutsideOnlyBecauseLandlockIsNotThere) {
  const auto file = dir_.Write("outside/secret", "token").string();
  policy_.best_effort = true;
  EXPECT_EQ(WithoutLandlock([&] {
              const auto result = Run({"/bin/cat", file});
              return result && result->process.output == "token" ? 0 : 1;
            }),
            0)
      << "shows that it is Landlock that the other tests see at work";
}

TEST_F(Sandboxed, WorksFromAnUndumpableRunner) {
  const pid_t child = ::fork();
  if (child == 0) {
    if (!MakeUndumpable()) ::_exit(1);
    const auto support = ProbeSandbox();
    if (!support || !support->missing.empty()) ::_exit(2);
    policy_.limits.processes = 5;
    const auto result = Run({"/bin/sh", "-c",
                             "cat /proc/$PPID/environ; touch -d @1000 own; chmod 750 own; "
                             "for i in 1 2 3 4 5 6 7 8; do sleep 60 & done; wait"});
    if (!result || !result->process.output.empty()) ::_exit(3);
    if (ModeOf(worktree_ / "own") != 0750U || TimeOf(worktree_ / "own") != 1000) ::_exit(5);
    ::_exit(result->stopped_for == "processes" ? 0 : 4);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

// Tools

TEST_F(Sandboxed, CompilesAndRunsAProgram) {
  dir_.Write("worktree/main.c", "#include <stdio.h>\nint main(void) { puts(\"compiled\"); return 0; }\n");
  dir_.Write("worktree/Makefile", "run: main\n\t./main\nmain: main.c\n\tgcc -O1 -o $@ $<\n");
  const auto result = Process({"make", "-s"});
  EXPECT_EQ(result.output, "compiled\n") << result.error_output;
}

TEST_F(Sandboxed, RunsPytest) {
  dir_.Write("worktree/test_it.py",
             "import subprocess, tempfile, threading\n"
             "def test_it(tmp_path):\n"
             "    (tmp_path / 'f').write_text('x')\n"
             "    assert subprocess.run(['echo', 'hi'], capture_output=True).stdout == b'hi\\n'\n"
             "    t = threading.Thread(target=lambda: None); t.start(); t.join()\n"
             "    assert tempfile.TemporaryFile().write(b'x') == 1\n");
  const auto result = Process({"python3", "-m", "pytest", "-q"});
  EXPECT_EQ(result.exit_code, 0) << result.output << result.error_output;
  EXPECT_NE(result.output.find("1 passed"), std::string::npos);
}

TEST_F(Sandboxed, IsCancelled) {
  std::stop_source source;
  std::jthread stopper([&source] {
    std::this_thread::sleep_for(milliseconds(200));
    source.request_stop();
  });
  const auto result =
      RunSandboxed(policy_, {.argv = {"sleep", "60"}, .directory = worktree_}, source.get_token());
  EXPECT_EQ(result.error().code, ErrorCode::kCancelled);
}

}  // namespace
}  // namespace ybis::runner
