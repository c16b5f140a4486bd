#pragma once
// Edits of files as a model answers them, and their JSON form (configs/schemas/edits.schema.json).
#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"

namespace ybis::runner {

/// Replaces text that stands in the file `occurrences` times (each of them).
struct SearchReplace {
  std::string path;
  std::string search;
  std::string replace;
  int occurrences = 1;
};

/// Writes the whole file, new or not.
struct WholeFile {
  std::string path;
  std::string content;
};

struct DeleteFile {
  std::string path;
};

/// Moves a file; `to` must not exist.
struct RenameFile {
  std::string from;
  std::string to;
};

/// A unified diff (git's form or plain), of any number of files.
struct UnifiedDiff {
  std::string text;
};

using Edit = std::variant<SearchReplace, WholeFile, DeleteFile, RenameFile, UnifiedDiff>;

struct EditLimits {
  size_t max_edits = 500;
  size_t max_files = 1000;                    ///< touched by the whole set, or named by its diffs
  size_t max_file_bytes = 10 * 1024 * 1024;   ///< of a file before and after
  size_t max_total_bytes = 64 * 1024 * 1024;  ///< of all edits together, and of all files held in memory
};

/// Reads `{"edits": [{"op": "search_replace" | "write" | "delete" | "rename" | "diff", …}]}`. Errors name the
/// place
/// ("edits[2].path: is missing"), all of them at once.
Result<std::vector<Edit>> ParseEditsText(std::string_view json, const EditLimits& limits = {});
Result<std::vector<Edit>> ParseEdits(const nlohmann::json& value, const EditLimits& limits = {});

/// "sha256:…" of the normalised edits: equal for equal sets, whatever the spacing of their JSON was.
std::string PatchId(std::span<const Edit> edits);

}  // namespace ybis::runner
