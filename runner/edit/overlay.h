#pragma once
// The worktree as it would be after the edits so far; nothing is written.
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "runner/edit/beneath.h"
#include "runner/edit/edit.h"
#include "runner/edit/engine.h"

namespace ybis::runner {

/// Reads files at first need and keeps both contents of each. Not thread-safe.
class Overlay {
 public:
  Overlay(const Beneath& files, const EditLimits& limits) : files_(files), limits_(limits) {}

  /// The file as it is now; nullopt = there is none. kInvalid says why its path or kind is refused; kTooLarge
  /// when the whole set passes a limit.
  Result<std::optional<FileState>> Get(const std::string& path);
  /// kInvalid when the content is not text or too long.
  Status Set(const std::string& path, std::optional<FileState> state);

  /// Every file that differs from the disk. kInvalid when one file lies below another.
  Result<std::vector<PlannedFile>> Changes() const;

 private:
  struct Entry {
    std::optional<FileState> before;
    std::optional<FileState> after;
  };

  Result<Entry*> Load(const std::string& path);
  bool LiesBelowDeleted(const std::string& path) const;
  Status CheckTree(const std::string& path) const;

  const Beneath& files_;
  const EditLimits& limits_;
  std::map<std::string, Entry> entries_;
  size_t bytes_ = 0;
};

}  // namespace ybis::runner
