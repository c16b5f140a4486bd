#include "runner/edit/beneath.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "base/digest.h"
#include "base/unique_fd.h"

namespace ybis::runner {
namespace {

struct Split {
  std::string parent;  ///< empty = the folder itself
  std::string name;
};

Split SplitPath(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return {"", path};
  return {path.substr(0, slash), path.substr(slash + 1)};
}

/// Opens beneath `folder`; the kernel refuses links and ways out. Invalid with errno set on failure.
UniqueFd Open(int folder, const std::string& path, int flags) {
  open_how how{};
  how.flags = static_cast<uint64_t>(flags | O_CLOEXEC | O_NOFOLLOW);
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  for (;;) {
    const long fd = ::syscall(SYS_openat2, folder, path.c_str(), &how, sizeof(how));
    // EAGAIN: something was renamed while the kernel walked; nothing is wrong with the path.
    if (fd >= 0 || (errno != EINTR && errno != EAGAIN)) return UniqueFd(static_cast<int>(fd));
  }
}

Unexpected Describe(int error) {
  switch (error) {
    case ELOOP:
      return Fail(ErrorCode::kInvalid, "is or leads over a symbolic link, which edits never follow");
    case EXDEV:
      return Fail(ErrorCode::kInvalid, "leads out of the worktree");
    case ENOTDIR:
      return Fail(ErrorCode::kInvalid, "leads through a file as if it were a folder");
    case EISDIR:
      return Fail(ErrorCode::kInvalid, "is a folder");
    case ENAMETOOLONG:
      return Fail(ErrorCode::kInvalid, "is too long for the file system");
    case ENOENT:
      return Fail(ErrorCode::kNotFound, "does not exist");
    case ENOSYS:
      return Fail(ErrorCode::kUnsupported,
                  "this kernel has no openat2 (Linux 5.6); edits are not safe without it");
    default:
      return Fail(ErrorCode::kInternal, std::generic_category().message(error));
  }
}

Status CheckKind(mode_t mode) {
  if (S_ISREG(mode)) return {};
  if (S_ISDIR(mode)) return Describe(EISDIR);
  if (S_ISLNK(mode)) return Describe(ELOOP);
  return Fail(ErrorCode::kInvalid, "is a pipe, socket or device, not a file");
}

Result<std::string> ReadAll(int fd, size_t size, size_t max_bytes) {
  if (size > max_bytes) {
    return Fail(ErrorCode::kTooLarge, fmt::format("has {} bytes, more than the {} allowed", size, max_bytes));
  }
  std::string bytes(size + 1, '\0');
  size_t filled = 0;
  for (;;) {
    const ssize_t n = ::read(fd, bytes.data() + filled, bytes.size() - filled);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Describe(errno);
    if (n == 0) break;
    filled += static_cast<size_t>(n);
    if (filled > max_bytes) return Fail(ErrorCode::kTooLarge, "grows while it is read");
    if (filled == bytes.size()) bytes.resize(bytes.size() * 2);
  }
  bytes.resize(filled);
  return bytes;
}

/// The folder that `parent` names, made where it is missing.
Result<UniqueFd> OpenParent(int folder, const std::string& parent, bool make) {
  UniqueFd here(::fcntl(folder, F_DUPFD_CLOEXEC, 3));
  if (!here.valid()) return Describe(errno);
  for (size_t at = 0; at < parent.size();) {
    const size_t slash = std::min(parent.find('/', at), parent.size());
    const std::string name = parent.substr(at, slash - at);
    UniqueFd next = Open(here.get(), name, O_PATH | O_DIRECTORY);
    if (!next.valid() && errno == ENOENT && make) {
      if (::mkdirat(here.get(), name.c_str(), 0755) != 0 && errno != EEXIST) return Describe(errno);
      next = Open(here.get(), name, O_PATH | O_DIRECTORY);
    }
    if (!next.valid()) return Describe(errno);
    here = std::move(next);
    at = slash + 1;
  }
  return here;
}

Status WriteAll(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Describe(errno);
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return {};
}

Status WriteTemporary(int parent, const std::string& name, const FileState& state) {
  const UniqueFd file(
      ::openat(parent, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file.valid()) return Describe(errno);
  YBIS_TRY(WriteAll(file.get(), state.content));
  if (::fchmod(file.get(), state.mode & 0777) != 0) return Describe(errno);
  return {};
}

}  // namespace

Result<std::optional<FileState>> Beneath::Read(const std::string& path, size_t max_bytes) const {
  // Looked at before it is opened: opening a pipe or device can block or do something.
  const UniqueFd place = Open(folder_, path, O_PATH);
  if (!place.valid() && errno == ENOENT) return std::nullopt;
  if (!place.valid()) return Describe(errno);
  struct stat info {};
  if (::fstat(place.get(), &info) != 0) return Describe(errno);
  YBIS_TRY(CheckKind(info.st_mode));
  const UniqueFd file = Open(folder_, path, O_RDONLY | O_NONBLOCK);
  if (!file.valid()) return Describe(errno);
  if (::fstat(file.get(), &info) != 0) return Describe(errno);
  YBIS_TRY(CheckKind(info.st_mode));
  YBIS_ASSIGN(std::string content, ReadAll(file.get(), static_cast<size_t>(info.st_size), max_bytes));
  return FileState{std::move(content), info.st_mode & 0777};
}

Status Beneath::Write(const std::string& path, const FileState& state) const {
  const Split split = SplitPath(path);
  YBIS_ASSIGN(const UniqueFd parent, OpenParent(folder_, split.parent, true));
  const std::string temporary = ".ybis-" + RandomHex(8) + ".tmp";
  Status written = WriteTemporary(parent.get(), temporary, state);
  if (written && ::renameat(parent.get(), temporary.c_str(), parent.get(), split.name.c_str()) != 0) {
    written = Describe(errno);
  }
  if (!written) ::unlinkat(parent.get(), temporary.c_str(), 0);
  return written;
}

Status Beneath::Remove(const std::string& path) const {
  Split split = SplitPath(path);
  YBIS_ASSIGN(const UniqueFd parent, OpenParent(folder_, split.parent, false));
  if (::unlinkat(parent.get(), split.name.c_str(), 0) != 0) return Describe(errno);
  while (!split.parent.empty()) {
    split = SplitPath(split.parent);
    const auto above = OpenParent(folder_, split.parent, false);
    if (!above || ::unlinkat(above->get(), split.name.c_str(), AT_REMOVEDIR) != 0) break;
  }
  return {};
}

}  // namespace ybis::runner
