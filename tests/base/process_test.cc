#include "base/process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include "base/unique_fd.h"
#include "tests/support/temp_dir.h"

namespace ybis {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

ProcessSpec Shell(const std::string& script) {
  return {.argv = {"/bin/sh", "-c", script}, .env = {{"PATH", "/usr/bin:/bin"}}};
}

Result<ProcessResult> RunIt(const ProcessSpec& spec) { return RunProcess(spec, {}); }

milliseconds Since(steady_clock::time_point start) {
  return std::chrono::duration_cast<milliseconds>(steady_clock::now() - start);
}

size_t OpenDescriptors() {
  return static_cast<size_t>(std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {}));
}

/// Whether a process with this number runs (a zombie does not).
bool Runs(const std::string& pid) {
  std::ifstream stat("/proc/" + pid + "/stat");
  std::string text;
  std::getline(stat, text);
  const size_t paren = text.rfind(") ");
  return paren != std::string::npos && text[paren + 2] != 'Z' && text[paren + 2] != 'X';
}

bool DiesWithin(const std::string& pid, milliseconds limit) {
  const auto start = steady_clock::now();
  while (Runs(pid) && Since(start) < limit) std::this_thread::sleep_for(milliseconds(5));
  return !Runs(pid);
}

std::string Trimmed(std::string text) {
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

TEST(RunProcess, GivesExitCodeAndBothStreams) {
  const auto result = RunIt(Shell("echo out; echo err >&2; exit 3"));
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(result->exit_code, 3);
  EXPECT_EQ(result->output, "out\n");
  EXPECT_EQ(result->error_output, "err\n");
  EXPECT_FALSE(result->truncated);
  EXPECT_FALSE(result->timed_out);
}

TEST(RunProcess, CountsASignalAsTheShellDoes) {
  const auto result = RunIt(Shell("kill -SEGV $$"));
  ASSERT_TRUE(result);
  EXPECT_EQ(result->signal, SIGSEGV);
  EXPECT_EQ(result->exit_code, 128 + SIGSEGV);
}

TEST(RunProcess, InheritsNothingOfTheEnvironment) {
  ::setenv("YBIS_TEST_SECRET", "hunter2", 1);
  const auto result = RunIt({.argv = {"/usr/bin/env"}, .env = {{"ONLY", "this"}}});
  ::unsetenv("YBIS_TEST_SECRET");
  ASSERT_TRUE(result);
  EXPECT_EQ(result->output, "ONLY=this\n");
}

TEST(RunProcess, LooksTheProgramUpOnTheChildsPath) {
  testing::TempDir dir;
  const auto tool = dir.Write("tool", "#!/bin/sh\necho mine\n");
  ASSERT_EQ(::chmod(tool.c_str(), 0755), 0);
  const auto result = RunIt({.argv = {"tool"}, .env = {{"PATH", "/nonexistent::" + dir.path().string()}}});
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(result->output, "mine\n");
}

TEST(RunProcess, NeverTakesAProgramFromTheWorkingDirectoryByAnEmptyPathEntry) {
  testing::TempDir dir;
  const auto tool = dir.Write("tool", "#!/bin/sh\necho mine\n");
  ASSERT_EQ(::chmod(tool.c_str(), 0755), 0);
  const auto result = RunIt({.argv = {"tool"}, .env = {{"PATH", ":/usr/bin:"}}, .directory = dir.path()});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kNotFound);
}

TEST(RunProcess, NamesAMissingProgram) {
  const auto result = RunIt({.argv = {"no-such-program-here"}, .env = {{"PATH", "/usr/bin"}}});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kNotFound);
  EXPECT_NE(result.error().message.find("no-such-program-here"), std::string::npos);
}

TEST(RunProcess, TellsAProgramThatMayNotRunFromAMissingOne) {
  testing::TempDir dir;
  const auto file = dir.Write("data", "text");
  const auto result = RunIt({.argv = {file.string()}});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kDenied);
}

