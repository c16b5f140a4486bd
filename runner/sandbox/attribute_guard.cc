#include "runner/sandbox/attribute_guard.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <system_error>

namespace ybis::runner {
namespace {

constexpr int kFchmodat2 = 452;  // newer than the headers of Debian 12
constexpr size_t kPage = 4096;
constexpr size_t kMaxPath = 4096;
constexpr unsigned kPrivileged = S_ISUID | S_ISGID;

enum class Attribute { kMode, kOwner, kTimes };

/// A call and where its arguments stand; -1 = it has none.
struct Call {
  int number;
  Attribute attribute;
  int folder;  ///< the descriptor that `path` starts at; without a path the file itself
  int path;
  int value;  ///< mode; user, before group; times
  int flags;
  bool follows = true;  ///< a symlink at the end, without flags
};

constexpr Call kCalls[] = {
#ifdef SYS_chmod
    {SYS_chmod, Attribute::kMode, -1, 0, 1, -1},          {SYS_chown, Attribute::kOwner, -1, 0, 1, -1},
    {SYS_lchown, Attribute::kOwner, -1, 0, 1, -1, false},
#endif
    {SYS_fchmod, Attribute::kMode, 0, -1, 1, -1},         {SYS_fchmodat, Attribute::kMode, 0, 1, 2, -1},
    {kFchmodat2, Attribute::kMode, 0, 1, 2, 3},           {SYS_fchown, Attribute::kOwner, 0, -1, 1, -1},
    {SYS_fchownat, Attribute::kOwner, 0, 1, 2, 4},        {SYS_utimensat, Attribute::kTimes, 0, 1, 2, 3},
};

constexpr auto kNumbers = [] {
  std::array<int, std::size(kCalls)> numbers{};
  std::transform(std::begin(kCalls), std::end(kCalls), numbers.begin(),
                 [](const Call& call) { return call.number; });
  return numbers;
}();

/// A descriptor, or the errno that the command gets instead.
struct Place {
  UniqueFd fd;
  int error = 0;
};

Place Opened(int fd) { return {UniqueFd(fd), fd < 0 ? errno : 0}; }
Place Failed(int error) { return {UniqueFd(), error}; }

/// The command's memory and descriptors, as /proc shows them to the process that started it.
class Caller {
 public:
  explicit Caller(unsigned pid)
      : proc_(fmt::format("/proc/{}/", pid)),
        memory_(::open((proc_ + "mem").c_str(), O_RDONLY | O_CLOEXEC)) {}

  /// Undumpable, or of a machine that lets nobody look (kernel.yama.ptrace_scope=2).
  bool readable() const { return memory_.valid(); }

  bool Read(uint64_t address, void* to, size_t size) const {
    return ::pread(memory_.get(), to, size, static_cast<off_t>(address)) == static_cast<ssize_t>(size);
  }

  /// Text up to its NUL; 0 or errno.
  int ReadText(uint64_t address, std::string& text) const {
    while (text.size() < kMaxPath) {
      char bytes[kPage];
      const size_t size = kPage - (address + text.size()) % kPage;  // the next page may not be there
      if (!Read(address + text.size(), bytes, size)) return EFAULT;
      const size_t length = ::strnlen(bytes, size);
      text.append(bytes, length);
      if (length < size) return text.size() < kMaxPath ? 0 : ENAMETOOLONG;
    }
    return ENAMETOOLONG;
  }

  /// What one of its descriptors, or its working directory, stands for.
  Place Descriptor(int fd) const {
    if (fd != AT_FDCWD && fd < 0) return Failed(EBADF);
    const std::string link = fd == AT_FDCWD ? proc_ + "cwd" : fmt::format("{}fd/{}", proc_, fd);
    Place place = Opened(::open(link.c_str(), O_PATH | O_CLOEXEC));
    if (place.error == ENOENT) place.error = EBADF;
    return place;
  }

