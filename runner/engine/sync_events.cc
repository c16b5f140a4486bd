#include "runner/engine/sync_events.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace ybis::runner {
namespace {

using nlohmann::json;

constexpr size_t kPathsAnEntry = 100;

Outcome<void> TellLeftOut(const json& paths, Journal& journal, const std::stop_token& stop) {
  for (size_t at = 0; at < paths.size(); at += kPathsAnEntry) {
    json part = json::array();
    for (size_t i = at; i < std::min(at + kPathsAnEntry, paths.size()); ++i) part.push_back(paths[i]);
    std::string message = fmt::format("{} did not come along: {} {}", part.size() == 1 ? "one" : "some",
                                      part[0].value("path", ""), part[0].value("why", ""));
    if (part.size() > 1) message += fmt::format(" (and {} more)", part.size() - 1);
    YBIS_PASS(journal.Event(fmt::format("left-out:{}", at), "WORKTREE_FILES_LEFT_OUT", message,
                            {{"paths", std::move(part)}}, stop));
  }
  return {};
}

}  // namespace

Outcome<void> TellSync(const json& sync, const std::string& commit, Journal& journal, std::stop_token stop) {
  if (!sync.is_object()) return {};
  const std::string root = sync.value("projectRoot", "");
  if (sync.contains("skipped")) {
    return journal.Event(
        "synced", "WORKTREE_SYNC_SKIPPED",
        fmt::format("no uncommitted files of {} came along: {}", root, sync.value("skipped", "")), sync,
        stop);
  }
  json fields = sync;
  fields.erase("leftOutPaths");
  fields["commit"] = commit;
  const auto count = [&](const char* name) { return sync.value(name, int64_t{0}); };
  std::string message = fmt::format("{} uncommitted {} of {} came along: {} new, {} changed, {} deleted",
                                    count("files"), count("files") == 1 ? "file" : "files", root,
                                    count("added"), count("modified"), count("deleted"));
  if (count("leftOut") > 0) message += fmt::format("; {} left out", count("leftOut"));
  YBIS_PASS(journal.Event("synced", "WORKTREE_FILES_SYNCED", message, fields, stop));
  return TellLeftOut(sync.value("leftOutPaths", json::array()), journal, stop);
}

}  // namespace ybis::runner
