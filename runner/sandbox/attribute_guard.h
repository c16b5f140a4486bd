#pragma once
// Modes, owners and times of files: what Landlock has no rights for and a filter of numbers cannot judge.
#include <seccomp.h>

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace ybis::runner {

/// The system calls that it answers, by number: those that the filter must notify it of.
std::span<const int> GuardedCalls();

/// Stands in for a sandboxed command in those calls. It looks up itself what a call names, holds it, and does
/// what was asked when that lies below one of the roots: nothing that the command does meanwhile makes it
/// another file. A mode with setuid or setgid is for folders only, a change of owner that changes nothing
/// succeeds, and everything else is refused with EPERM. One thread, until it goes; make one for each command.
class AttributeGuard {
 public:
  static Result<std::unique_ptr<AttributeGuard>> Make(const std::vector<std::filesystem::path>& roots);
  ~AttributeGuard();
  AttributeGuard(const AttributeGuard&) = delete;
  AttributeGuard& operator=(const AttributeGuard&) = delete;

  /// In the command's process: hands over the listener of its filter. Gives 0 or errno. Async-signal-safe.
  int HandOver(int listener) const;

 private:
  AttributeGuard(std::vector<std::string> roots, UniqueFd own_end, UniqueFd command_end);
  void Serve() const;
  int Answer(int listener, const seccomp_notif& call) const;
  bool IsBelowARoot(int place) const;

  std::vector<std::string> roots_;
  UniqueFd own_end_;
  UniqueFd command_end_;
  std::jthread thread_;
};

}  // namespace ybis::runner
