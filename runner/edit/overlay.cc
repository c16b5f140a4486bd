#include "runner/edit/overlay.h"

#include <fmt/format.h>

#include "runner/edit/path_rules.h"

namespace ybis::runner {
namespace {

Status CheckText(std::string_view content, const EditLimits& limits) {
  if (content.size() > limits.max_file_bytes) {
    return Fail(ErrorCode::kInvalid, fmt::format("would have {} bytes, more than the {} allowed",
                                                 content.size(), limits.max_file_bytes));
  }
  if (content.find('\0') != std::string_view::npos) {
    return Fail(ErrorCode::kInvalid, "holds NUL bytes: binary files cannot be edited");
  }
  return {};
}

}  // namespace

bool Overlay::LiesBelowDeleted(const std::string& path) const {
  for (size_t slash = path.find('/'); slash != std::string::npos; slash = path.find('/', slash + 1)) {
    const auto found = entries_.find(path.substr(0, slash));
    if (found != entries_.end() && found->second.before && !found->second.after) return true;
  }
  return false;
}

Result<Overlay::Entry*> Overlay::Load(const std::string& path) {
  if (const auto found = entries_.find(path); found != entries_.end()) return &found->second;
  YBIS_TRY(CheckEditPath(path));
  Entry entry;
  if (!LiesBelowDeleted(path)) {
    auto state = files_.Read(path, limits_.max_file_bytes);
    if (!state && state.error().code == ErrorCode::kTooLarge) {
      return Fail(ErrorCode::kInvalid, state.error().message);
    }
    if (!state) return Fail(state.error());
    entry.before = std::move(*state);
  }
  if (entry.before && entry.before->content.find('\0') != std::string::npos) {
    return Fail(ErrorCode::kInvalid, "holds NUL bytes: binary files cannot be edited");
  }
  bytes_ += entry.before ? 2 * entry.before->content.size() : 0;
  if (entries_.size() >= limits_.max_files) {
    return Fail(ErrorCode::kTooLarge,
                fmt::format("{}: the edits touch more than {} files", path, limits_.max_files));
  }
  if (bytes_ > 2 * limits_.max_total_bytes) {
    return Fail(ErrorCode::kTooLarge,
                fmt::format("{}: the files edited together pass {} bytes", path, limits_.max_total_bytes));
  }
  entry.after = entry.before;
  return &entries_.emplace(path, std::move(entry)).first->second;
}

Result<std::optional<FileState>> Overlay::Get(const std::string& path) {
  YBIS_ASSIGN(const Entry* entry, Load(path));
  return entry->after;
}

Status Overlay::Set(const std::string& path, std::optional<FileState> state) {
  YBIS_ASSIGN(Entry * entry, Load(path));
  if (state) YBIS_TRY(CheckText(state->content, limits_));
  if (state) bytes_ += state->content.size();
  if (entry->after) bytes_ -= std::min(bytes_, entry->after->content.size());
  if (bytes_ > 2 * limits_.max_total_bytes) {
    return Fail(ErrorCode::kTooLarge,
                fmt::format("{}: the files edited together pass {} bytes", path, limits_.max_total_bytes));
  }
  entry->after = std::move(state);
  return {};
}

Status Overlay::CheckTree(const std::string& path) const {
  for (size_t slash = path.find('/'); slash != std::string::npos; slash = path.find('/', slash + 1)) {
    const std::string above = path.substr(0, slash);
    const auto found = entries_.find(above);
    if (found == entries_.end() || !found->second.after) continue;
    return Fail(ErrorCode::kInvalid, fmt::format("{}: lies below {}, which is a file", path, above));
  }
  return {};
}

Result<std::vector<PlannedFile>> Overlay::Changes() const {
  std::vector<PlannedFile> files;
  for (const auto& [path, entry] : entries_) {
    const auto& [before, after] = entry;
    if (after) YBIS_TRY(CheckTree(path));
    const bool same = before.has_value() == after.has_value() &&
                      (!before || (before->content == after->content && before->mode == after->mode));
    if (same) continue;
    PlannedFile file{.path = path};
    if (before) file.before = before->content;
    if (after) file.after = after->content;
    file.executable_before = before && before->executable();
    file.executable = after && after->executable();
    files.push_back(std::move(file));
  }
  return files;
}

}  // namespace ybis::runner
