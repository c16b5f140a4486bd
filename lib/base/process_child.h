#pragma once
// Part of process.cc: a started child and the parent's ends of its pipes.
#include <sys/types.h>

#include <memory>
#include <optional>

#include "base/process.h"
#include "base/unique_fd.h"

namespace ybis::process_internal {

/// The running child, or the supervisor of a contained one. Kills and reaps what is left when it goes. Not
/// thread-safe.
class Child {
 public:
  static Result<std::unique_ptr<Child>> Start(const ProcessSpec& spec);
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  pid_t pid() const { return pid_; }
  /// Readable when it has ended; -1 where the kernel has no such thing.
  int pidfd() const { return pidfd_.get(); }
  /// Asks the program's group to end.
  void Terminate();
  void Kill();
  /// Ends a supervisor that does not act on Kill: what it runs may have stopped it. Those that it watched
  /// over are nobody's then.
  void KillSupervisor() const;
  /// Whether it has ended; it stays a zombie, so that its group's number cannot be taken by another.
  bool Ended() const;
  /// Kills what is left and gives the program's wait status, or kNotAllKilled; nullopt when its supervisor
  /// was killed.
  std::optional<int> Reap();

  UniqueFd input;
  UniqueFd output;
  UniqueFd error_output;

 private:
  Child() = default;
  void SignalGroup(int number) const;
  void PassOn(int number);

  pid_t pid_ = -1;
  UniqueFd pidfd_;
  bool contained_ = false;
  UniqueFd lifeline_;
  UniqueFd status_;
};

}  // namespace ybis::process_internal
