#include "base/process_child.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "base/process_exec.h"

namespace ybis::process_internal {
namespace {

Unexpected FailErrno(std::string_view what, int error) {
  return Fail(ErrorCode::kInternal, fmt::format("{}: {}", what, std::generic_category().message(error)));
}

struct Pipe {
  UniqueFd read;
  UniqueFd write;
};

/// Moves a descriptor out of 0-2, where the child's standard streams will be put.
Status RaiseAboveStandard(UniqueFd& fd) {
  if (fd.get() > 2) return {};
  const int raised = ::fcntl(fd.get(), F_DUPFD_CLOEXEC, 3);
  if (raised < 0) return FailErrno("duplicate a pipe", errno);
  fd.Reset(raised);
  return {};
}

Result<Pipe> MakePipe() {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) return FailErrno("make a pipe", errno);
  Pipe pipe{UniqueFd(fds[0]), UniqueFd(fds[1])};
  YBIS_TRY(RaiseAboveStandard(pipe.read));
  YBIS_TRY(RaiseAboveStandard(pipe.write));
  return pipe;
}

void SetNonBlocking(int fd) { ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK); }

/// Forks with every signal blocked, so that no handler of this process runs in the child.
pid_t ForkBlocked(const ProcessSpec& spec, const ExecImage& image, const ChildStreams& streams) {
  sigset_t all;
  sigset_t old;
  sigfillset(&all);
  ::pthread_sigmask(SIG_BLOCK, &all, &old);
  const pid_t pid = ::fork();
  if (pid == 0 && spec.contain) SuperviseProgram(spec, image, streams);
  if (pid == 0) BecomeProgram(spec, image, streams);
  const int error = errno;
  ::pthread_sigmask(SIG_SETMASK, &old, nullptr);
  errno = error;
  return pid;
}

/// Waits until the child became the program (the report pipe closes) or said why not.
Status AwaitExec(const ProcessSpec& spec, int report) {
  StartFailure failure{};
  ssize_t n = 0;
  do {
    n = ::read(report, &failure, sizeof(failure));
  } while (n < 0 && errno == EINTR);
  if (n == static_cast<ssize_t>(sizeof(failure))) return DescribeStartFailure(spec, failure);
  return {};
}

struct Pipes {
  Pipe input;
  Pipe output;
  Pipe error_output;
  Pipe report;
  Pipe lifeline;
  Pipe status;
};

Result<Pipes> MakePipes(bool contain) {
  Pipes pipes;
  for (Pipe* pipe : {&pipes.input, &pipes.output, &pipes.error_output, &pipes.report}) {
    YBIS_ASSIGN(*pipe, MakePipe());
  }
  if (contain) {
    YBIS_ASSIGN(pipes.lifeline, MakePipe());
    YBIS_ASSIGN(pipes.status, MakePipe());
  }
  return pipes;
}

}  // namespace

Result<std::unique_ptr<Child>> Child::Start(const ProcessSpec& spec) {
  YBIS_TRY(CheckSpec(spec));
  const ExecImage image(spec);
  YBIS_ASSIGN(Pipes pipes, MakePipes(spec.contain));
  const pid_t pid = ForkBlocked(spec, image,
                                {.input = pipes.input.read.get(),
                                 .output = pipes.output.write.get(),
                                 .error_output = pipes.error_output.write.get(),
                                 .report = pipes.report.write.get(),
                                 .lifeline = pipes.lifeline.read.get(),
                                 .status = pipes.status.write.get()});
  if (pid < 0) return FailErrno(fmt::format("start {}: fork", spec.argv.front()), errno);
  std::unique_ptr<Child> child(new Child);
  child->pid_ = pid;
  child->pidfd_.Reset(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  child->contained_ = spec.contain;
  child->lifeline_ = std::move(pipes.lifeline.write);
  child->status_ = std::move(pipes.status.read);
  pipes.status.write.Reset();
  pipes.report.write.Reset();
  YBIS_TRY(AwaitExec(spec, pipes.report.read.get()));
  child->input = std::move(pipes.input.write);
  child->output = std::move(pipes.output.read);
  child->error_output = std::move(pipes.error_output.read);
  for (const UniqueFd* fd : {&child->input, &child->output, &child->error_output}) SetNonBlocking(fd->get());
  return child;
}

Child::~Child() {
  if (pid_ > 0) Reap();
}

void Child::SignalGroup(int number) const {
  // The group does not exist yet when the child has not reached setsid.
  if (::kill(-pid_, number) != 0) ::kill(pid_, number);
}

void Child::PassOn(int number) {
  const auto byte = static_cast<unsigned char>(number);
  [[maybe_unused]] const ssize_t n = ::write(lifeline_.get(), &byte, 1);
}

void Child::Terminate() {
  // A stopped process acts on SIGTERM only once it is continued.
  for (const int number : {SIGTERM, SIGCONT}) {
    if (contained_) {
      PassOn(number);
    } else {
      SignalGroup(number);
    }
  }
}

void Child::Kill() {
  if (contained_) {
    lifeline_.Reset();
  } else {
    SignalGroup(SIGKILL);
  }
}

void Child::KillSupervisor() const {
  if (contained_) ::kill(pid_, SIGKILL);
}

bool Child::Ended() const {
  siginfo_t info{};
  return ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
         info.si_pid == pid_;
}

std::optional<int> Child::Reap() {
  Kill();
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  if (!contained_) return status;
  if (::read(status_.get(), &status, sizeof(status)) != static_cast<ssize_t>(sizeof(status)))
    return std::nullopt;
  return status;
}

}  // namespace ybis::process_internal
