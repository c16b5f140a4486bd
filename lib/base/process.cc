#include "base/process.h"

#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "base/process_child.h"
#include "base/process_exec.h"
#include "base/unique_fd.h"

namespace ybis {
namespace {

using namespace process_internal;

using SteadyClock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// From SIGTERM to SIGKILL, after the deadline and after a stop request.
constexpr milliseconds kTimeoutGrace{2'000};
constexpr milliseconds kSupervisorGrace{5'000};  // for it to kill and reap a whole tree
// How long what the program left in its pipes is read after everything has been killed.
constexpr milliseconds kDrainLimit{250};
constexpr milliseconds kInspectPeriod{200};
// How often the child is looked at where the kernel has no pidfd_open.
constexpr milliseconds kNoPidfdPoll{10};
// A longer deadline is taken as this one, so that adding it to the time of day cannot overflow.
constexpr milliseconds kMaxTimeout = std::chrono::hours(24 * 365);

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
    const auto status = child_.Reap();
    Drain();
    if (cancelled_) return Fail(ErrorCode::kCancelled, fmt::format("{}: stopped", spec_.argv.front()));
    if (status == kNotAllKilled) {
      return Fail(ErrorCode::kInternal,
                  fmt::format("{}: not everything that it started could be killed", spec_.argv.front()));
    }
    if (!status && timed_out_) return Finish(SIGKILL);
    if (!status) {
      return Fail(ErrorCode::kInternal, fmt::format("{}: its supervisor was killed", spec_.argv.front()));
    }
    return Finish(*status);
  }

 private:
  SteadyClock::time_point Deadline() const { return started_ + std::min(spec_.timeout, kMaxTimeout); }

  /// Sends what the clock and the stop token call for: SIGTERM first, SIGKILL after the grace.
  void Police() {
    const auto now = SteadyClock::now();
    if (stop_.stop_requested() && !cancelled_) {
      cancelled_ = true;
      Terminate(now + spec_.cancel_grace);
    } else if (!kill_at_ && now >= Deadline()) {
      timed_out_ = true;
      Terminate(now + kTimeoutGrace);
    }
    Inspect(now);
    if (kill_at_ && now >= *kill_at_) child_.Kill();
    if (kill_at_ && now >= *kill_at_ + kSupervisorGrace) child_.KillSupervisor();
  }

  void Inspect(SteadyClock::time_point now) {
    if (!spec_.inspect || now < next_inspection_ || !stopped_for_.empty()) return;
    stopped_for_ = spec_.inspect(child_.pid());
    next_inspection_ = now + kInspectPeriod;
    if (!stopped_for_.empty()) kill_at_ = now;
  }

  void Terminate(SteadyClock::time_point kill_at) {
    child_.Terminate();
    kill_at_ = std::min(kill_at_.value_or(kill_at), kill_at);
  }

  milliseconds NextWait() const {
    auto next = kill_at_.value_or(Deadline());
    if (spec_.inspect && stopped_for_.empty()) next = std::min(next, next_inspection_);
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
    result.stopped_for = std::move(stopped_for_);
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
  SteadyClock::time_point next_inspection_{};
  std::string stopped_for_;
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
  YBIS_ASSIGN(auto child, Child::Start(spec));
  return Conversation(spec, *child, std::move(stop)).Run();
}

}  // namespace ybis
