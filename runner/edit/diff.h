#pragma once
// Reading unified diffs and applying their hunks to text.
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "runner/edit/search.h"

namespace ybis::runner {

struct DiffLine {
  char kind = ' ';  ///< ' ' context, '-' old, '+' new
  bool newline = true;
  std::string_view text;  ///< without kind and line end
};

struct Hunk {
  size_t old_start = 0;
  size_t old_count = 0;
  size_t new_count = 0;
  size_t line = 0;  ///< of its header in the diff, from 1
  std::vector<DiffLine> lines;
};

/// What a diff does to one file.
struct FileDiff {
  enum class Action { kModify, kCreate, kDelete, kRename };
  Action action = Action::kModify;
  std::string old_path;            ///< of kModify, kDelete and kRename
  std::string new_path;            ///< of kModify, kCreate and kRename
  std::optional<bool> executable;  ///< the mode that the diff sets, if it sets one
  std::vector<Hunk> hunks;
};

/// Reads git's and plain unified diffs. The text must outlive the result. kInvalid names the line of the
/// diff; symbolic links, submodules, copies and binary patches are refused.
Result<std::vector<FileDiff>> ParseDiff(std::string_view text);

/// What the search for hunks that do not stand where they say may still cost, all of a plan together.
struct SearchBudget {
  size_t left = 50'000'000;  ///< compared lines, long ones counted several times
};

/// Applies hunks in order: no fuzz; a hunk that does not stand where it says must stand at exactly one other
/// place after the one before it. Looking for that place spends the budget, and is a miss when it is spent.
tl::expected<std::string, SearchMiss> ApplyHunks(std::string_view content, const std::vector<Hunk>& hunks,
                                                 SearchBudget& budget);

}  // namespace ybis::runner
