#include "cli/local/folders.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

namespace ybis::cli {
namespace {

namespace fs = std::filesystem;

/// `variable`, else the XDG variable's folder, else `fallback` below the home.
fs::path Choose(const Environment& environment, const std::string& variable, const std::string& xdg,
                const fs::path& fallback) {
  if (const std::string chosen = ValueOf(environment, variable); !chosen.empty()) return fs::absolute(chosen);
  const std::string base = ValueOf(environment, xdg);
  if (base.starts_with('/')) return fs::path(base) / "ybis";
  return fallback;
}

Status MakeFolder(const fs::path& folder, fs::perms mode) {
  std::error_code error;
  const bool made = fs::create_directories(folder, error);
  if (!error && made) fs::permissions(folder, mode, error);
  if (!error) return {};
  return Fail(ErrorCode::kDenied, fmt::format("cannot make {}: {}; set YBIS_DATA_DIR to a folder of yours",
                                              folder.string(), error.message()));
}

}  // namespace

Environment ThisEnvironment() {
  Environment out;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string text = *entry;
    const size_t equals = text.find('=');
    if (equals != std::string::npos) out[text.substr(0, equals)] = text.substr(equals + 1);
  }
  return out;
}

std::string ValueOf(const Environment& environment, const std::string& name) {
  const auto it = environment.find(name);
  return it == environment.end() ? std::string() : it->second;
}

Folders FoldersOf(const Environment& environment, bool root) {
  const std::string home_text = ValueOf(environment, "HOME");
  const fs::path home = home_text.empty() ? fs::path("/") : fs::path(home_text);
  return {Choose(environment, "YBIS_DATA_DIR", "XDG_DATA_HOME",
                 root ? fs::path("/var/lib/ybis") : home / ".local/share/ybis"),
          Choose(environment, "YBIS_CONFIG_DIR", "XDG_CONFIG_HOME", home / ".config/ybis")};
}

Status PrepareData(const Folders& folders) {
  constexpr fs::perms kMine = fs::perms::owner_all;
  const bool root = ::geteuid() == 0;
  YBIS_TRY(MakeFolder(folders.data, root ? kMine | fs::perms::group_exec | fs::perms::others_exec : kMine));
  YBIS_TRY(MakeFolder(folders.data / "runs", kMine));
  return MakeFolder(folders.Sockets(), kMine);
}

}  // namespace ybis::cli
