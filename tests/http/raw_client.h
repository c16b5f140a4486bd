#pragma once
// A client that sends any bytes it is told to, well-formed or not.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <string>
#include <utility>

namespace ybis::testing {

class RawClient {
 public:
  explicit RawClient(int port, bool v6 = false) : socket_(::socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM, 0)) {
    sockaddr_storage to{};
    socklen_t size = sizeof(sockaddr_in);
    auto* v4 = reinterpret_cast<sockaddr_in*>(&to);
    v4->sin_port = htons(static_cast<uint16_t>(port));
    v4->sin_family = AF_INET;
    v4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (v6) {
      auto* address = reinterpret_cast<sockaddr_in6*>(&to);
      address->sin6_family = AF_INET6;
      address->sin6_addr = in6addr_loopback;
      size = sizeof(sockaddr_in6);
    }
    connected_ = ::connect(socket_, reinterpret_cast<sockaddr*>(&to), size) == 0;
  }
  explicit RawClient(const std::string& path) : socket_(::socket(AF_UNIX, SOCK_STREAM, 0)) {
    sockaddr_un to{};
    to.sun_family = AF_UNIX;
    std::strncpy(to.sun_path, path.c_str(), sizeof(to.sun_path) - 1);
    connected_ = ::connect(socket_, reinterpret_cast<sockaddr*>(&to), sizeof(to)) == 0;
  }
  ~RawClient() { Close(); }
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;
  RawClient(RawClient&& other) noexcept
      : socket_(std::exchange(other.socket_, -1)), connected_(other.connected_) {}

  bool connected() const { return connected_; }
  void Close() {
    if (socket_ >= 0) ::close(std::exchange(socket_, -1));
  }
  void FinishSending() { ::shutdown(socket_, SHUT_WR); }

  bool Send(const std::string& bytes) {
    size_t sent = 0;
    while (sent < bytes.size()) {
      const ssize_t count = ::send(socket_, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
      if (count <= 0) return false;
      sent += static_cast<size_t>(count);
    }
    return true;
  }

  /// What arrives until `marker` was seen, the server closes or the time is over.
  std::string ReadUntil(const std::string& marker,
                        std::chrono::milliseconds limit = std::chrono::seconds(5)) {
    const auto deadline = std::chrono::steady_clock::now() + limit;
    std::string text;
    while (marker.empty() || text.find(marker) == std::string::npos) {
      const auto left =
          std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now())
              .count();
      pollfd wait{socket_, POLLIN, 0};
      if (left <= 0 || ::poll(&wait, 1, static_cast<int>(left)) <= 0) break;
      char buffer[65536];
      const ssize_t count = ::recv(socket_, buffer, sizeof(buffer), 0);
      if (count <= 0) {
        closed_ = true;
        break;
      }
      text.append(buffer, static_cast<size_t>(count));
    }
    return text;
  }
  std::string ReadAll(std::chrono::milliseconds limit = std::chrono::seconds(5)) {
    return ReadUntil("", limit);
  }
  /// Whether the server was seen to close.
  bool closed() const { return closed_; }

 private:
  int socket_;
  bool connected_ = false;
  bool closed_ = false;
};

}  // namespace ybis::testing
