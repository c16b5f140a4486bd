#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "runner/edit/diff.h"
#include "runner/edit/engine.h"
#include "runner/edit/overlay.h"
#include "runner/edit/path_rules.h"
#include "runner/edit/search.h"

namespace ybis::runner {
namespace {

/// The first file that a diff names, for the message that it is too long to be read.
std::string FirstName(std::string_view diff) {
  diff = diff.substr(0, 65'536);
  const size_t at = diff.starts_with("+++ ") ? 0 : diff.find("\n+++ ");
  if (at == std::string_view::npos) return "diff";
  diff.remove_prefix(at + (at == 0 ? 4 : 5));
  return std::string(diff.substr(0, std::min<size_t>(diff.find_first_of("\t\r\n"), 200)));
}

struct Measure {
  size_t bytes = 0;
  std::string name;
};

Measure MeasureEdit(const Edit& edit) {
  struct Visitor {
    Measure operator()(const SearchReplace& e) const { return {e.search.size() + e.replace.size(), e.path}; }
    Measure operator()(const WholeFile& e) const { return {e.content.size(), e.path}; }
    Measure operator()(const DeleteFile& e) const { return {0, e.path}; }
    Measure operator()(const RenameFile& e) const { return {0, e.to}; }
    Measure operator()(const UnifiedDiff& e) const { return {e.text.size(), FirstName(e.text)}; }
  };
  return std::visit(Visitor{}, edit);
}

/// Refuses a set over the limits before anything of it is looked at closely.
Status CheckSizes(std::span<const Edit> edits, const EditLimits& limits) {
  if (edits.size() > limits.max_edits) {
    return Fail(ErrorCode::kTooLarge,
                fmt::format("edits: {}, more than the {} allowed", edits.size(), limits.max_edits));
  }
  size_t total = 0;
  for (size_t i = 0; i < edits.size(); ++i) {
    const Measure measure = MeasureEdit(edits[i]);
    total += measure.bytes;
    const size_t limit =
        std::holds_alternative<UnifiedDiff>(edits[i]) ? limits.max_total_bytes : limits.max_file_bytes * 2;
    if (measure.bytes > limit || total > limits.max_total_bytes) {
      return Fail(
          ErrorCode::kTooLarge,
          fmt::format(
              "edits[{}] ({}): {} bytes pass the limit; a file may have {} bytes, all edits together {}", i,
              measure.name.substr(0, 200), measure.bytes, limits.max_file_bytes, limits.max_total_bytes));
    }
  }
  return {};
}

/// Applies edits to an overlay and collects what does not fit.
class Planner {
 public:
  Planner(const Beneath& files, const EditLimits& limits, std::stop_token stop)
      : overlay_(files, limits),
        max_file_bytes_(limits.max_file_bytes),
        max_files_(limits.max_files),
        stop_(std::move(stop)) {}

  Result<EditPlan> Run(std::span<const Edit> edits) {
    for (index_ = 0; index_ < edits.size(); ++index_) {
      YBIS_TRY(Stopped());
      YBIS_TRY(std::visit([this](const auto& edit) { return Take(edit); }, edits[index_]));
    }
    if (plan_.misses.empty()) {
      auto files = overlay_.Changes();
      if (files) plan_.files = std::move(*files);
      for (PlannedFile& file : plan_.files) file.edit = touched_.at(file.path);
      if (!files) Miss("", files.error().message);
    }
    plan_.patch_id = PatchId(edits);
    return std::move(plan_);
  }

 private:
  Status Stopped() const {
    if (stop_.stop_requested()) return Fail(ErrorCode::kCancelled, "checking the edits: stopped");
    return {};
  }

  void Miss(const std::string& path, std::string reason, std::string hint = {}) {
    plan_.misses.push_back({index_, path, std::move(reason), std::move(hint)});
  }

  /// What is wrong with the edit becomes a miss, what is wrong with the disk or the limits fails the plan.
  Status MissOrFail(const std::string& path, const Error& error) {
    if (error.code != ErrorCode::kInvalid) return FailIn(path.substr(0, 200), error);
    Miss(path, error.message);
    return {};
  }

  Status Set(const std::string& path, std::optional<FileState> state) {
    touched_[path] = index_;
    const Status set = overlay_.Set(path, std::move(state));
    return set ? set : MissOrFail(path, set.error());
  }

  /// The existing file, or nullopt after noting the miss.
  Result<std::optional<FileState>> Existing(const std::string& path) {
    auto state = overlay_.Get(path);
    if (!state) {
      YBIS_TRY(MissOrFail(path, state.error()));
      return std::nullopt;
    }
    if (!*state) Miss(path, "does not exist", "name an existing file, or use op write to make it");
    return std::move(*state);
  }

  /// False after noting the miss when something is there already.
  Result<bool> IsFree(const std::string& path) {
    const auto state = overlay_.Get(path);
    if (!state) {
      YBIS_TRY(MissOrFail(path, state.error()));
      return false;
    }
    if (*state) Miss(path, "exists already");
    return !state->has_value();
  }

  Status Take(const SearchReplace& edit) {
    YBIS_ASSIGN(auto state, Existing(edit.path));
    if (!state) return {};
    auto content =
        ReplaceExactly(state->content, edit.search, edit.replace, edit.occurrences, max_file_bytes_);
    if (!content) {
      Miss(edit.path, content.error().reason, content.error().hint);
      return {};
    }
    state->content = std::move(*content);
    return Set(edit.path, std::move(state));
  }

  Status Take(const WholeFile& edit) {
    auto state = overlay_.Get(edit.path);
    if (!state) return MissOrFail(edit.path, state.error());
    FileState file = state->value_or(FileState{});
    file.content = edit.content;
    return Set(edit.path, std::move(file));
  }

  Status Take(const DeleteFile& edit) {
    YBIS_ASSIGN(const auto state, Existing(edit.path));
    return state ? Set(edit.path, std::nullopt) : Status{};
  }

  Status Take(const RenameFile& edit) {
    YBIS_ASSIGN(auto state, Existing(edit.from));
    if (!state) return {};
    YBIS_ASSIGN(const bool free, IsFree(edit.to));
    if (!free) return {};
    YBIS_TRY(Set(edit.from, std::nullopt));
    return Set(edit.to, std::move(state));
  }

  /// All old contents are read before anything is removed or made, so that a diff may swap names.
  Status Take(const UnifiedDiff& edit) {
    const auto diffs = ParseDiff(edit.text);
    if (!diffs) return MissOrFail("", diffs.error());
    parts_ += diffs->size();
    if (parts_ > max_files_) {
      return Fail(ErrorCode::kTooLarge,
                  fmt::format("edits[{}] (diff): with {} files, more than the {} allowed", index_,
                              diffs->size(), max_files_));
    }
    std::vector<std::pair<std::string, FileState>> made;
    std::vector<std::string> removed;
    for (const FileDiff& diff : *diffs) {
      YBIS_TRY(Stopped());
      YBIS_ASSIGN(auto after, NewState(diff));
      if (!after) continue;
      if (diff.action == FileDiff::Action::kModify) {
        YBIS_TRY(Set(diff.new_path, std::move(after)));
        continue;
      }
      if (!diff.old_path.empty()) removed.push_back(diff.old_path);
      if (!diff.new_path.empty()) made.emplace_back(diff.new_path, std::move(*after));
    }
    for (const std::string& path : removed) YBIS_TRY(Set(path, std::nullopt));
    for (auto& [path, state] : made) {
      YBIS_ASSIGN(const bool free, IsFree(path));
      if (free) YBIS_TRY(Set(path, std::move(state)));
    }
    return {};
  }

  /// The file after one part of a diff; nullopt after noting the miss.
  Result<std::optional<FileState>> NewState(const FileDiff& diff) {
    FileState state;
    const std::string& path = diff.old_path.empty() ? diff.new_path : diff.old_path;
    if (diff.action != FileDiff::Action::kCreate) {
      YBIS_ASSIGN(auto before, Existing(path));
      if (!before) return std::nullopt;
      state = std::move(*before);
    }
    auto content = ApplyHunks(state.content, diff.hunks, search_);
    if (!content) {
      Miss(path, content.error().reason, content.error().hint);
      return std::nullopt;
    }
    if (diff.action == FileDiff::Action::kDelete && !content->empty()) {
      Miss(path, "the diff deletes the file but does not take away all of its lines", "use op delete");
      return std::nullopt;
    }
    state.content = std::move(*content);
    if (diff.executable) state.mode = *diff.executable ? state.mode | 0111 : state.mode & ~0111U;
    return state;
  }

  Overlay overlay_;
  size_t max_file_bytes_;
  size_t max_files_;
  std::stop_token stop_;
  SearchBudget search_;
  size_t parts_ = 0;  ///< of all diffs, whether they fit or not
  EditPlan plan_;
  size_t index_ = 0;
  std::map<std::string, size_t> touched_;
};

}  // namespace

Result<EditPlan> EditEngine::Plan(std::span<const Edit> edits, std::stop_token stop) const {
  YBIS_TRY(CheckSizes(edits, limits_));
  const Beneath files(worktree_);
  return Planner(files, limits_, std::move(stop)).Run(edits);
}

}  // namespace ybis::runner
