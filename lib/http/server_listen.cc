#include "http/server_listen.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace ybis::http {
namespace {

constexpr int kBacklog = 1024;

/// A descriptor that is closed unless released.
class Descriptor {
 public:
  explicit Descriptor(int family) : value_(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {}
  ~Descriptor() {
    if (value_ >= 0) ::close(value_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return value_; }
  int Release() { return std::exchange(value_, -1); }

 private:
  int value_;
};

Unexpected Failed(const std::string& where) {
  const int number = errno;
  return Fail(ErrorCode::kUnavailable, fmt::format("listen on {}: {}", where, std::strerror(number)));
}

struct SocketAddress {
  sockaddr_storage bytes{};
  socklen_t size = 0;
};

Result<SocketAddress> TcpAddress(const std::string& address, int port, const std::string& where) {
  SocketAddress out;
  auto* v4 = reinterpret_cast<sockaddr_in*>(&out.bytes);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&out.bytes);
  if (inet_pton(AF_INET6, address.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(static_cast<uint16_t>(port));
    out.size = sizeof(sockaddr_in6);
  } else if (inet_pton(AF_INET, address.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(static_cast<uint16_t>(port));
    out.size = sizeof(sockaddr_in);
  } else {
    return Fail(ErrorCode::kInvalid, fmt::format("listen on {}: not an IP address", where));
  }
  return out;
}

Result<int> PortOf(int descriptor, const std::string& where) {
  SocketAddress bound;
  bound.size = sizeof(bound.bytes);
  if (::getsockname(descriptor, reinterpret_cast<sockaddr*>(&bound.bytes), &bound.size) != 0)
    return Failed(where);
  // The port stands at the same place in both families.
  return ntohs(reinterpret_cast<const sockaddr_in*>(&bound.bytes)->sin_port);
}

Result<ListeningSocket> OpenTcp(const std::string& address, int port) {
  const std::string where = fmt::format("[{}]:{}", address, port);
  YBIS_ASSIGN(const SocketAddress to, TcpAddress(address, port, where));
  const int family = to.bytes.ss_family;
  Descriptor socket(family);
  const int on = 1;
  const int off = 0;
  if (socket.get() < 0) return Failed(where);
  ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (family == AF_INET6) ::setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&to.bytes), to.size) != 0 ||
      ::listen(socket.get(), kBacklog) != 0) {
    return Failed(where);
  }
  YBIS_ASSIGN(const int bound, PortOf(socket.get(), where));
  return ListeningSocket{socket.Release(), family, bound};
}

/// Makes room where an earlier process left its socket; anything else there stays.
Status RemoveOldSocket(const std::string& path) {
  struct stat found {};
  if (::lstat(path.c_str(), &found) != 0) return {};
  if (!S_ISSOCK(found.st_mode)) {
    return Fail(ErrorCode::kExists,
                fmt::format("listen on {}: something that is not a socket is there", path));
  }
  ::unlink(path.c_str());
  return {};
}

Result<ListeningSocket> OpenUnix(const std::string& path) {
  sockaddr_un to{};
  to.sun_family = AF_UNIX;
  if (path.size() >= sizeof(to.sun_path)) {
    return Fail(ErrorCode::kInvalid, fmt::format("listen on {}: too long for a socket's path", path));
  }
  std::memcpy(to.sun_path, path.data(), path.size());
  YBIS_TRY(RemoveOldSocket(path));
  Descriptor socket(AF_UNIX);
  if (socket.get() < 0) return Failed(path);
  // Set before it has a name, so that nobody else can connect in between.
  ::fchmod(socket.get(), 0600);
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&to), sizeof(to)) != 0 ||
      ::chmod(path.c_str(), 0600) != 0 || ::listen(socket.get(), kBacklog) != 0) {
    return Failed(path);
  }
  return ListeningSocket{socket.Release(), AF_UNIX, 0};
}

}  // namespace

Result<ListeningSocket> OpenListener(const ListenAddress& listen) {
  if (!listen.unix_path.empty()) return OpenUnix(listen.unix_path);
  if (listen.port < 0 || listen.port > 65535) {
    return Fail(ErrorCode::kInvalid,
                fmt::format("listen on [{}]:{}: no such port", listen.address, listen.port));
  }
  auto opened = OpenTcp(listen.address, listen.port);
  if (!opened && listen.address == "::" && opened.error().code == ErrorCode::kUnavailable) {
    auto fallback = OpenTcp("0.0.0.0", listen.port);
    if (fallback) return fallback;
  }
  return opened;
}

}  // namespace ybis::http
