#include "tests/runner/engine/disk_server.h"

#include <cstdio>
#include <sstream>
#include <stdexcept>

namespace ybis::runner {
namespace {

std::string Shell(const std::string& command) {
  const std::string quiet =
      "export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_NAME=t GIT_AUTHOR_EMAIL=t@t "
      "GIT_COMMITTER_NAME=t GIT_COMMITTER_EMAIL=t@t GIT_AUTHOR_DATE='2026-01-01T00:00:00Z' "
      "GIT_COMMITTER_DATE='2026-01-01T00:00:00Z'; " +
      command + " 2>/dev/null";
  FILE* pipe = popen(quiet.c_str(), "r");
  if (pipe == nullptr) throw std::runtime_error("popen failed");
  std::string out;
  char buffer[4096];
  for (size_t got = 0; (got = fread(buffer, 1, sizeof(buffer), pipe)) > 0;) out.append(buffer, got);
  pclose(pipe);
  while (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

}  // namespace

DiskServer::DiskServer(const std::vector<std::pair<std::string, std::string>>& files) {
  for (const auto& [path, content] : files) folder_.Write("work/" + path, content);
  const std::string work = (folder_.path() / "work").string();
  Shell("cd " + work +
        " && git init -q -b main . && git add -A && git commit -q --allow-empty -m first && git clone -q "
        "--bare . " +
        bare() + " && git -C " + bare() +
        " config uploadpack.allowAnySHA1InWant true && git remote add origin " + bare());
  if (Branch("main").empty()) throw std::runtime_error("the git server could not be made");
}

std::string DiskServer::Git(const std::string& arguments) const {
  return Shell("git -C " + bare() + " " + arguments);
}

std::string DiskServer::Branch(const std::string& name) const {
  return Git("rev-parse --verify -q 'refs/heads/" + name + "'");
}

std::string DiskServer::Show(const std::string& revision, const std::string& path) const {
  return Git("show '" + revision + ":" + path + "'");
}

std::vector<std::string> DiskServer::Branches() const {
  std::istringstream lines(Git("for-each-ref --format='%(refname:short)' refs/heads"));
  std::vector<std::string> out;
  for (std::string line; std::getline(lines, line);) out.push_back(line);
  return out;
}

void DiskServer::Commit(const std::string& path, const std::string& content) {
  folder_.Write("work/" + path, content);
  Shell("cd " + (folder_.path() / "work").string() +
        " && git add -A && git commit -q -m more && git push -q origin main");
}

}  // namespace ybis::runner
