#include "runner/engine/workspace_lock.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>

#include <cerrno>

namespace ybis::runner {

using namespace std::chrono_literals;

Result<UniqueFd> LockWorkspace(const std::filesystem::path& workspace, Duration limit, Clock& clock,
                               std::stop_token stop) {
  UniqueFd fd(::open((workspace / "lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd.valid()) return UniqueFd();
  const TimePoint until = clock.Now() + limit;
  while (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) return UniqueFd();
    if (clock.Now() >= until) {
      return Fail(ErrorCode::kConflict,
                  fmt::format("{}: another runner still works in it", workspace.string()));
    }
    if (!clock.SleepFor(50ms, stop)) return Fail(ErrorCode::kCancelled, "stopped");
  }
  return fd;
}

}  // namespace ybis::runner
