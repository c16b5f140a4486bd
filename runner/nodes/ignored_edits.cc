#include "runner/nodes/ignored_edits.h"

#include <fmt/format.h>

namespace ybis::runner {

Status MissIgnored(const git::Worktree& tree, EditPlan& plan, std::stop_token stop) {
  std::vector<std::string> written;
  std::map<std::string, size_t> edits;
  git::IgnoreFiles planned;
  for (const PlannedFile& file : plan.files) {
    if (file.path.substr(file.path.rfind('/') + 1) == ".gitignore") planned[file.path] = file.after;
    if (!file.after) continue;
    written.push_back(file.path);
    edits[file.path] = file.edit;
  }
  YBIS_ASSIGN(const auto ignored, tree.Ignored(written, planned, std::move(stop)));
  for (const git::IgnoredPath& one : ignored) {
    plan.misses.push_back(
        {.index = edits.at(one.path),
         .path = one.path,
         .reason = fmt::format("git ignores this file, so that the change would not hold it: {}", one.why),
         .hint = "edit another file, or take it out of the rule in .gitignore as well"});
  }
  return {};
}

}  // namespace ybis::runner
