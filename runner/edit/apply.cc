#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/log.h"
#include "runner/edit/beneath.h"
#include "runner/edit/engine.h"

#include <nlohmann/json.hpp>

namespace ybis::runner {
namespace {

mode_t ModeOf(mode_t mode, bool executable) {
  // Who may read it may run it.
  return executable ? mode | ((mode & 0444) >> 2) : mode & ~static_cast<mode_t>(0111);
}

/// One file of the plan and the permission bits that it had.
struct Step {
  const PlannedFile* file;
  mode_t mode = 0644;
};

/// Finds every file as the plan saw it.
Result<std::vector<Step>> CheckUnchanged(const Beneath& files, const EditPlan& plan, size_t max_bytes) {
  std::vector<Step> steps;
  for (const PlannedFile& file : plan.files) {
    auto now = files.Read(file.path, max_bytes);
    // The way to a new file may lead over a file that the plan deletes first.
    if (!now && !file.before && now.error().code == ErrorCode::kInvalid) now = std::optional<FileState>();
    if (!now) return FailIn(file.path, now.error());
    const bool same =
        now->has_value() == file.before.has_value() &&
        (!file.before || ((*now)->content == *file.before && (*now)->executable() == file.executable_before));
    if (!same) {
      return Fail(ErrorCode::kConflict,
                  fmt::format("{}: changed since the edits were checked; plan them again", file.path));
    }
    steps.push_back({&file, *now ? (*now)->mode : 0644});
  }
  // Deletions first: a file may make place for a folder.
  std::stable_partition(steps.begin(), steps.end(), [](const Step& step) { return !step.file->after; });
  return steps;
}

Status Do(const Beneath& files, const Step& step) {
  const PlannedFile& file = *step.file;
  if (!file.after) return files.Remove(file.path);
  return files.Write(file.path, {*file.after, ModeOf(step.mode, file.executable)});
}

void Undo(const Beneath& files, const Step& step) {
  const PlannedFile& file = *step.file;
  const Status undone =
      file.before ? files.Write(file.path, {*file.before, step.mode}) : files.Remove(file.path);
  if (!undone)
    log::Error("an edit could not be put back", {{"path", file.path}, {"error", undone.error().message}});
}

FileChange ChangeOf(const PlannedFile& file) {
  using Kind = FileChange::Kind;
  return {.path = file.path,
          .kind = !file.after ? Kind::kDeleted : (file.before ? Kind::kModified : Kind::kCreated),
          .bytes = file.after ? file.after->size() : 0};
}

}  // namespace

Result<std::vector<FileChange>> EditEngine::Apply(const EditPlan& plan) const {
  if (!plan.misses.empty())
    return Fail(ErrorCode::kInvalid, "the edits do not apply: " + Describe(plan.misses));
  const Beneath files(worktree_);
  YBIS_ASSIGN(const auto steps, CheckUnchanged(files, plan, limits_.max_file_bytes));
  for (size_t i = 0; i < steps.size(); ++i) {
    const Status done = Do(files, steps[i]);
    if (done) continue;
    for (size_t j = i; j-- > 0;) Undo(files, steps[j]);
    return FailIn(fmt::format("write {} (nothing was changed)", steps[i].file->path), done.error());
  }
  std::vector<FileChange> changes;
  for (const PlannedFile& file : plan.files) changes.push_back(ChangeOf(file));
  return changes;
}

std::string Describe(std::span<const EditMiss> misses) {
  constexpr size_t kMaxText = 16 * 1024;
  constexpr size_t kMaxPart = 10 * 1024;
  std::string text;
  for (size_t i = 0; i < misses.size(); ++i) {
    const EditMiss& miss = misses[i];
    std::string one = fmt::format("edits[{}]{}{}: {}\n", miss.index, miss.path.empty() ? "" : " ",
                                  miss.path.substr(0, 300), miss.reason.substr(0, 1000));
    if (!miss.hint.empty()) one += miss.hint.substr(0, kMaxPart) + (miss.hint.ends_with('\n') ? "" : "\n");
    if (text.size() + one.size() > kMaxText) {
      return text + fmt::format("… and {} more edits do not fit\n", misses.size() - i);
    }
    text += one;
  }
  return text;
}

}  // namespace ybis::runner
