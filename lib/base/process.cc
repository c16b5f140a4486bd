#include "base/process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <system_error>

#include "base/unique_fd.h"

namespace ybis {
namespace {

using SteadyClock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// From SIGTERM to SIGKILL, after the deadline and after a stop request.
constexpr milliseconds kTimeoutGrace{2'000};
constexpr milliseconds kCancelGrace{50};
// How long what the program left in its pipes is read after everything has been killed.
constexpr milliseconds kDrainLimit{250};
// How often the child is looked at where the kernel has no pidfd_open.
constexpr milliseconds kNoPidfdPoll{10};
// A longer deadline is taken as this one, so that adding it to the time of day cannot overflow.
constexpr milliseconds kMaxTimeout = std::chrono::hours(24 * 365);
constexpr const char* kDefaultPath = "/usr/local/bin:/usr/bin:/bin";

std::string Message(int error) { return std::generic_category().message(error); }

Unexpected FailErrno(std::string_view what, int error) {
  return Fail(ErrorCode::kInternal, fmt::format("{}: {}", what, Message(error)));
}

// ---- pipes
// -------------------------------------------------------------------------------------------------

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

/// Keeps SIGPIPE from this thread while it writes to a child that may have closed its input.
class SigpipeGuard {
 public:
  SigpipeGuard() {
    sigset_t pending;
    ::sigpending(&pending);
    was_pending_ = sigismember(&pending, SIGPIPE) == 1;
    sigemptyset(&sigpipe_);
    sigaddset(&sigpipe_, SIGPIPE);
    ::pthread_sigmask(SIG_BLOCK, &sigpipe_, &old_mask_);
  }
  ~SigpipeGuard() {
    const timespec now{};
    while (!was_pending_ && ::sigtimedwait(&sigpipe_, nullptr, &now) < 0 && errno == EINTR) {
    }
    ::pthread_sigmask(SIG_SETMASK, &old_mask_, nullptr);
  }
  SigpipeGuard(const SigpipeGuard&) = delete;
  SigpipeGuard& operator=(const SigpipeGuard&) = delete;

 private:
  bool was_pending_ = false;
  sigset_t sigpipe_{};
  sigset_t old_mask_{};
};

/// Keeps the first and the last half of `max` bytes of a stream.
class CappedText {
 public:
  explicit CappedText(size_t max) : head_max_(max - max / 2), tail_max_(max / 2) {}

  void Append(std::string_view bytes) {
    const size_t to_head = std::min(bytes.size(), head_max_ - head_.size());
    head_.append(bytes.substr(0, to_head));
    tail_.append(bytes.substr(to_head));
    if (tail_.size() > 2 * tail_max_ + 65'536) Trim();
  }
  bool truncated() const { return cut_ > 0 || tail_.size() > tail_max_; }
  std::string Take() {
    Trim();
    if (cut_ > 0) head_ += fmt::format("\n[... {} bytes cut out ...]\n", cut_);
    return std::move(head_) + tail_;
  }

 private:
  void Trim() {
    if (tail_.size() <= tail_max_) return;
    const size_t excess = tail_.size() - tail_max_;
    cut_ += excess;
    tail_.erase(0, excess);
  }

  size_t head_max_;
  size_t tail_max_;
  size_t cut_ = 0;
  std::string head_;
  std::string tail_;
};

// ---- what the child needs, made before fork
// ------------------------------------------------------------------

std::vector<std::string> Candidates(const ProcessSpec& spec) {
  const std::string& name = spec.argv.front();
  if (name.find('/') != std::string::npos) return {name};
  const auto found = spec.env.find("PATH");
  std::string_view rest = found == spec.env.end() ? kDefaultPath : std::string_view(found->second);
  std::vector<std::string> paths;
  for (;;) {
    const size_t colon = rest.find(':');
    const std::string_view folder = rest.substr(0, colon);
    // An empty entry would mean the working directory, which is not a place to take programs from.
    if (!folder.empty()) paths.push_back(fmt::format("{}/{}", folder, name));
    if (colon == std::string_view::npos) return paths;
    rest.remove_prefix(colon + 1);
  }
}

bool HasNul(std::string_view text) { return text.find('\0') != std::string_view::npos; }

Status CheckSpec(const ProcessSpec& spec) {
  if (spec.argv.empty() || spec.argv.front().empty()) {
    return Fail(ErrorCode::kInvalid, "argv: is empty; it must name a program");
  }
  for (size_t i = 0; i < spec.argv.size(); ++i) {
    if (HasNul(spec.argv[i])) return Fail(ErrorCode::kInvalid, fmt::format("argv[{}]: holds a NUL byte", i));
  }
  for (const auto& [name, value] : spec.env) {
    if (name.empty() || HasNul(name) || HasNul(value) || name.find('=') != std::string::npos) {
      return Fail(ErrorCode::kInvalid, fmt::format("env: the entry '{}' is not a valid variable", name));
    }
  }
  return {};
}

/// Everything the child touches between fork and exec, so that it allocates nothing there.
class ExecImage {
 public:
  explicit ExecImage(const ProcessSpec& spec) : directory_(spec.directory.string()), argv_text_(spec.argv) {
    candidates_ = Candidates(spec);
    for (const auto& [name, value] : spec.env) env_text_.push_back(name + "=" + value);
    for (auto& text : argv_text_) argv_.push_back(text.data());
    for (auto& text : env_text_) env_.push_back(text.data());
    argv_.push_back(nullptr);
    env_.push_back(nullptr);
  }
  ExecImage(const ExecImage&) = delete;
  ExecImage& operator=(const ExecImage&) = delete;

  const char* directory() const { return directory_.empty() ? nullptr : directory_.c_str(); }

  /// Tries each place of the program; gives the errno to report. Async-signal-safe.
  int Exec() const {
    int error = ENOENT;
    for (const std::string& path : candidates_) {
      ::execve(path.c_str(), argv_.data(), env_.data());
      if (errno == EACCES) error = EACCES;
      if (errno != ENOENT && errno != ENOTDIR && errno != EACCES) return errno;
    }
    return error;
  }

 private:
  std::string directory_;
  std::vector<std::string> candidates_;
  std::vector<std::string> argv_text_;
  std::vector<std::string> env_text_;
  std::vector<char*> argv_;
  std::vector<char*> env_;
};

enum class Step : int { kStreams, kDirectory, kPrepare, kExec };

/// What a child that could not become the program writes to its parent.
struct StartFailure {
  Step step;
  int error;
};

// ---- in the child: async-signal-safe calls only
// --------------------------------------------------------------

void ResetSignals() {
  struct sigaction action {};
  action.sa_handler = SIG_DFL;
  for (int number = 1; number < NSIG; ++number) ::sigaction(number, &action, nullptr);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

/// Marks everything above standard error to be closed by exec.
void HideDescriptors() {
  if (::syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC) == 0) return;
  const long limit = std::min(::sysconf(_SC_OPEN_MAX), 65'536L);
  for (int fd = 3; fd < limit; ++fd) ::fcntl(fd, F_SETFD, FD_CLOEXEC);
}

struct ChildStreams {
  int input;
  int output;
  int error_output;
  int report;
};

[[noreturn]] void ReportAndExit(int report, Step step, int error) {
  const StartFailure failure{step, error};
  [[maybe_unused]] const ssize_t n = ::write(report, &failure, sizeof(failure));
  ::_exit(127);
}

[[noreturn]] void BecomeProgram(const ProcessSpec& spec, const ExecImage& image,
                                const ChildStreams& streams) {
  ::setsid();
  if (::dup2(streams.input, 0) < 0 || ::dup2(streams.output, 1) < 0 || ::dup2(streams.error_output, 2) < 0) {
    ReportAndExit(streams.report, Step::kStreams, errno);
  }
  HideDescriptors();
  if (image.directory() != nullptr && ::chdir(image.directory()) != 0) {
    ReportAndExit(streams.report, Step::kDirectory, errno);
  }
  ResetSignals();
  if (spec.before_exec) {
    if (const int error = spec.before_exec(); error != 0)
      ReportAndExit(streams.report, Step::kPrepare, error);
  }
  ReportAndExit(streams.report, Step::kExec, image.Exec());
}

// ---- in the parent
// -------------------------------------------------------------------------------------------

/// The running child and the ends of its pipes. Kills and reaps what is left when it goes.
class Child {
 public:
  Child(pid_t pid, UniqueFd input, UniqueFd output, UniqueFd error_output)
      : input(std::move(input)),
        output(std::move(output)),
        error_output(std::move(error_output)),
        pid_(pid),
        pidfd_(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))) {}
  ~Child() {
    if (pid_ > 0) Reap();
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  int pidfd() const { return pidfd_.get(); }
  void SignalGroup(int number) const {
    // The group does not exist yet when the child has not reached setsid.
    if (::kill(-pid_, number) != 0) ::kill(pid_, number);
  }
  /// Whether it has ended; it stays a zombie, so that its group's number cannot be taken by another.
  bool Ended() const {
    siginfo_t info{};
    return ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
           info.si_pid == pid_;
  }
  /// Kills the whole group and collects the child's wait status.
  int Reap() {
    SignalGroup(SIGKILL);
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
    return status;
  }

  UniqueFd input;
  UniqueFd output;
  UniqueFd error_output;

 private:
  pid_t pid_;
  UniqueFd pidfd_;
};

/// Forks with every signal blocked, so that no handler of this process runs in the child.
pid_t ForkBlocked(const ProcessSpec& spec, const ExecImage& image, const ChildStreams& streams) {
  sigset_t all;
  sigset_t old;
  sigfillset(&all);
  ::pthread_sigmask(SIG_BLOCK, &all, &old);
  const pid_t pid = ::fork();
  if (pid == 0) BecomeProgram(spec, image, streams);
  const int error = errno;
  ::pthread_sigmask(SIG_SETMASK, &old, nullptr);
  errno = error;
  return pid;
}

Unexpected DescribeStartFailure(const ProcessSpec& spec, StartFailure failure) {
  const std::string& program = spec.argv.front();
  switch (failure.step) {
    case Step::kStreams:
      return FailErrno(fmt::format("start {}: standard streams", program), failure.error);
    case Step::kDirectory:
      return Fail(failure.error == ENOENT ? ErrorCode::kNotFound : ErrorCode::kInternal,
                  fmt::format("start {}: working directory {}: {}", program, spec.directory.string(),
                              Message(failure.error)));
    case Step::kPrepare:
      return FailErrno(fmt::format("start {}: preparing its process", program), failure.error);
    case Step::kExec:
      break;
  }
  const ErrorCode code = failure.error == ENOENT                             ? ErrorCode::kNotFound
                         : failure.error == EACCES || failure.error == EPERM ? ErrorCode::kDenied
                         : failure.error == E2BIG                            ? ErrorCode::kTooLarge
                                                                             : ErrorCode::kInternal;
  return Fail(code, fmt::format("start {}: {}", program, Message(failure.error)));
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

Result<std::unique_ptr<Child>> Start(const ProcessSpec& spec) {
  YBIS_TRY(CheckSpec(spec));
  const ExecImage image(spec);
  YBIS_ASSIGN(Pipe input, MakePipe());
  YBIS_ASSIGN(Pipe output, MakePipe());
  YBIS_ASSIGN(Pipe error_output, MakePipe());
  YBIS_ASSIGN(Pipe report, MakePipe());
  const pid_t pid = ForkBlocked(spec, image,
                                {.input = input.read.get(),
                                 .output = output.write.get(),
                                 .error_output = error_output.write.get(),
                                 .report = report.write.get()});
  if (pid < 0) return FailErrno(fmt::format("start {}: fork", spec.argv.front()), errno);
  auto child = std::make_unique<Child>(pid, std::move(input.write), std::move(output.read),
                                       std::move(error_output.read));
  report.write.Reset();
  YBIS_TRY(AwaitExec(spec, report.read.get()));
  SetNonBlocking(child->input.get());
  SetNonBlocking(child->output.get());
  SetNonBlocking(child->error_output.get());
  return child;
}

/// Wakes a poll() when a stop is requested.
class StopEvent {
 public:
  explicit StopEvent(std::stop_token stop)
      : event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)), callback_(std::move(stop), [this] { Signal(); }) {}
  int fd() const { return event_.get(); }

 private:
  void Signal() const {
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t n = ::write(event_.get(), &one, sizeof(one));
  }

  UniqueFd event_;
  std::stop_callback<std::function<void()>> callback_;
};

/// Feeds, reads and waits for one child until it has ended, by itself or killed.
class Conversation {
 public:
  Conversation(const ProcessSpec& spec, Child& child, std::stop_token stop)
      : spec_(spec),
        child_(child),
        stop_(stop),
        event_(std::move(stop)),
        started_(SteadyClock::now()),
        output_(spec.max_output),
        error_output_(spec.max_output),
        input_(spec.input) {
    if (input_.empty()) child_.input.Reset();
  }

  Result<ProcessResult> Run() {
    const SigpipeGuard guard;
    while (!child_.Ended()) {
      Police();
      Exchange(NextWait(), true);
    }
    const int status = child_.Reap();
    Drain();
    if (cancelled_) return Fail(ErrorCode::kCancelled, fmt::format("{}: stopped", spec_.argv.front()));
    return Finish(status);
  }

 private:
  SteadyClock::time_point Deadline() const { return started_ + std::min(spec_.timeout, kMaxTimeout); }

  /// Sends what the clock and the stop token call for: SIGTERM first, SIGKILL after the grace.
  void Police() {
    const auto now = SteadyClock::now();
    if (stop_.stop_requested() && !cancelled_) {
      cancelled_ = true;
      Terminate(now + kCancelGrace);
    } else if (!kill_at_ && now >= Deadline()) {
      timed_out_ = true;
      Terminate(now + kTimeoutGrace);
    }
    if (kill_at_ && now >= *kill_at_) child_.SignalGroup(SIGKILL);
  }

  void Terminate(SteadyClock::time_point kill_at) {
    child_.SignalGroup(SIGTERM);
    // A stopped process acts on SIGTERM only once it is continued.
    child_.SignalGroup(SIGCONT);
    kill_at_ = std::min(kill_at_.value_or(kill_at), kill_at);
  }

  milliseconds NextWait() const {
    const auto next = kill_at_.value_or(Deadline());
    const auto left = std::chrono::ceil<milliseconds>(next - SteadyClock::now());
    const auto wait = std::clamp(left, milliseconds(1), milliseconds(60'000));
    return child_.pidfd() >= 0 ? wait : std::min(wait, kNoPidfdPoll);
  }

  /// One poll: writes input, reads output; true when something was read. An fd of -1 is ignored by poll.
  bool Exchange(milliseconds wait, bool watch_child) {
    pollfd fds[] = {{child_.output.get(), POLLIN, 0},
                    {child_.error_output.get(), POLLIN, 0},
                    {child_.input.get(), POLLOUT, 0},
                    {watch_child ? child_.pidfd() : -1, POLLIN, 0},
                    {cancelled_ ? -1 : event_.fd(), POLLIN, 0}};
    if (::poll(fds, std::size(fds), static_cast<int>(wait.count())) <= 0) return false;
    bool read = false;
    if (fds[0].revents != 0) read |= ReadInto(child_.output, output_);
    if (fds[1].revents != 0) read |= ReadInto(child_.error_output, error_output_);
    if (fds[2].revents != 0) WriteInput();
    return read;
  }

  /// Reads what is there, at most one buffer; closes the pipe at its end.
  bool ReadInto(UniqueFd& fd, CappedText& text) {
    const ssize_t n = ::read(fd.get(), buffer_, sizeof(buffer_));
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) return false;
    if (n <= 0) {
      fd.Reset();
      return false;
    }
    const std::string_view bytes(buffer_, static_cast<size_t>(n));
    text.Append(bytes);
    if (spec_.on_output) spec_.on_output(bytes);
    return true;
  }

  void WriteInput() {
    const ssize_t n = ::write(child_.input.get(), input_.data(), input_.size());
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) return;
    if (n > 0) input_.remove_prefix(static_cast<size_t>(n));
    if (n < 0 || input_.empty()) child_.input.Reset();
  }

  /// Reads what is left in the pipes. A descendant outside the group may hold them open, so it is bounded.
  void Drain() {
    child_.input.Reset();
    const auto until = SteadyClock::now() + kDrainLimit;
    while ((child_.output.valid() || child_.error_output.valid()) && SteadyClock::now() < until) {
      if (!Exchange(milliseconds(20), false) && cancelled_) return;
    }
  }

  ProcessResult Finish(int status) {
    ProcessResult result;
    result.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    result.exit_code = WIFSIGNALED(status) ? 128 + result.signal : WEXITSTATUS(status);
    result.timed_out = timed_out_;
    result.truncated = output_.truncated() || error_output_.truncated();
    result.output = output_.Take();
    result.error_output = error_output_.Take();
    result.elapsed = std::chrono::duration_cast<milliseconds>(SteadyClock::now() - started_);
    return result;
  }

  const ProcessSpec& spec_;
  Child& child_;
  std::stop_token stop_;
  StopEvent event_;
  SteadyClock::time_point started_;
  std::optional<SteadyClock::time_point> kill_at_;
  bool cancelled_ = false;
  bool timed_out_ = false;
  CappedText output_;
  CappedText error_output_;
  std::string_view input_;
  char buffer_[65'536];
};

}  // namespace

Result<ProcessResult> RunProcess(const ProcessSpec& spec, std::stop_token stop) {
  if (stop.stop_requested()) return Fail(ErrorCode::kCancelled, "stopped before the program was started");
  YBIS_ASSIGN(auto child, Start(spec));
  return Conversation(spec, *child, std::move(stop)).Run();
}

}  // namespace ybis
