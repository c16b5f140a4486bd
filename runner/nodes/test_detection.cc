#include "runner/nodes/test_detection.h"

#include <re2/re2.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>

#include "base/json.h"

namespace ybis::runner {
namespace {

struct Repository {
  const std::vector<std::string>& paths;
  const std::function<bool(const std::string&)>& has;
  const std::function<std::string(const std::string&)>& read;

  bool Has(const std::string& path) const { return has(path); }
  bool Any(const std::function<bool(std::string_view)>& test) const {
    return std::any_of(paths.begin(), paths.end(), test);
  }
  bool Mentions(const std::string& path, std::string_view text) const {
    return Has(path) && read(path).find(text) != std::string::npos;
  }
};

std::string_view BaseName(std::string_view path) { return path.substr(path.rfind('/') + 1); }

bool IsPythonTest(std::string_view path) {
  const std::string_view name = BaseName(path);
  return name.ends_with(".py") && (name.starts_with("test_") || name.ends_with("_test.py"));
}

void Pytest(const Repository& repo, std::vector<Check>& out) {
  if (!repo.Any(IsPythonTest) && !repo.Has("pytest.ini") && !repo.Mentions("pyproject.toml", "[tool.pytest"))
    return;
  out.push_back({"pytest", {"python3", "-m", "pytest", "-q", "-p", "no:cacheprovider"}, {}});
}

void Ctest(const Repository& repo, std::vector<Check>& out) {
  if (!repo.Mentions("CMakeLists.txt", "enable_testing") &&
      !repo.Mentions("CMakeLists.txt", "include(CTest)"))
    return;
  out.push_back(
      {"ctest",
       {"ctest", "--test-dir", ".ybis-build", "--output-on-failure"},
       {{"cmake", "-S", ".", "-B", ".ybis-build"}, {"cmake", "--build", ".ybis-build", "-j", "2"}}});
}

void Make(const Repository& repo, std::vector<Check>& out) {
  for (const char* file : {"GNUmakefile", "makefile", "Makefile"}) {
    if (!repo.Has(file)) continue;
    static const RE2 target(R"((?m)^(test|check)\s*:(?:[^=]|$))");
    std::string name;
    if (RE2::PartialMatch(repo.read(file), target, &name))
      out.push_back({"make " + name, {"make", name}, {}});
    return;
  }
}

void Npm(const Repository& repo, std::vector<Check>& out) {
  if (!repo.Has("package.json")) return;
  const auto package = ParseJson(repo.read("package.json"), "package.json");
  if (!package || !package->is_object()) return;
  const auto scripts = package->find("scripts");
  if (scripts == package->end() || !scripts->is_object()) return;
  const auto test = scripts->find("test");
  if (test == scripts->end() || !test->is_string()) return;
  if (test->get<std::string>().find("no test specified") != std::string::npos) return;
  out.push_back({"npm test", {"npm", "test", "--silent"}, {}});
}

void Go(const Repository& repo, std::vector<Check>& out) {
  if (repo.Has("go.mod")) out.push_back({"go test", {"go", "test", "./..."}, {}});
}

void Cargo(const Repository& repo, std::vector<Check>& out) {
  if (repo.Has("Cargo.toml")) out.push_back({"cargo test", {"cargo", "test", "--quiet"}, {}});
}

void Ruff(const Repository& repo, std::vector<Check>& out) {
  if (!repo.Has("ruff.toml") && !repo.Has(".ruff.toml") && !repo.Mentions("pyproject.toml", "[tool.ruff"))
    return;
  out.push_back({"ruff", {"ruff", "check", "--no-cache", "."}, {}});
}

}  // namespace

std::vector<Check> DetectChecks(const std::vector<std::string>& paths,
                                const std::function<bool(const std::string&)>& has,
                                const std::function<std::string(const std::string&)>& read) {
  const Repository repo{paths, has, read};
  std::vector<Check> checks;
  for (const auto& detect : {Pytest, Ctest, Make, Npm, Go, Cargo, Ruff}) detect(repo, checks);
  return checks;
}

}  // namespace ybis::runner
