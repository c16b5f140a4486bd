#include "base/process_exec.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace ybis::process_internal {
namespace {

constexpr const char* kDefaultPath = "/usr/local/bin:/usr/bin:/bin";

std::string Message(int error) { return std::generic_category().message(error); }

Unexpected FailErrno(std::string_view what, int error) {
  return Fail(ErrorCode::kInternal, fmt::format("{}: {}", what, Message(error)));
}

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

void ResetSignals() {
  // By the system call, for the library refuses the two signals that it keeps for itself, and a parent may
  // have ignored them.
  const unsigned long default_action[8] = {};
  for (int number = 1; number < NSIG; ++number) {
    ::syscall(SYS_rt_sigaction, number, default_action, nullptr, sizeof(unsigned long));
  }
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

}  // namespace

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

ExecImage::ExecImage(const ProcessSpec& spec) : directory_(spec.directory.string()), argv_text_(spec.argv) {
  candidates_ = Candidates(spec);
  for (const auto& [name, value] : spec.env) env_text_.push_back(name + "=" + value);
  for (auto& text : argv_text_) argv_.push_back(text.data());
  for (auto& text : env_text_) env_.push_back(text.data());
  argv_.push_back(nullptr);
  env_.push_back(nullptr);
}

int ExecImage::Exec() const {
  int error = ENOENT;
  for (const std::string& path : candidates_) {
    ::execve(path.c_str(), argv_.data(), env_.data());
    if (errno == EACCES) error = EACCES;
    if (errno != ENOENT && errno != ENOTDIR && errno != EACCES) return errno;
  }
  return error;
}

void ReportAndExit(int report, Step step, int error) {
  const StartFailure failure{step, error};
  [[maybe_unused]] const ssize_t n = ::write(report, &failure, sizeof(failure));
  ::_exit(127);
}

void BecomeProgram(const ProcessSpec& spec, const ExecImage& image, const ChildStreams& streams) {
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
    case Step::kSupervise:
      return FailErrno(fmt::format("start {}: its supervisor", program), failure.error);
    case Step::kExec:
      break;
  }
  const ErrorCode code = failure.error == ENOENT                             ? ErrorCode::kNotFound
                         : failure.error == EACCES || failure.error == EPERM ? ErrorCode::kDenied
                         : failure.error == E2BIG                            ? ErrorCode::kTooLarge
                                                                             : ErrorCode::kInternal;
  return Fail(code, fmt::format("start {}: {}", program, Message(failure.error)));
}

}  // namespace ybis::process_internal
