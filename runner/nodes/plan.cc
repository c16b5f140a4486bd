#include "runner/nodes/plan.h"

#include <nlohmann/json.hpp>
#include <set>

#include "base/json.h"

namespace ybis::runner {
namespace {

using nlohmann::json;

bool LeavesTheTree(const std::string& path) {
  return path.starts_with('/') || path == ".." || path.starts_with("../") || path.ends_with("/..") ||
         path.find("/../") != std::string::npos || path == ".git" || path.starts_with(".git/");
}

/// A file of the repository with the same name in another folder: most invented paths are near misses.
std::string NearestHint(const std::string& path, const std::vector<std::string>& files) {
  const std::string name = path.substr(path.rfind('/') + 1);
  for (const std::string& file : files) {
    if (file.substr(file.rfind('/') + 1) == name) return fmt::format(" (there is {})", file);
  }
  return {};
}

std::string PathProblem(const std::string& path, const std::string& action, bool exists,
                        const std::vector<std::string>& files) {
  if (LeavesTheTree(path)) return fmt::format("{} is not a path inside the repository", path);
  if (action == "create" && exists) return fmt::format("{} exists already: its action is modify", path);
  if (action == "create") return {};
  if (!exists)
    return fmt::format("{} does not exist, so it cannot be {}{}", path,
                       action == "delete" ? "deleted" : "modified", NearestHint(path, files));
  return {};
}

}  // namespace

std::string CheckPlan(const json& answer, const std::vector<std::string>& files,
                      const std::function<bool(const std::string&)>& exists, json& plan) {
  ObjectReader reader(answer, "answer");
  plan = {{"summary", reader.RequiredString("summary")},
          {"steps", reader.Strings("steps")},
          {"files", json::array()}};
  std::set<std::string> seen;
  const json* listed = reader.Array("files");
  for (size_t i = 0; listed != nullptr && i < listed->size(); ++i) {
    ObjectReader file((*listed)[i], fmt::format("answer.files[{}]", i));
    const std::string path = file.RequiredString("path");
    const std::string action = file.Choice("action", "", {"create", "modify", "delete"});
    const std::string reason = file.String("reason");
    reader.Adopt(file.Finish(false));
    if (!seen.insert(path).second) reader.Problem(fmt::format("{}: is named twice", path));
    const std::string problem = PathProblem(path, action, exists(path), files);
    if (!problem.empty()) reader.Problem(fmt::format("answer.files[{}].path: {}", i, problem));
    plan["files"].push_back({{"path", path}, {"action", action}, {"reason", reason}});
  }
  if (plan["files"].empty()) reader.Problem("answer.files: names no file");
  const Status status = reader.Finish(false);
  return status ? std::string() : status.error().message;
}

}  // namespace ybis::runner