 private:
  std::string proc_;
  UniqueFd memory_;
};

/// The descriptor that a path like /proc/self/fd/3 means, which here would be another's; -1 for other paths.
/// The C library changes modes through it.
int DescriptorOf(const std::string& path) {
  for (const std::string_view prefix : {"/proc/self/fd/", "/proc/thread-self/fd/", "/dev/fd/"}) {
    if (!path.starts_with(prefix)) continue;
    const std::string_view digits = std::string_view(path).substr(prefix.size());
    const bool number =
        !digits.empty() && digits.size() <= 7 &&
        std::all_of(digits.begin(), digits.end(), [](char c) { return c >= '0' && c <= '9'; });
    if (number) return std::stoi(std::string(digits));
  }
  return -1;
}

int FolderOf(const Call& call, const seccomp_data& data) {
  return call.folder < 0 ? AT_FDCWD : static_cast<int>(data.args[call.folder]);
}

/// Holds the file that a call names, wherever it is.
Place Named(const Caller& caller, const Call& call, const seccomp_data& data) {
  const auto flags = call.flags < 0 ? 0U : static_cast<unsigned>(data.args[call.flags]);
  if ((flags & ~static_cast<unsigned>(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) != 0) return Failed(EINVAL);
  const bool follow = call.follows && (flags & AT_SYMLINK_NOFOLLOW) == 0;
  const int folder = FolderOf(call, data);
  if (call.path < 0) return folder == AT_FDCWD ? Failed(EBADF) : caller.Descriptor(folder);
  if (call.attribute == Attribute::kTimes && data.args[call.path] == 0) return caller.Descriptor(folder);
  std::string path;
  if (const int error = caller.ReadText(data.args[call.path], path); error != 0) return Failed(error);
  if (path.empty()) return (flags & AT_EMPTY_PATH) != 0 ? caller.Descriptor(folder) : Failed(ENOENT);
  if (const int fd = DescriptorOf(path); fd >= 0 && follow) return caller.Descriptor(fd);
  const Place start =
      path.front() == '/' ? Opened(::open("/", O_PATH | O_CLOEXEC)) : caller.Descriptor(folder);
  if (!start.fd.valid()) return Failed(start.error);
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC | (follow ? 0U : static_cast<unsigned>(O_NOFOLLOW));
  how.resolve = RESOLVE_NO_MAGICLINKS;
  return Opened(static_cast<int>(::syscall(SYS_openat2, start.fd.get(), path.c_str(), &how, sizeof(how))));
}

int ErrnoOf(int returned) { return returned == 0 ? 0 : errno; }

int ChangeMode(int place, const struct stat& info, unsigned mode) {
  if (S_ISLNK(info.st_mode)) return EOPNOTSUPP;
  if (!S_ISDIR(info.st_mode) && (mode & kPrivileged) != 0) return EPERM;
  return ErrnoOf(::chmod(fmt::format("/proc/self/fd/{}", place).c_str(), mode & 07777U));
}

int ChangeOwner(const struct stat& info, unsigned user, unsigned group) {
  constexpr unsigned kAsItIs = ~0U;
  const bool same = (user == kAsItIs || user == info.st_uid) && (group == kAsItIs || group == info.st_gid);
  return same ? 0 : EPERM;
}

/// One byte and room for one descriptor, as they go over a Unix socket. Async-signal-safe.
struct DescriptorMessage {
  DescriptorMessage() {
    head.msg_iov = &data;
    head.msg_iovlen = 1;
    head.msg_control = control;
    head.msg_controllen = sizeof(control);
  }
  DescriptorMessage(const DescriptorMessage&) = delete;
  DescriptorMessage& operator=(const DescriptorMessage&) = delete;

  cmsghdr* First() { return CMSG_FIRSTHDR(&head); }

  char byte = 0;
  iovec data{.iov_base = &byte, .iov_len = 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))]{};
  msghdr head{};
};

}  // namespace

std::span<const int> GuardedCalls() { return kNumbers; }

Result<std::unique_ptr<AttributeGuard>> AttributeGuard::Make(
    const std::vector<std::filesystem::path>& roots) {
  const auto fail = [](std::string_view what, const std::error_code& error) {
    return Fail(ErrorCode::kInternal, fmt::format("sandbox: {}: {}", what, error.message()));
  };
  std::vector<std::string> real;
  for (const auto& root : roots) {
    std::error_code error;
    real.push_back(std::filesystem::canonical(root, error).string());
    if (error) return fail(root.string(), error);
  }
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
    return fail("socketpair", {errno, std::generic_category()});
  }
  return std::unique_ptr<AttributeGuard>(
      new AttributeGuard(std::move(real), UniqueFd(ends[0]), UniqueFd(ends[1])));
}

AttributeGuard::AttributeGuard(std::vector<std::string> roots, UniqueFd own_end, UniqueFd command_end)
    : roots_(std::move(roots)),
      own_end_(std::move(own_end)),
      command_end_(std::move(command_end)),
      thread_([this] { Serve(); }) {}

AttributeGuard::~AttributeGuard() { ::shutdown(command_end_.get(), SHUT_RDWR); }

