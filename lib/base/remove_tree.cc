#include "base/remove_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <string>
#include <system_error>
#include <vector>

#include "base/digest.h"
#include "base/unique_fd.h"

namespace ybis {
namespace {

// Levels of folders that are removed in place; each holds a descriptor.
constexpr int kMaxDepth = 128;

Unexpected FailErrno(std::string_view what, std::string_view path, int error) {
  const ErrorCode code = error == EACCES || error == EPERM ? ErrorCode::kDenied : ErrorCode::kInternal;
  return Fail(Error{.code = code,
                    .message = fmt::format("{} {}: {}", what, path, std::generic_category().message(error)),
                    .retryable = false});
}

struct CloseDir {
  void operator()(DIR* dir) const { ::closedir(dir); }
};

struct Name {
  std::string text;
  bool folder = false;
};

/// The names in a folder; the descriptor stays open.
Result<std::vector<Name>> Names(int folder_fd) {
  const int own = ::openat(folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (own < 0) return FailErrno("list", "a folder", errno);
  const std::unique_ptr<DIR, CloseDir> dir(::fdopendir(own));
  std::vector<Name> names;
  while (const dirent* entry = ::readdir(dir.get())) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.push_back({std::string(name), entry->d_type == DT_DIR});
  }
  return names;
}

/// Opens a folder to empty it. A child may have taken its own rights away; a folder (never a symlink) gets
/// them back.
UniqueFd OpenForRemoval(int folder_fd, const std::string& name) {
  constexpr int kFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  struct stat info {};
  if (::fstatat(folder_fd, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(info.st_mode) &&
      (info.st_mode & 0700) != 0700) {
    if (::fchmodat(folder_fd, name.c_str(), 0700, 0) != 0) return UniqueFd(-1);
  }
  return UniqueFd(::openat(folder_fd, name.c_str(), kFlags));
}

/// Empties one folder. Each level holds a descriptor, so what lies too deep is moved to the top and removed
/// in a later round.
class Remover {
 public:
  explicit Remover(int top) : top_(top) {}

  Status Run() {
    do {
      moved_ = false;
      YBIS_TRY(Clear(top_, 0));
    } while (moved_);
    return {};
  }

 private:
  Status Clear(int folder_fd, int depth) {
    YBIS_ASSIGN(const std::vector<Name> names, Names(folder_fd));
    for (const Name& name : names) YBIS_TRY(Remove(folder_fd, name, depth));
    return {};
  }

  Status Remove(int folder_fd, const Name& name, int depth) {
    if (!name.folder && (::unlinkat(folder_fd, name.text.c_str(), 0) == 0 || errno == ENOENT)) return {};
    const UniqueFd fd = OpenForRemoval(folder_fd, name.text);
    if (!fd.valid()) return FailErrno("remove", name.text, errno);
    if (depth >= kMaxDepth) return MoveToTop(folder_fd, name.text);
    YBIS_TRY(Clear(fd.get(), depth + 1));
    if (::unlinkat(folder_fd, name.text.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT) return {};
    return FailErrno("remove", name.text, errno);
  }

  Status MoveToTop(int folder_fd, const std::string& name) {
    moved_ = true;
    if (::renameat(folder_fd, name.c_str(), top_, ("deep-" + RandomHex(8)).c_str()) == 0) return {};
    return FailErrno("remove", name, errno);
  }

  int top_;
  bool moved_ = false;
};

}  // namespace

Status ClearFolder(int folder_fd) { return Remover(folder_fd).Run(); }

Status RemoveTree(const std::filesystem::path& path) {
  if (::unlink(path.c_str()) == 0 || errno == ENOENT) return {};
  const UniqueFd fd = OpenForRemoval(AT_FDCWD, path.string());
  if (!fd.valid()) return FailErrno("remove", path.string(), errno);
  YBIS_TRY(ClearFolder(fd.get()));
  if (::rmdir(path.c_str()) == 0 || errno == ENOENT) return {};
  return FailErrno("remove", path.string(), errno);
}

}  // namespace ybis
