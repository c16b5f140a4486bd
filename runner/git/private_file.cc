#include "runner/git/private_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "base/digest.h"
#include "base/unique_fd.h"

namespace ybis::git {
namespace {

Unexpected FailErrno(const std::filesystem::path& path) {
  return Fail(ErrorCode::kInternal,
              fmt::format("private file {}: {}", path.string(), std::generic_category().message(errno)));
}

}  // namespace

Result<PrivateFile> PrivateFile::Create(const std::filesystem::path& folder, std::string_view bytes) {
  PrivateFile file(folder / ("secret-" + RandomHex(16)));
  const UniqueFd fd(::open(file.path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd.valid()) return FailErrno(file.path_);
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd.get(), bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return FailErrno(file.path_);
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return file;
}

PrivateFile::~PrivateFile() {
  if (!path_.empty()) ::unlink(path_.c_str());
}

}  // namespace ybis::git
