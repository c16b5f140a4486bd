#pragma once
// One machine as a user has it: the built programs, a data folder of the test's own, repositories.
#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "base/process.h"
#include "tests/support/temp_dir.h"

namespace ybis::testing {

/// A program that goes on in the background; killed hard when it goes out of scope.
class Background {
 public:
  Background(const std::vector<std::string>& argv, const std::map<std::string, std::string>& env,
             const std::filesystem::path& log);
  ~Background();
  Background(const Background&) = delete;
  Background& operator=(const Background&) = delete;

  pid_t pid() const { return pid_; }
  void Signal(int number) const;
  /// Its exit code as a shell counts, or -1 when it has not ended by then.
  int Wait(std::chrono::milliseconds limit);

 private:
  pid_t pid_ = -1;
};

class Machine {
 public:
  Machine();
  /// Stops the database.
  ~Machine();
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  /// Runs `ybis ARGUMENTS` to its end.
  ProcessResult Ybis(const std::vector<std::string>& arguments,
                     std::chrono::milliseconds timeout = std::chrono::minutes(3)) const;
  std::vector<std::string> Command(const std::vector<std::string>& arguments) const;
  /// A worker in the background that logs to worker.log.
  std::vector<std::string> Worker() const;

  /// The address of the private database, which must have been made.
  std::string DatabaseUrl() const;

  /// A repository with one commit, from examples/repositories; returns its folder.
  std::string Repository(const std::string& example) const;
  std::string Git(const std::string& repository, const std::vector<std::string>& arguments) const;

  /// The delivered branches of a repository.
  std::vector<std::string> Branches(const std::string& repository) const;

  /// The task as `ybis task status -o json` gives it.
  nlohmann::json Task(const std::string& name) const;
  std::string Phase(const std::string& name) const;
  /// Waits until the task's newest run is in the phase; false when it took too long.
  bool WaitPhase(const std::string& name, const std::string& phase) const;
  /// Waits until the run stands at the node.
  bool WaitNode(const std::string& name, const std::string& node) const;
  /// The living ybis-runner of a run; 0 when there is none.
  pid_t RunnerOf(const std::string& run_id) const;
  std::string Events(const std::string& name) const;

  /// Sets a variable of the environment that later commands get.
  void Set(const std::string& name, const std::string& value) { env_[name] = value; }
  const std::map<std::string, std::string>& env() const { return env_; }
  std::filesystem::path path() const { return dir_.path(); }

 private:
  TempDir dir_;
  std::map<std::string, std::string> env_;
};

std::string Example(const std::string& task);
/// A process' arguments, each with a NUL after it; empty when there is no such process.
std::string CommandLine(pid_t pid);

}  // namespace ybis::testing
