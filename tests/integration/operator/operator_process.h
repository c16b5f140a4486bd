#pragma once
// The real ybis-operator as a child process.
#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/temp_dir.h"

namespace ybis::testing {

class OperatorProcess {
 public:
  /// Starts it for one namespace against KUBECONFIG and the database. Its probes answer on a free port of
  /// loopback.
  OperatorProcess(const std::string& ns, const std::string& database_url);
  ~OperatorProcess();
  OperatorProcess(const OperatorProcess&) = delete;
  OperatorProcess& operator=(const OperatorProcess&) = delete;

  /// The answer of its metrics port, or "" while there is none.
  std::string Get(const std::string& path) const;
  bool WaitReady(std::chrono::seconds limit) const;
  /// Sends the signal and waits; the exit code as a shell counts, none when it took longer.
  std::optional<int> End(int signal, std::chrono::seconds limit);
  /// The same without a signal: for one that ends by itself.
  std::optional<int> Wait(std::chrono::seconds limit);
  int64_t ResidentKiB() const;
  std::string Log() const;

 private:
  TempDir dir_;
  int port_ = 0;
  pid_t pid_ = -1;
};

}  // namespace ybis::testing
