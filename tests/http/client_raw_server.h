#pragma once
// A server on the loopback that says whatever a test wants, byte by byte: what a well-behaved server library
// would not.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <mutex>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace ybis::http {

/// One accepted connection, plain or TLS. Used by the one thread of its handler.
class RawConnection {
 public:
  RawConnection(int fd, SSL* ssl, std::stop_token stop) : fd_(fd), ssl_(ssl), stop_(std::move(stop)) {}

  /// Head and body (by Content-Length) of the next request; "" when the peer has gone.
  std::string ReadRequest() {
    std::string request;
    while (request.find("\r\n\r\n") == std::string::npos) {
      if (!ReadSome(request)) return {};
    }
    const size_t head = request.find("\r\n\r\n") + 4;
    const size_t field = request.find("Content-Length:");
    const size_t length = field < head ? std::stoul(request.substr(field + 15)) : 0;
    while (request.size() < head + length) {
      if (!ReadSome(request)) return {};
    }
    return request;
  }
  bool Write(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ssl_ != nullptr ? SSL_write(ssl_, bytes.data(), static_cast<int>(bytes.size()))
                                           : send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
    return true;
  }
  /// A whole response with Content-Length.
  bool Respond(int status, std::string_view body, const std::string& headers = "") {
    return Write("HTTP/1.1 " + std::to_string(status) + " X\r\n" + headers +
                 "Content-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) +
                 "\r\n\r\n" + std::string(body));
  }
  /// The head of a chunked response, and its chunks.
  bool StartChunked(int status = 200) {
    return Write("HTTP/1.1 " + std::to_string(status) + " X\r\nTransfer-Encoding: chunked\r\n\r\n");
  }
  bool Chunk(std::string_view bytes) {
    char size[32];
    snprintf(size, sizeof(size), "%zx\r\n", bytes.size());
    return Write(std::string(size) + std::string(bytes) + "\r\n");
  }
  bool EndChunked() { return Write("0\r\n\r\n"); }
  /// Says nothing until the peer or the server goes away; true when it was the peer.
  bool WaitForClose(int limit_ms = 60'000) {
    for (int waited = 0; waited < limit_ms && !stop_.stop_requested(); waited += 5) {
      pollfd event{fd_, POLLRDHUP, 0};
      if (poll(&event, 1, 5) > 0 && (event.revents & (POLLHUP | POLLRDHUP | POLLERR)) != 0) return true;
    }
    return false;
  }
  const std::stop_token& Stop() const { return stop_; }

 private:
  bool ReadSome(std::string& to) {
    char buffer[4096];
    const ssize_t got =
        ssl_ != nullptr ? SSL_read(ssl_, buffer, sizeof(buffer)) : recv(fd_, buffer, sizeof(buffer), 0);
    if (got <= 0) return false;
    to.append(buffer, static_cast<size_t>(got));
    return true;
  }

  int fd_;
  SSL* ssl_;
  std::stop_token stop_;
};

/// What memory limits of tests are multiplied by: sanitizers keep freed memory for a while.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr size_t kMemorySlack = 8;
#else
inline constexpr size_t kMemorySlack = 1;
#endif

/// Listens on 127.0.0.1 and runs the handler for every connection on a thread of its own. Destruction ends
/// them all.
class RawServer {
 public:
  using Handler = std::function<void(RawConnection&)>;

  explicit RawServer(Handler handler, SSL_CTX* tls = nullptr) : handler_(std::move(handler)), tls_(tls) {
    signal(SIGPIPE, SIG_IGN);  // OpenSSL writes to closed sockets
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof(address));
    listen(listener_, 64);
    socklen_t size = sizeof(address);
    getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    acceptor_ = std::jthread([this](std::stop_token stop) { Accept(stop); });
  }
  ~RawServer() {
    acceptor_.request_stop();
    shutdown(listener_, SHUT_RDWR);
    acceptor_.join();
    {
      const std::lock_guard lock(mutex_);
      for (const int fd : open_) shutdown(fd, SHUT_RDWR);
    }
    handlers_.clear();
    close(listener_);
    SSL_CTX_free(tls_);
  }

  int Port() const { return port_; }
  std::string Url(const std::string& target = "/") const {
    return (tls_ != nullptr ? "https://127.0.0.1:" : "http://127.0.0.1:") + std::to_string(port_) + target;
  }
  int Connections() const { return connections_.load(); }

 private:
  void Accept(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (fd < 0) return;
      ++connections_;
      const std::lock_guard lock(mutex_);
      open_.push_back(fd);
      handlers_.emplace_back([this, fd](std::stop_token stopped) { Serve(fd, stopped); });
    }
  }
  void Serve(int fd, const std::stop_token& stop) {
    SSL* ssl = nullptr;
    if (tls_ != nullptr) {
      ssl = SSL_new(tls_);
      SSL_set_fd(ssl, fd);
    }
    if (ssl == nullptr || SSL_accept(ssl) == 1) {
      RawConnection connection(fd, ssl, stop);
      handler_(connection);
    }
    SSL_free(ssl);
    shutdown(fd, SHUT_RDWR);
    const std::lock_guard lock(mutex_);
    open_.erase(std::remove(open_.begin(), open_.end(), fd), open_.end());
    close(fd);
  }

  Handler handler_;
  SSL_CTX* tls_;
  int listener_ = -1;
  int port_ = 0;
  std::atomic<int> connections_{0};
  std::mutex mutex_;
  std::vector<int> open_;
  std::vector<std::jthread> handlers_;
  std::jthread acceptor_;
};

}  // namespace ybis::http
