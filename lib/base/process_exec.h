#pragma once
// Part of process.cc: the child's side, from fork to exec. Async-signal-safe calls only, since the parent has
// threads.
#include <optional>
#include <string>
#include <vector>

#include "base/process.h"

namespace ybis::process_internal {

/// Everything the child touches between fork and exec, made before fork so that it allocates nothing there.
class ExecImage {
 public:
  explicit ExecImage(const ProcessSpec& spec);
  ExecImage(const ExecImage&) = delete;
  ExecImage& operator=(const ExecImage&) = delete;

  const char* directory() const { return directory_.empty() ? nullptr : directory_.c_str(); }
  /// Tries each place of the program; gives the errno to report. Async-signal-safe.
  int Exec() const;

 private:
  std::string directory_;
  std::vector<std::string> candidates_;
  std::vector<std::string> argv_text_;
  std::vector<std::string> env_text_;
  std::vector<char*> argv_;
  std::vector<char*> env_;
};

/// The child's ends of its pipes.
struct ChildStreams {
  int input;
  int output;
  int error_output;
  int report;         ///< takes a StartFailure; closes by exec
  int lifeline = -1;  ///< contained only: signal numbers to pass on; its end means kill everything
  int status = -1;    ///< contained only: takes the wait status of the program
};

/// Instead of a wait status: processes live on that could not be killed.
constexpr int kNotAllKilled = -1;

enum class Step : int { kStreams, kDirectory, kPrepare, kExec, kSupervise };

/// What a child that could not become the program writes to its parent.
struct StartFailure {
  Step step;
  int error;
};

Status CheckSpec(const ProcessSpec& spec);
Unexpected DescribeStartFailure(const ProcessSpec& spec, StartFailure failure);

[[noreturn]] void ReportAndExit(int report, Step step, int error);
[[noreturn]] void BecomeProgram(const ProcessSpec& spec, const ExecImage& image, const ChildStreams& streams);
/// Starts the program as a child of this process and stays until it and all its descendants are gone.
[[noreturn]] void SuperviseProgram(const ProcessSpec& spec, const ExecImage& image,
                                   const ChildStreams& streams);

}  // namespace ybis::process_internal
