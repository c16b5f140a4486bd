// The process between the caller and a contained program. It is a copy of the caller and must do with system
// calls.
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/process_exec.h"

namespace ybis::process_internal {
namespace {

// How long it goes after processes that fork faster than they are killed.
constexpr int kKillRounds = 2'000;
constexpr int kKillRoundMilliseconds = 1;

void CloseRange(unsigned first, unsigned last) {
  if (first > last || ::syscall(SYS_close_range, first, last, 0U) == 0) return;
  const unsigned limit = static_cast<unsigned>(std::min(::sysconf(_SC_OPEN_MAX), 65'536L));
  for (unsigned fd = first; fd <= std::min(last, limit); ++fd) ::close(static_cast<int>(fd));
}

/// Closes every descriptor but these: copies of the caller's pipes would keep them open for their readers.
template <size_t N>
void CloseAllBut(std::array<int, N> keep) {
  std::sort(keep.begin(), keep.end());
  unsigned next = 0;
  for (const int fd : keep) {
    if (fd < 0) continue;
    if (static_cast<unsigned>(fd) > next) CloseRange(next, static_cast<unsigned>(fd) - 1);
    next = static_cast<unsigned>(fd) + 1;
  }
  CloseRange(next, ~0U);
}

int OpenChildSignals() {
  // An ignored SIGCHLD would reap the children before their status is read.
  struct sigaction action {};
  action.sa_handler = SIG_DFL;
  ::sigaction(SIGCHLD, &action, nullptr);
  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  return ::signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
}

/// The supervisor's state. Every signal is blocked in it.
struct Supervisor {
  pid_t program;
  int lifeline;
  int children;  ///< the kernel's list of our children, -1 where it has none
  int child_signals;
  int status = SIGKILL;  ///< as wait gives it; of a program that nobody saw end
  bool reaped = false;

  /// Reaps what has ended, except the program: its number must not be taken by another while its group lives.
  bool ProgramEnded() const {
    for (;;) {
      siginfo_t info{};
      if (::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0) return false;
      if (info.si_pid == program) return true;
      ::waitpid(info.si_pid, nullptr, WNOHANG);
    }
  }

  /// False when everything is to be killed: the caller closed the lifeline, or is gone.
  bool PassOnSignal() const {
    unsigned char number = 0;
    const ssize_t n = ::read(lifeline, &number, 1);
    if (n < 0) return errno == EINTR || errno == EAGAIN;
    if (n == 0) return false;
    ::kill(-program, number);
    return true;
  }

  void Watch() const {
    for (;;) {
      pollfd fds[] = {{lifeline, POLLIN, 0}, {child_signals, POLLIN, 0}};
      ::poll(fds, 2, -1);
      signalfd_siginfo info;
      while (::read(child_signals, &info, sizeof(info)) > 0) {
      }
      if (ProgramEnded()) return;
      if (fds[0].revents != 0 && !PassOnSignal()) return;
    }
  }

  void KillListed() const {
    char text[4096];
    const ssize_t n = children < 0 ? 0 : ::pread(children, text, sizeof(text), 0);
    pid_t pid = 0;
    for (ssize_t i = 0; i < n; ++i) {
      if (text[i] >= '0' && text[i] <= '9') {
        pid = pid * 10 + (text[i] - '0');
      } else if (pid > 0) {
        ::kill(pid, SIGKILL);
        pid = 0;
      }
    }
  }

  /// True when no child is left.
  bool ReapAll() {
    for (;;) {
      int ended = 0;
      const pid_t pid = ::waitpid(-1, &ended, WNOHANG);
      if (pid < 0 && errno == EINTR) continue;
      if (pid <= 0) return pid < 0;
      if (pid == program) {
        status = ended;
        reaped = true;
      }
    }
  }

  /// Orphans of killed processes become our children, so a few rounds reach everything. False when some live
  /// on.
  bool KillAll() {
    for (int round = 0; round < kKillRounds; ++round) {
      if (!reaped) ::kill(-program, SIGKILL);
      if (!reaped) ::kill(program, SIGKILL);
      KillListed();
      if (ReapAll()) return true;
      // Without the list, what left the group cannot be found: it is not waited for.
      if (children < 0 && reaped) return true;
      ::poll(nullptr, 0, kKillRoundMilliseconds);
    }
    return false;
  }
};

}  // namespace

void SuperviseProgram(const ProcessSpec& spec, const ExecImage& image, const ChildStreams& streams) {
  ::setsid();
  if (::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0)
    ReportAndExit(streams.report, Step::kSupervise, errno);
  const int signals = OpenChildSignals();
  if (signals < 0) ReportAndExit(streams.report, Step::kSupervise, errno);
  const int children = ::open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC);
  const pid_t program = ::_Fork();
  if (program < 0) ReportAndExit(streams.report, Step::kSupervise, errno);
  if (program == 0) {
    // Whoever kills the supervisor does not get the program out of its reach.
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    BecomeProgram(spec, image, streams);
  }
  CloseAllBut(std::array{streams.lifeline, streams.status, children, signals});
  Supervisor supervisor{program, streams.lifeline, children, signals};
  supervisor.Watch();
  const int status = supervisor.KillAll() ? supervisor.status : kNotAllKilled;
  [[maybe_unused]] const ssize_t n = ::write(streams.status, &status, sizeof(status));
  ::_exit(0);
}

}  // namespace ybis::process_internal
