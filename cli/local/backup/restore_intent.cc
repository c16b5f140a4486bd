#include "cli/local/backup/restore_intent.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <stdio.h>
#include <sys/stat.h>

#include <cerrno>
#include <nlohmann/json.hpp>
#include <system_error>

#include "base/file.h"
#include "base/json.h"
#include "cli/local/backup/backup_folder.h"
#include "cli/local/backup/backup_site.h"
#include "cli/local/backup/pack.h"

namespace ybis::cli {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char* kStaging = ".restore-";

Unexpected FailErrno(std::string_view what, const fs::path& path) {
  return Fail(ErrorCode::kInternal,
              fmt::format("{} {}: {}", what, path.string(), std::generic_category().message(errno)));
}

/// 0 when there is nothing.
uint64_t InodeOf(const fs::path& path) {
  struct stat info {};
  return ::lstat(path.c_str(), &info) == 0 ? info.st_ino : 0;
}

Status CheckSpace(const fs::path& folder, int64_t bytes) {
  std::error_code error;
  const auto space = fs::space(folder, error);
  if (error || static_cast<int64_t>(space.available) > bytes) return {};
  return Fail(ErrorCode::kExhausted, fmt::format("{}: {} bytes are free, the restore needs {}",
                                                 folder.string(), space.available, bytes));
}

/// What lies in the staging folder, and what of the component's own does not and so goes.
std::vector<RestoreMove> MovesOf(const fs::path& staging, const fs::path& base,
                                 const std::vector<std::string>& names, bool remove_others) {
  std::vector<RestoreMove> moves;
  for (const std::string& name : names) {
    const uint64_t inode = InodeOf(staging / name);
    if (inode != 0) {
      moves.push_back({staging / name, base / name, inode});
    } else if (remove_others && InodeOf(base / name) != 0) {
      moves.push_back({{}, base / name, 0});
    }
  }
  return moves;
}

std::vector<std::string> NamesIn(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) names.push_back(entry.path().filename());
  return names;
}

Status ApplyMove(const RestoreMove& move) {
  std::error_code error;
  if (move.staged.empty()) {
    fs::remove_all(move.target, error);
    return error ? Status(Fail(ErrorCode::kInternal,
                               fmt::format("remove {}: {}", move.target.string(), error.message())))
                 : Status();
  }
  const uint64_t there = InodeOf(move.target);
  if (there == move.inode) return {};
  fs::create_directories(move.target.parent_path(), error);
  // What was there lands in the staging folder and goes with it.
  const unsigned flags = there == 0 ? RENAME_NOREPLACE : RENAME_EXCHANGE;
  if (::renameat2(AT_FDCWD, move.staged.c_str(), AT_FDCWD, move.target.c_str(), flags) != 0)
    return FailErrno("move into place", move.target);
  return SyncPath(move.target.parent_path());
}

void RemoveStaging(const fs::path& folder) {
  std::error_code ignored;
  for (const std::string& name : NamesIn(folder)) {
    if (name.starts_with(kStaging)) fs::remove_all(folder / name, ignored);
  }
}

Result<RestoreIntent> ParseIntent(const json& body) {
  RestoreIntent intent;
  ObjectReader reader(body, "");
  intent.id = reader.RequiredString("id");
  intent.backup = reader.RequiredString("backup");
  intent.database = reader.Bool("database", false);
  intent.database_id = reader.String("databaseId");
  if (const json* moves = reader.Array("moves")) {
    for (const json& entry : *moves) {
      if (!entry.is_object()) return Fail(ErrorCode::kInvalid, "moves: must be objects");
      ObjectReader move(entry, "moves[]");
      intent.moves.push_back({move.String("staged"), move.RequiredString("target"),
                              static_cast<uint64_t>(move.Int("inode", 0, 0, INT64_MAX))});
      reader.Adopt(move.Finish());
    }
  }
  YBIS_TRY(reader.Finish());
  return intent;
}

}  // namespace