TEST(RunProcess, NamesAMissingDirectory) {
  ProcessSpec spec = Shell("true");
  spec.directory = "/no/such/folder";
  const auto result = RunIt(spec);
  ASSERT_FALSE(result);
  EXPECT_NE(result.error().message.find("/no/such/folder"), std::string::npos);
}

TEST(RunProcess, RunsInTheDirectory) {
  testing::TempDir dir;
  ProcessSpec spec = Shell("pwd -P");
  spec.directory = dir.path();
  EXPECT_EQ(Trimmed(RunIt(spec)->output), std::filesystem::canonical(dir.path()).string());
}

TEST(RunProcess, RefusesAnEmptyOrBrokenCommand) {
  EXPECT_EQ(RunIt({}).error().code, ErrorCode::kInvalid);
  EXPECT_EQ(RunIt({.argv = {std::string("a\0b", 3)}}).error().code, ErrorCode::kInvalid);
  EXPECT_EQ(RunIt({.argv = {"/bin/true"}, .env = {{"A=B", "x"}}}).error().code, ErrorCode::kInvalid);
}

TEST(RunProcess, FailsWhenThePreparationFails) {
  ProcessSpec spec = Shell("true");
  spec.before_exec = [] { return EPERM; };
  const auto result = RunIt(spec);
  ASSERT_FALSE(result);
  EXPECT_NE(result.error().message.find("preparing"), std::string::npos);
}

TEST(RunProcess, KeepsHeadAndTailOfHugeOutput) {
  ProcessSpec spec = Shell("echo HEAD; head -c 50000000 /dev/zero | tr '\\0' x; echo TAIL");
  spec.max_output = 1000;
  const auto result = RunIt(spec);
  ASSERT_TRUE(result);
  EXPECT_TRUE(result->truncated);
  EXPECT_EQ(result->output.substr(0, 5), "HEAD\n");
  EXPECT_EQ(result->output.substr(result->output.size() - 5), "TAIL\n");
  EXPECT_LT(result->output.size(), 1100u);
  EXPECT_NE(result->output.find("bytes cut out"), std::string::npos);
}

TEST(RunProcess, KeepsOutputOfExactlyTheCap) {
  ProcessSpec spec = Shell("printf 1234567");
  spec.max_output = 7;
  const auto result = RunIt(spec);
  EXPECT_EQ(result->output, "1234567");
  EXPECT_FALSE(result->truncated);
}

TEST(RunProcess, ReadsBothStreamsWithoutDeadlock) {
  const auto result = RunIt(Shell("head -c 3000000 /dev/zero >&2; head -c 3000000 /dev/zero"));
  ASSERT_TRUE(result);
  EXPECT_EQ(result->exit_code, 0);
  EXPECT_TRUE(result->truncated);
}

TEST(RunProcess, FeedsBigInputWhileReading) {
  ProcessSpec spec = Shell("cat");
  spec.input = std::string(5'000'000, 'i');
  spec.max_output = 6'000'000;
  const auto result = RunIt(spec);
  ASSERT_TRUE(result);
  EXPECT_EQ(result->output, spec.input);
}

TEST(RunProcess, IsNotHeldUpByAChildThatNeverReadsItsInput) {
  ProcessSpec spec = Shell("exit 4");
  spec.input = std::string(5'000'000, 'i');
  const auto result = RunIt(spec);
  ASSERT_TRUE(result);
  EXPECT_EQ(result->exit_code, 4);
}

TEST(RunProcess, SurvivesAChildThatClosesItsInput) {
  ProcessSpec spec = Shell("exec 0<&-; sleep 0.1; echo done");
  spec.input = std::string(5'000'000, 'i');
  EXPECT_EQ(RunIt(spec)->output, "done\n");
}

TEST(RunProcess, GivesAnEmptyInputByDefault) { EXPECT_EQ(RunIt(Shell("cat; echo end"))->output, "end\n"); }

