#include "runner/sandbox/landlock.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/landlock.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace ybis::runner {
namespace {

namespace fs = std::filesystem;

// Newer than the headers of Debian 12; linux/landlock.h of 6.12.
constexpr uint64_t kTruncate = 1ULL << 14;
constexpr uint64_t kIoctlDevice = 1ULL << 15;
constexpr uint64_t kNetBindTcp = 1ULL << 0;
constexpr uint64_t kNetConnectTcp = 1ULL << 1;
constexpr uint64_t kScopeAbstractSockets = 1ULL << 0;
constexpr uint64_t kScopeSignals = 1ULL << 1;

struct RulesetAttributes {
  uint64_t handled_access_fs;
  uint64_t handled_access_net;
  uint64_t scoped;
};

constexpr uint64_t kReadFile = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_EXECUTE;
constexpr uint64_t kRead = kReadFile | LANDLOCK_ACCESS_FS_READ_DIR;
// Device nodes can't be made, not even below a writable hierarchy.
constexpr uint64_t kWriteTree =
    kRead | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |
    LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK |
    LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_SYM | LANDLOCK_ACCESS_FS_REFER | kTruncate;
// The rights that a rule on something else than a folder may carry.
constexpr uint64_t kFileRights = kReadFile | LANDLOCK_ACCESS_FS_WRITE_FILE | kTruncate | kIoctlDevice;

uint64_t HandledFs(int abi) {
  uint64_t rights = LANDLOCK_ACCESS_FS_MAKE_SYM * 2 - 1;  // every right of the first version
  if (abi >= 2) rights |= LANDLOCK_ACCESS_FS_REFER;
  if (abi >= 3) rights |= kTruncate;
  if (abi >= 5) rights |= kIoctlDevice;
  return rights;
}

RulesetAttributes Attributes(const SandboxPolicy& policy, int abi) {
  return {.handled_access_fs = HandledFs(abi),
          .handled_access_net = abi >= 4 && !policy.network ? kNetBindTcp | kNetConnectTcp : 0,
          .scoped = abi >= 6 ? kScopeAbstractSockets | kScopeSignals : 0};
}

size_t AttributesSize(int abi) {
  if (abi >= 6) return sizeof(RulesetAttributes);
  return abi >= 4 ? offsetof(RulesetAttributes, scoped) : offsetof(RulesetAttributes, handled_access_net);
}

Unexpected FailErrno(std::string_view what, int error) {
  return Fail(ErrorCode::kInternal,
              fmt::format("sandbox: {}: {}", what, std::generic_category().message(error)));
}

/// Allows `rights` at and below a path; a path that is not there is passed over.
Status Allow(int ruleset, const fs::path& path, uint64_t rights, uint64_t handled) {
  const UniqueFd place(::open(path.c_str(), O_PATH | O_CLOEXEC));
  if (!place.valid()) {
    if (errno == ENOENT || errno == EACCES || errno == ENOTDIR) return {};
    return FailErrno(path.string(), errno);
  }
  struct stat info {};
  if (::fstat(place.get(), &info) != 0) return FailErrno(path.string(), errno);
  if (!S_ISDIR(info.st_mode)) rights &= kFileRights;
  landlock_path_beneath_attr rule{.allowed_access = rights & handled, .parent_fd = place.get()};
  if (::syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) != 0) {
    return FailErrno(fmt::format("rule for {}", path.string()), errno);
  }
  return {};
}

fs::path Canonical(const fs::path& path) {
  std::error_code error;
  fs::path canonical = fs::weakly_canonical(path, error);
  if (error) canonical = path.lexically_normal();
  return canonical.has_filename() ? canonical : canonical.parent_path();
}

bool IsAtOrBelow(const fs::path& path, const fs::path& root) {
  return std::mismatch(root.begin(), root.end(), path.begin(), path.end()).first == root.end();
}

/// Adds `path`, or the entries below it that lead to nothing hidden.
Status AddAround(const fs::path& path, const std::vector<fs::path>& hidden, std::vector<fs::path>& out) {
  if (std::any_of(hidden.begin(), hidden.end(), [&](const auto& h) { return IsAtOrBelow(path, h); }))
    return {};
  if (std::none_of(hidden.begin(), hidden.end(), [&](const auto& h) { return IsAtOrBelow(h, path); })) {
    out.push_back(path);
    return {};
  }
  std::error_code error;
  for (fs::directory_iterator entry(path, error), end; !error && entry != end; entry.increment(error)) {
    // A link is not a place: what it points to is readable only if that is allowed itself.
    if (!entry->is_symlink(error)) YBIS_TRY(AddAround(entry->path(), hidden, out));
  }
  return {};
}

std::vector<fs::path> CanonicalAll(const std::vector<fs::path>& paths) {
  std::vector<fs::path> out;
  for (const auto& path : paths) out.push_back(Canonical(path));
  return out;
}

Status AddWritable(int ruleset, const SandboxPolicy& policy, uint64_t handled) {
  const auto hidden = CanonicalAll(policy.hidden);
  auto writable = policy.writable;
  writable.push_back(policy.temp);
  for (const auto& path : CanonicalAll(writable)) {
    for (const auto& secret : hidden) {
      if (!IsAtOrBelow(secret, path) && !IsAtOrBelow(path, secret)) continue;
      return Fail(ErrorCode::kInvalid,
                  fmt::format("sandbox: the hidden path {} and the writable path {} overlap; "
                              "keep secrets outside of what a command may write",
                              secret.string(), path.string()));
    }
    if (path == "/") return Fail(ErrorCode::kInvalid, "sandbox: '/' cannot be writable");
    YBIS_TRY(Allow(ruleset, path, kWriteTree, handled));
  }
  return {};
}

}  // namespace

int LandlockAbi() {
  const long abi = ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  return abi < 0 ? 0 : static_cast<int>(abi);
}

Result<std::vector<fs::path>> ReadableAround(const std::vector<fs::path>& readable,
                                             const std::vector<fs::path>& hidden) {
  const auto canonical_hidden = CanonicalAll(hidden);
  std::vector<fs::path> out;
  for (const auto& path : CanonicalAll(readable)) YBIS_TRY(AddAround(path, canonical_hidden, out));
  return out;
}

Result<UniqueFd> MakeLandlockRuleset(const SandboxPolicy& policy, int abi) {
  const RulesetAttributes attributes = Attributes(policy, abi);
  UniqueFd ruleset(
      static_cast<int>(::syscall(SYS_landlock_create_ruleset, &attributes, AttributesSize(abi), 0U)));
  if (!ruleset.valid()) return FailErrno("make a Landlock ruleset", errno);
  const uint64_t handled = attributes.handled_access_fs;
  YBIS_ASSIGN(const auto readable, ReadableAround(policy.readable, policy.hidden));
  for (const auto& path : readable) YBIS_TRY(Allow(ruleset.get(), path, kRead, handled));
  for (const char* device : {"/dev/null", "/dev/zero", "/dev/full", "/dev/tty"}) {
    YBIS_TRY(Allow(ruleset.get(), device, kReadFile | LANDLOCK_ACCESS_FS_WRITE_FILE | kTruncate, handled));
  }
  YBIS_TRY(AddWritable(ruleset.get(), policy, handled));
  return ruleset;
}

int RestrictSelf(int ruleset_fd) {
  return ::syscall(SYS_landlock_restrict_self, ruleset_fd, 0U) == 0 ? 0 : errno;
}

}  // namespace ybis::runner