int AttributeGuard::HandOver(int listener) const {
  DescriptorMessage message;
  cmsghdr* header = message.First();
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  std::memcpy(CMSG_DATA(header), &listener, sizeof(int));
  return ::sendmsg(command_end_.get(), &message.head, MSG_NOSIGNAL) == 1 ? 0 : errno;
}

namespace {

/// Waits for HandOver; invalid when the guard goes before.
UniqueFd ReceiveListener(int socket) {
  DescriptorMessage message;
  ssize_t n = 0;
  do {
    n = ::recvmsg(socket, &message.head, MSG_CMSG_CLOEXEC);
  } while (n < 0 && errno == EINTR);
  const cmsghdr* header = n == 1 ? message.First() : nullptr;
  if (header == nullptr || header->cmsg_type != SCM_RIGHTS) return UniqueFd();
  int listener = -1;
  std::memcpy(&listener, CMSG_DATA(header), sizeof(int));
  return UniqueFd(listener);
}

/// False when the guard goes, or nobody is left who could call.
bool AwaitCall(int listener, int socket) {
  for (;;) {
    pollfd fds[] = {{listener, POLLIN, 0}, {socket, 0, 0}};
    if (::poll(fds, 2, -1) < 0 && errno != EINTR) return false;
    if (fds[1].revents != 0) return false;
    if (fds[0].revents != 0) return (fds[0].revents & POLLIN) != 0;
  }
}

}  // namespace

void AttributeGuard::Serve() const {
  const UniqueFd listener = ReceiveListener(own_end_.get());
  while (listener.valid() && AwaitCall(listener.get(), own_end_.get())) {
    // The kernel takes zeroes only, and knows better how many.
    seccomp_notif* call = nullptr;
    seccomp_notif_resp* answer = nullptr;
    if (::seccomp_notify_alloc(&call, &answer) != 0) return;
    const bool received = ::seccomp_notify_receive(listener.get(), call) == 0;
    const bool goes_on = received || errno == ENOENT || errno == EINTR;  // its caller may have been killed
    if (received) {
      *answer = {.id = call->id, .val = 0, .error = -Answer(listener.get(), *call), .flags = 0};
      ::seccomp_notify_respond(listener.get(), answer);
    }
    ::seccomp_notify_free(call, answer);
    if (!goes_on) return;
  }
}

bool AttributeGuard::IsBelowARoot(int place) const {
  char path[kMaxPath];
  const ssize_t n = ::readlink(fmt::format("/proc/self/fd/{}", place).c_str(), path, sizeof(path));
  if (n <= 0 || n == static_cast<ssize_t>(sizeof(path))) return false;
  const std::string_view name(path, static_cast<size_t>(n));
  return std::any_of(roots_.begin(), roots_.end(), [&](const std::string& root) {
    return name == root || (name.starts_with(root) && name[root.size()] == '/');
  });
}

/// 0 or the errno of the call. The runner has more rights than the command: what is not its own is refused.
int AttributeGuard::Answer(int listener, const seccomp_notif& call) const {
  const auto* known = std::find_if(std::begin(kCalls), std::end(kCalls),
                                   [&](const Call& row) { return row.number == call.data.nr; });
  if (known == std::end(kCalls)) return EPERM;
  const Caller caller(call.pid);
  if (!caller.readable()) return EPERM;
  const Place place = Named(caller, *known, call.data);
  const uint64_t value = call.data.args[known->value];
  timespec times[2];
  const bool timed = known->attribute == Attribute::kTimes && value != 0;
  if (timed && !caller.Read(value, times, sizeof(times))) return EFAULT;
  // Until here the number of a dead caller may have been another's.
  if (::seccomp_notify_id_valid(listener, call.id) != 0) return ESRCH;
  if (!place.fd.valid()) return place.error;
  struct stat info {};
  if (::fstat(place.fd.get(), &info) != 0) return errno;
  if (!IsBelowARoot(place.fd.get()) || info.st_uid != ::geteuid()) return EPERM;
  switch (known->attribute) {
    case Attribute::kMode:
      return ChangeMode(place.fd.get(), info, static_cast<unsigned>(value));
    case Attribute::kOwner:
      return ChangeOwner(info, static_cast<unsigned>(value),
                         static_cast<unsigned>(call.data.args[known->value + 1]));
    case Attribute::kTimes:
      return ErrnoOf(::utimensat(place.fd.get(), "", timed ? times : nullptr, AT_EMPTY_PATH));
  }
  return EPERM;
}

}  // namespace ybis::runner