TEST(RunProcess, StopsAtTheDeadline) {
  ProcessSpec spec = Shell("echo early; sleep 30");
  spec.timeout = milliseconds(200);
  const auto start = steady_clock::now();
  const auto result = RunIt(spec);
  ASSERT_TRUE(result);
  EXPECT_TRUE(result->timed_out);
  EXPECT_EQ(result->signal, SIGTERM);
  EXPECT_EQ(result->output, "early\n");
  EXPECT_LT(Since(start), milliseconds(1'500));
}

TEST(RunProcess, KillsAChildThatIgnoresTheTermination) {
  ProcessSpec spec = Shell("trap '' TERM; echo $$; while :; do sleep 0.05; done");
  spec.timeout = milliseconds(100);
  const auto start = steady_clock::now();
  const auto result = RunIt(spec);
  ASSERT_TRUE(result);
  EXPECT_TRUE(result->timed_out);
  EXPECT_EQ(result->signal, SIGKILL);
  EXPECT_GE(Since(start), milliseconds(2'000));
  EXPECT_LT(Since(start), milliseconds(4'000));
}

TEST(RunProcess, LetsAChildFinishItsWorkWithinTheGrace) {
  ProcessSpec spec = Shell("trap 'echo cleaned; exit 0' TERM; while :; do sleep 0.05; done");
  spec.timeout = milliseconds(200);
  const auto result = RunIt(spec);
  EXPECT_TRUE(result->timed_out);
  EXPECT_EQ(result->output, "cleaned\n");
}

TEST(RunProcess, KillsGrandchildrenThatKeepThePipeOpen) {
  const auto start = steady_clock::now();
  const auto result = RunIt(Shell("sleep 30 & echo $!"));
  ASSERT_TRUE(result);
  EXPECT_LT(Since(start), milliseconds(2'000));
  EXPECT_TRUE(DiesWithin(Trimmed(result->output), milliseconds(1'000)));
}

TEST(RunProcess, DoesNotHangOnADaemonThatLeftTheGroup) {
  const auto start = steady_clock::now();
  const auto result = RunIt(Shell("setsid sleep 5 & echo started"));
  ASSERT_TRUE(result);
  EXPECT_EQ(result->output, "started\n");
  EXPECT_LT(Since(start), milliseconds(2'000));
}

TEST(RunProcess, IsCancelledWithinTwoHundredMilliseconds) {
  std::stop_source source;
  std::jthread stopper([&source] {
    std::this_thread::sleep_for(milliseconds(100));
    source.request_stop();
  });
  const auto start = steady_clock::now();
  const auto result = RunProcess(Shell("trap '' TERM; while :; do sleep 1; done"), source.get_token());
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kCancelled);
  EXPECT_LT(Since(start), milliseconds(300));
}

TEST(RunProcess, StartsNothingWhenAlreadyStopped) {
  testing::TempDir dir;
  std::stop_source source;
  source.request_stop();
  ProcessSpec spec = Shell("touch ran");
  spec.directory = dir.path();
  EXPECT_EQ(RunProcess(spec, source.get_token()).error().code, ErrorCode::kCancelled);
  EXPECT_FALSE(std::filesystem::exists(dir.path() / "ran"));
}

TEST(RunProcess, TellsOutputAsItComes) {
  std::string seen;
  ProcessSpec spec = Shell("echo one; echo two >&2");
  spec.on_output = [&seen](std::string_view bytes) { seen += bytes; };
  ASSERT_TRUE(RunIt(spec));
  EXPECT_NE(seen.find("one\n"), std::string::npos);
  EXPECT_NE(seen.find("two\n"), std::string::npos);
}

TEST(RunProcess, HandsNoDescriptorToTheChild) {
  // Without close-on-exec, as a careless library would leave it.
  const UniqueFd careless(::open("/etc/hostname", O_RDONLY));
  const auto result = RunIt({.argv = {"/bin/ls", "/proc/self/fd"}});
  ASSERT_TRUE(result);
  EXPECT_EQ(result->output, "0\n1\n2\n3\n");  // 3 is ls reading the folder
}

TEST(RunProcess, LeaksNoDescriptor) {
  ASSERT_TRUE(RunIt(Shell("true")));
  const size_t before = OpenDescriptors();
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(RunIt(Shell("true")));
    ASSERT_FALSE(RunIt({.argv = {"no-such-program-here"}}));
  }
  EXPECT_EQ(OpenDescriptors(), before);
}

TEST(RunProcess, GivesTheChildDefaultSignals) {
  ::signal(SIGPIPE, SIG_IGN);
  sigset_t blocked;
  sigset_t old;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGTERM);
  ::pthread_sigmask(SIG_BLOCK, &blocked, &old);
  const auto result = RunIt({.argv = {"/bin/grep", "-E", "^Sig(Ign|Blk):", "/proc/self/status"}});
  ::pthread_sigmask(SIG_SETMASK, &old, nullptr);
  ::signal(SIGPIPE, SIG_DFL);
  ASSERT_TRUE(result);
  EXPECT_EQ(result->output, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
}

ProcessSpec Contained(const std::string& script) {
  ProcessSpec spec = Shell(script);
  spec.contain = true;
  return spec;
}

TEST(RunProcessContained, GivesWhatAPlainRunGives) {
  const auto result = RunIt(Contained("cat; echo err >&2; exit 3"));
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(result->exit_code, 3);
  EXPECT_EQ(result->error_output, "err\n");
  EXPECT_EQ(RunIt(Contained("kill -KILL $$"))->signal, SIGKILL);
  EXPECT_EQ(RunProcess({.argv = {"no-such-program-here"}, .contain = true}, {}).error().code,
            ErrorCode::kNotFound);
}

TEST(RunProcessContained, KillsADaemonThatLeftTheGroup) {
  const auto result = RunIt(Contained("setsid sh -c 'echo $$; sleep 60' & sleep 0.3"));
  ASSERT_TRUE(result);
  const std::string daemon = Trimmed(result->output);
  ASSERT_FALSE(daemon.empty());
  EXPECT_FALSE(Runs(daemon)) << "the daemon must be gone before the call returns";
}

TEST(RunProcessContained, KillsADaemonTwiceRemovedAtTheDeadline) {
  ProcessSpec spec = Contained("setsid setsid sh -c 'trap \"\" TERM; echo $$; sleep 60' & sleep 60");
  spec.timeout = milliseconds(300);
  const auto result = RunIt(spec);
  ASSERT_TRUE(result);
  EXPECT_TRUE(result->timed_out);
  EXPECT_EQ(result->signal, SIGTERM);
  EXPECT_FALSE(Runs(Trimmed(result->output)));
}

TEST(RunProcessContained, EndsAtTheDeadlineThoughItsSupervisorWasStopped) {
  ProcessSpec spec = Contained("kill -STOP $PPID; sleep 20");
  spec.timeout = milliseconds(200);
  const auto started = std::chrono::steady_clock::now();
  const auto result = RunIt(spec);
  EXPECT_LT(std::chrono::steady_clock::now() - started, std::chrono::seconds(15));
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_TRUE(result->timed_out);
}

TEST(RunProcessContained, DoesNotOutliveTheSupervisorThatItKills) {
  const testing::TempDir dir;
  const auto pid_file = dir.path() / "pid";
  const auto result = RunIt(Contained("echo $$ > " + pid_file.string() + "; kill -KILL $PPID; sleep 60"));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kInternal);
  std::string pid;
  std::getline(std::ifstream(pid_file), pid);
  ASSERT_FALSE(pid.empty());
  EXPECT_TRUE(DiesWithin(pid, milliseconds(5'000)));
}

/// From here on nobody below this process can be killed.
bool RefuseKill() {
  sock_filter steps[] = {
      {BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, nr)},
      {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, SYS_kill},
      {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | EPERM},
      {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW},
  };
  sock_fprog filter{.len = static_cast<unsigned short>(std::size(steps)), .filter = steps};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

TEST(RunProcessContained, FailsWhenNotEverythingCouldBeKilled) {
  const pid_t child = ::fork();
  if (child == 0) {
    if (!RefuseKill()) ::_exit(1);
    const auto result = RunIt(Contained("setsid sleep 15 & exit 0"));
    ::_exit(!result && result.error().code == ErrorCode::kInternal ? 0 : 2);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST(RunProcessContained, LetsTheProgramFinishWithinTheGrace) {
  ProcessSpec spec = Contained("trap 'echo cleaned; exit 7' TERM; while :; do sleep 0.05; done");
  spec.timeout = milliseconds(200);
  const auto result = RunIt(spec);
  ASSERT_TRUE(result);
  EXPECT_EQ(result->output, "cleaned\n");
  EXPECT_EQ(result->exit_code, 7);
}

TEST(RunProcessContained, IsCancelledWithinTwoHundredMilliseconds) {
  std::stop_source source;
  std::jthread stopper([&source] {
    std::this_thread::sleep_for(milliseconds(100));
    source.request_stop();
  });
  const auto start = steady_clock::now();
  const auto result = RunProcess(Contained("trap '' TERM; setsid sleep 9 & sleep 9"), source.get_token());
  EXPECT_EQ(result.error().code, ErrorCode::kCancelled);
  EXPECT_LT(Since(start), milliseconds(300));
}

TEST(RunProcessContained, DiesWithItsCaller) {
  testing::TempDir dir;
  const auto pid_file = dir.path() / "pid";
  const pid_t caller = ::fork();
  if (caller == 0) {
    (void)RunIt(Contained("setsid sleep 60 & echo $! > " + pid_file.string() + "; sleep 60"));
    ::_exit(0);
  }
  for (int i = 0; i < 400 && !std::filesystem::exists(pid_file); ++i) {
    std::this_thread::sleep_for(milliseconds(5));
  }
  std::this_thread::sleep_for(milliseconds(50));
  ::kill(caller, SIGKILL);
  ::waitpid(caller, nullptr, 0);
  std::string pid;
  std::getline(std::ifstream(pid_file) >> std::ws, pid);
  ASSERT_FALSE(pid.empty());
  EXPECT_TRUE(DiesWithin(pid, milliseconds(1'000)));
}

TEST(RunProcessContained, HandsNoDescriptorToTheChildAndLeaksNone) {
  const UniqueFd careless(::open("/etc/hostname", O_RDONLY));
  const size_t before = OpenDescriptors();
  const auto result = RunProcess({.argv = {"/bin/ls", "/proc/self/fd"}, .contain = true}, {});
  ASSERT_TRUE(result);
  EXPECT_EQ(result->output, "0\n1\n2\n3\n");
  EXPECT_EQ(OpenDescriptors(), before);
}

TEST(RunProcess, IsStoppedByItsInspector) {
  for (const bool contain : {false, true}) {
    ProcessSpec spec = Shell("trap '' TERM; sleep 30; sleep 30");
    spec.contain = contain;
    int calls = 0;
    spec.inspect = [&calls](int pid) -> std::string { return pid > 0 && ++calls == 3 ? "memory" : ""; };
    const auto start = steady_clock::now();
    const auto result = RunIt(spec);
    ASSERT_TRUE(result);
    EXPECT_EQ(result->stopped_for, "memory");
    EXPECT_EQ(result->signal, SIGKILL);
    EXPECT_FALSE(result->timed_out);
    EXPECT_LT(Since(start), milliseconds(2'000));
  }
}

TEST(RunProcess, RunsFromManyThreadsAtOnce) {
  std::atomic<int> good{0};
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 8; ++i) {
      threads.emplace_back([&good, i] {
        for (int round = 0; round < 10; ++round) {
          const auto text = std::to_string(i * 100 + round);
          ProcessSpec spec = Shell("echo " + text);
          spec.contain = round % 2 == 1;
          const auto result = RunIt(spec);
          if (result && result->output == text + "\n") ++good;
        }
      });
    }
  }
  EXPECT_EQ(good.load(), 80);
}

}  // namespace
}  // namespace ybis
