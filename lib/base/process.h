#pragma once
// Running another program: explicit argv and environment (never a shell), a deadline, capped output, its
// whole process group killed at the end.
#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <stop_token>
#include <string>
#include <vector>

#include "base/result.h"

namespace ybis {

struct ProcessSpec {
  std::vector<std::string> argv;           ///< argv[0] is looked up on `env`'s PATH unless it holds a slash
  std::map<std::string, std::string> env;  ///< the whole environment; nothing is inherited
  std::filesystem::path directory;         ///< working directory; empty = the caller's
  std::string input;                       ///< standard input, then end of file
  std::chrono::milliseconds timeout{60'000};
  /// Between the SIGTERM of a stop request and SIGKILL.
  std::chrono::milliseconds cancel_grace{50};
  size_t max_output = 1024 * 1024;  ///< of each stream; the middle is cut, head and tail are kept
  /// Runs in the child after fork, before exec (async-signal-safe calls only); non-zero = errno to fail with.
  std::function<int()> before_exec;
  /// Called from the waiting thread with each chunk of standard output and error; for progress.
  std::function<void(std::string_view)> on_output;
  /// A supervisor process stands between: it also finds and kills what left the group (daemons, setsid), and
  /// kills everything at once when the caller dies.
  bool contain = false;
  /// Called about five times a second from the waiting thread with the number of the process that all others
  /// descend from. A non-empty answer kills everything without grace and becomes `stopped_for`.
  std::function<std::string(int pid)> inspect;
};

struct ProcessResult {
  int exit_code = -1;  ///< as a shell counts: 128 + signal when killed by one
  int signal = 0;
  bool timed_out = false;
  bool truncated = false;    ///< some output was cut out
  std::string stopped_for;   ///< what `inspect` answered, if it ended the run
  std::string output;        ///< standard output
  std::string error_output;  ///< standard error
  std::chrono::milliseconds elapsed{0};
};

/// Runs it to the end. An exit code other than 0 is a result, not an error; a program that cannot be started,
/// or a stop request (kCancelled, the group killed first), is an error; so is a contained one that could not
/// be killed with all that it started (kInternal). Thread-safe. No descriptor but 0-2 is inherited.
Result<ProcessResult> RunProcess(const ProcessSpec& spec, std::stop_token stop);

}  // namespace ybis