fs::path RestoreIntentFile(const Folders& folders) { return folders.data / "restore.json"; }
fs::path StagingInData(const Folders& folders, const std::string& id) {
  return folders.data / (kStaging + id);
}
fs::path StagingInConfig(const Folders& folders, const std::string& id) {
  return folders.config / (kStaging + id);
}

Result<std::vector<RestoreMove>> StageFiles(const CheckedBackup& backup, const std::string& component,
                                            const Folders& folders, const std::string& id,
                                            std::stop_token stop) {
  const control::BackupPart& part = *backup.manifest.Find(component);
  const bool configs = component == "configs";
  const fs::path staging = configs ? StagingInConfig(folders, id) : StagingInData(folders, id) / component;
  std::error_code error;
  fs::create_directories(staging, error);
  if (error)
    return Fail(ErrorCode::kDenied, fmt::format("cannot make {}: {}", staging.string(), error.message()));
  fs::permissions(staging, fs::perms::owner_all, error);
  YBIS_TRY(CheckSpace(staging, part.unpacked));
  const fs::path file = backup.path / control::BackupFile(component);
  const UniqueFd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!fd.valid()) return FailErrno("open", file);
  YBIS_TRY(Unpack(fd.get(), component, staging, {part.unpacked, part.entries}, std::move(stop)));
  const std::vector<std::string> allowed = configs                     ? ConfigRoots(backup.manifest.secrets)
                                           : component == "workspaces" ? std::vector<std::string>{"runs"}
                                                                       : std::vector<std::string>{"index"};
  for (const std::string& name : NamesIn(staging)) {
    if (std::find(allowed.begin(), allowed.end(), name) == allowed.end())
      return Fail(ErrorCode::kInvalid, fmt::format("{}: entry '{}': does not belong there", component, name));
  }
  if (component == "workspaces")
    return MovesOf(staging / "runs", folders.data / "runs", NamesIn(staging / "runs"), false);
  return MovesOf(staging, configs ? folders.config : folders.data, allowed, true);
}

Status WriteIntent(const Folders& folders, const RestoreIntent& intent) {
  json moves = json::array();
  for (const RestoreMove& move : intent.moves)
    moves.push_back(
        {{"staged", move.staged.string()}, {"target", move.target.string()}, {"inode", move.inode}});
  return WriteFileAtomic(RestoreIntentFile(folders),
                         DumpJsonPretty({{"id", intent.id},
                                         {"backup", intent.backup},
                                         {"database", intent.database},
                                         {"databaseId", intent.database_id},
                                         {"moves", moves}}),
                         0600);
}

Result<std::optional<RestoreIntent>> ReadIntent(const Folders& folders) {
  const auto text = ReadFile(RestoreIntentFile(folders), 256 * 1024 * 1024);
  if (!text) {
    if (text.error().code == ErrorCode::kNotFound) return std::nullopt;
    return Fail(text.error());
  }
  const std::string name = RestoreIntentFile(folders);
  YBIS_ASSIGN(const json body, ParseJson(*text, name, {.max_bytes = 256 * 1024 * 1024, .max_depth = 8}));
  auto intent = ParseIntent(body);
  if (!intent) return FailIn(name, std::move(intent).error());
  return std::move(*intent);
}

Status ApplyMoves(const RestoreIntent& intent) {
  for (const RestoreMove& move : intent.moves) YBIS_TRY(ApplyMove(move));
  return {};
}

Status ForgetIntent(const Folders& folders) {
  if (::unlink(RestoreIntentFile(folders).c_str()) != 0 && errno != ENOENT)
    return FailErrno("remove", RestoreIntentFile(folders));
  YBIS_TRY(SyncPath(folders.data));
  RemoveStaging(folders.data);
  RemoveStaging(folders.config);
  return {};
}

}  // namespace ybis::cli
