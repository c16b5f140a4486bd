#include "base/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "base/digest.h"

namespace ybis {
namespace {

/// A descriptor that closes itself.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

Unexpected FailErrno(std::string_view what, const std::filesystem::path& path) {
  const int error = errno;
  const ErrorCode code = error == ENOENT                     ? ErrorCode::kNotFound
                         : error == EACCES || error == EPERM ? ErrorCode::kDenied
                                                             : ErrorCode::kInternal;
  return Fail(code, fmt::format("{} {}: {}", what, path.string(), std::generic_category().message(error)));
}

Status WriteAll(int fd, std::string_view bytes, const std::filesystem::path& path) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return FailErrno("write", path);
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return {};
}

Status WriteSynced(const std::filesystem::path& path, std::string_view bytes, unsigned mode) {
  const Descriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode));
  if (file.get() < 0) return FailErrno("create", path);
  YBIS_TRY(WriteAll(file.get(), bytes, path));
  if (::fsync(file.get()) != 0) return FailErrno("sync", path);
  return {};
}

}  // namespace

Result<std::string> ReadFile(const std::filesystem::path& path, size_t max_bytes) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) return FailErrno("open", path);
  struct stat info {};
  if (::fstat(file.get(), &info) != 0) return FailErrno("stat", path);
  if (!S_ISREG(info.st_mode))
    return Fail(ErrorCode::kInvalid, fmt::format("{}: is not a regular file", path.string()));
  std::string bytes;
  char chunk[65536];
  for (;;) {
    const ssize_t n = ::read(file.get(), chunk, sizeof(chunk));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return FailErrno("read", path);
    if (n == 0) return bytes;
    bytes.append(chunk, static_cast<size_t>(n));
    if (bytes.size() > max_bytes) {
      return Fail(ErrorCode::kTooLarge,
                  fmt::format("{}: more than the {} bytes allowed", path.string(), max_bytes));
    }
  }
}

Status WriteFileAtomic(const std::filesystem::path& path, std::string_view bytes, unsigned mode) {
  const std::filesystem::path temporary = path.string() + "." + RandomHex(6) + ".tmp";
  if (Status written = WriteSynced(temporary, bytes, mode); !written) {
    ::unlink(temporary.c_str());
    return written;
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0) {
    auto failure = FailErrno("rename to", path);
    ::unlink(temporary.c_str());
    return failure;
  }
  const auto parent = path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
  const Descriptor directory(::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.get() >= 0) ::fsync(directory.get());
  return {};
}

}  // namespace ybis
