#pragma once
// Which checks a repository brings with it.
#include <chrono>
#include <functional>
#include <string>
#include <vector>

namespace ybis::runner {

/// One command that must end with 0.
struct Check {
  std::string name;
  std::vector<std::string> argv;
  /// Commands that must succeed first (configure, build); the check fails with the first that does not.
  std::vector<std::vector<std::string>> before;
};

/// Looks at the paths of a repository, as many as are listed, and at the few files that tell (`has` and
/// `read` ask the repository itself; `read` returns "" for what is absent). Pure apart from these two. Finds
/// pytest, ctest, make test or check, npm test, go test, cargo test and ruff.
std::vector<Check> DetectChecks(const std::vector<std::string>& paths,
                                const std::function<bool(const std::string&)>& has,
                                const std::function<std::string(const std::string&)>& read);

}  // namespace ybis::runner
