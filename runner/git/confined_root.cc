#include "runner/git/confined_root.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace ybis::git {
namespace {

Unexpected FailErrno(std::string_view what, std::string_view path, int error) {
  const ErrorCode code = error == ENOENT || error == ENOTDIR  ? ErrorCode::kNotFound
                         : error == ELOOP || error == EXDEV   ? ErrorCode::kInvalid
                         : error == EACCES || error == EPERM  ? ErrorCode::kDenied
                         : error == ENOSPC || error == EDQUOT ? ErrorCode::kExhausted
                                                              : ErrorCode::kInternal;
  const std::string reason = code == ErrorCode::kInvalid ? "leads through a symlink or out of the worktree"
                                                         : std::generic_category().message(error);
  return Fail(
      Error{.code = code, .message = fmt::format("{} {}: {}", what, path, reason), .retryable = false});
}

bool IsDotGit(std::string_view part) {
  std::string lower(part);
  std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : static_cast<char>(c);
  });
  // What NTFS takes for .git: trailing dots and blanks, a stream name, the short name.
  lower.resize(std::min(lower.find(':'), lower.size()));
  while (!lower.empty() && (lower.back() == '.' || lower.back() == ' ')) lower.pop_back();
  return lower == ".git" || lower == "git~1";
}

}  // namespace

Status CheckWorktreePath(std::string_view path) {
  const auto refuse = [&](std::string_view why) {
    return Fail(ErrorCode::kInvalid, fmt::format("path '{}': {}", path, why));
  };
  if (path.empty()) return refuse("is empty");
  if (path.find('\0') != path.npos) return refuse("holds a NUL byte");
  if (path.front() == '/') return refuse("must be relative to the worktree");
  for (size_t start = 0;;) {
    const size_t slash = path.find('/', start);
    const std::string_view part = path.substr(start, slash == path.npos ? slash : slash - start);
    if (part.empty() || part == "." || part == "..") return refuse("has an empty, '.' or '..' part");
    if (IsDotGit(part)) return refuse("names git's own files");
    if (slash == path.npos) return {};
    start = slash + 1;
  }
}

Result<ConfinedRoot> ConfinedRoot::Open(const std::filesystem::path& path) {
  UniqueFd fd(::open(path.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd.valid()) return FailErrno("open the worktree", path.string(), errno);
  return ConfinedRoot(std::move(fd));
}

Result<UniqueFd> ConfinedRoot::OpenBeneath(const std::string& path, int flags) const {
  open_how how{};
  how.flags = static_cast<uint64_t>(flags | O_CLOEXEC);
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  int fd = -1;
  do {
    fd = static_cast<int>(::syscall(SYS_openat2, fd_.get(), path.c_str(), &how, sizeof(how)));
  } while (fd < 0 && (errno == EINTR || errno == EAGAIN));
  if (fd < 0) return FailErrno("open", path, errno);
  return UniqueFd(fd);
}

Result<std::optional<struct stat>> ConfinedRoot::Stat(const std::string& path) const {
  auto fd = OpenBeneath(path, O_PATH | O_NOFOLLOW);
  if (!fd) {
    const ErrorCode code = fd.error().code;
    if (code == ErrorCode::kNotFound || code == ErrorCode::kInvalid) return std::nullopt;
    return Fail(std::move(fd).error());
  }
  struct stat info {};
  if (::fstat(fd->get(), &info) != 0) return FailErrno("stat", path, errno);
  return info;
}

Result<UniqueFd> ConfinedRoot::OpenRegular(const std::string& path, struct stat& info) const {
  YBIS_ASSIGN(UniqueFd fd, OpenBeneath(path, O_RDONLY | O_NONBLOCK | O_NOCTTY));
  if (::fstat(fd.get(), &info) != 0) return FailErrno("stat", path, errno);
  if (!S_ISREG(info.st_mode))
    return Fail(ErrorCode::kInvalid, fmt::format("{}: is not a regular file", path));
  return fd;
}

Result<std::string> ConfinedRoot::ReadRegular(const std::string& path, size_t max_bytes) const {
  struct stat info {};
  YBIS_ASSIGN(const UniqueFd fd, OpenRegular(path, info));
  const auto too_large = [&] {
    return Fail(ErrorCode::kTooLarge, fmt::format("{}: more than the {} bytes allowed", path, max_bytes));
  };
  if (static_cast<uint64_t>(info.st_size) > max_bytes) return too_large();
  std::string bytes;
  bytes.resize(static_cast<size_t>(info.st_size) + 1);
  size_t size = 0;
  for (;;) {
    const ssize_t n = ::read(fd.get(), bytes.data() + size, bytes.size() - size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return FailErrno("read", path, errno);
    if (n == 0) break;
    size += static_cast<size_t>(n);
    if (size > max_bytes) return too_large();
    if (size == bytes.size()) bytes.resize(size + 65'536);
  }
  bytes.resize(size);
  return bytes;
}

Result<std::string> ConfinedRoot::ReadHead(const std::string& path, size_t max_bytes) const {
  struct stat info {};
  YBIS_ASSIGN(const UniqueFd fd, OpenRegular(path, info));
  std::string bytes;
  bytes.resize(std::min(static_cast<size_t>(info.st_size), max_bytes));
  size_t size = 0;
  while (size < bytes.size()) {
    const ssize_t n = ::read(fd.get(), bytes.data() + size, bytes.size() - size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return FailErrno("read", path, errno);
    if (n == 0) break;
    size += static_cast<size_t>(n);
  }
  bytes.resize(size);
  return bytes;
}

Result<std::string> ConfinedRoot::ReadLink(const std::string& path) const {
  YBIS_ASSIGN(const UniqueFd fd, OpenBeneath(path, O_PATH | O_NOFOLLOW));
  char target[4097];
  const ssize_t n = ::readlinkat(fd.get(), "", target, sizeof(target));
  if (n < 0) return FailErrno("read the symlink", path, errno);
  return std::string(target, static_cast<size_t>(n));
}

}  // namespace ybis::git
