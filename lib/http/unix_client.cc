#include "http/unix_client.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <cerrno>
#include <cstring>
#include <optional>
#include <thread>

#include "base/unique_fd.h"

namespace ybis::http {
namespace {

namespace beast = boost::beast::http;
using std::chrono::milliseconds;
using SteadyClock = std::chrono::steady_clock;
using SteadyTime = SteadyClock::time_point;

constexpr size_t kMaxHead = 64 * 1024;
constexpr size_t kReadSize = 64 * 1024;

bool HasControl(std::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](unsigned char c) { return (c < 0x20 && c != '\t') || c == 0x7f; });
}

bool IsToken(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return std::isalnum(c) ||
           std::string_view("!#$%&'*+-.^_`|~").find(static_cast<char>(c)) != std::string_view::npos;
  });
}

/// Readable once a stop is requested, so that poll() can wait for it too.
class StopDescriptor {
 public:
  explicit StopDescriptor(std::stop_token stop)
      : fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)), callback_(std::move(stop), Wake{fd_.get()}) {}
  int get() const { return fd_.get(); }

 private:
  struct Wake {
    int fd;
    void operator()() const {
      const uint64_t one = 1;
      [[maybe_unused]] const auto written = ::write(fd, &one, sizeof(one));
    }
  };
  UniqueFd fd_;
  std::stop_callback<Wake> callback_;
};

/// One connection, non-blocking; every wait ends with a deadline or a stop. One thread.
class Wire {
 public:
  Wire(const UnixUrl& url, std::stop_token stop) : socket_path_(url.socket), stop_(stop), wake_(stop) {}

  Status Connect(SteadyTime deadline) {
    sockaddr_un to{};
    to.sun_family = AF_UNIX;
    if (socket_path_.size() >= sizeof(to.sun_path)) {
      return Fail(ErrorCode::kInvalid, fmt::format("{}: too long for a socket's path", socket_path_));
    }
    std::memcpy(to.sun_path, socket_path_.data(), socket_path_.size());
    socket_.Reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!socket_.valid()) return Broken("socket", errno);
    while (::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&to), sizeof(to)) != 0) {
      // A full queue of waiting connections says EAGAIN, and nothing tells when there is room.
      if (errno != EAGAIN && errno != EINTR) return Broken("connect", errno);
      YBIS_TRY(Wait(-1, 0, std::min(deadline, SteadyClock::now() + milliseconds(10)), deadline));
    }
    return {};
  }

  Status Write(std::string_view bytes, SteadyTime deadline) {
    while (!bytes.empty()) {
      const ssize_t count = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (count > 0) {
        bytes.remove_prefix(static_cast<size_t>(count));
      } else if (errno == EAGAIN) {
        YBIS_TRY(Wait(socket_.get(), POLLOUT, deadline, deadline));
      } else if (errno == EPIPE || errno == ECONNRESET) {
        return {};  // it may have answered before it had read everything: see what there is to read
      } else if (errno != EINTR) {
        return Broken("send", errno);
      }
    }
    return {};
  }

  /// At least one byte, or none at the end.
  Result<size_t> Read(char* into, size_t size, SteadyTime deadline) {
    for (;;) {
      if (stop_.stop_requested()) return Stopped();
      const ssize_t count = ::recv(socket_.get(), into, size, 0);
      if (count >= 0) return static_cast<size_t>(count);
      if (errno == EAGAIN) {
        YBIS_TRY(Wait(socket_.get(), POLLIN, deadline, deadline));
      } else if (errno != EINTR) {
        return Broken("receive", errno);
      }
    }
  }

 private:
  /// Waits for the socket (or until `until` without one). Past `deadline` it is a time-out.
  Status Wait(int fd, short events, SteadyTime until, SteadyTime deadline) const {
    pollfd entries[] = {{fd, events, 0}, {wake_.get(), POLLIN, 0}};
    const auto left = std::chrono::ceil<milliseconds>(until - SteadyClock::now());
    const auto wait = std::clamp(left, milliseconds(0), milliseconds(3'600'000));
    ::poll(entries, 2, static_cast<int>(wait.count()));
    if (stop_.stop_requested()) return Stopped();
    if (SteadyClock::now() >= deadline) {
      return Fail(ErrorCode::kTimeout, fmt::format("{}: no answer within the deadline", socket_path_));
    }
    return {};
  }

  Unexpected Stopped() const { return Fail(ErrorCode::kCancelled, socket_path_ + ": stopped"); }
  Unexpected Broken(const char* what, int number) const {
    return Fail(ErrorCode::kUnavailable,
                fmt::format("{}: {}: {}", socket_path_, what, std::strerror(number)));
  }

  std::string socket_path_;
  std::stop_token stop_;
  StopDescriptor wake_;
  UniqueFd socket_;
};

Result<std::string> HeadOf(const ClientRequest& request, const UnixUrl& url, const std::string& user_agent) {
  if (!IsToken(request.method)) return Fail(ErrorCode::kInvalid, "HTTP method: not a token");
  std::string head =
      fmt::format("{} {} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: {}\r\nConnection: close\r\n",
                  request.method, url.target, user_agent);
  for (const auto& [name, value] : request.headers) {
    if (!IsToken(name) || HasControl(value)) {
      return Fail(ErrorCode::kInvalid, "HTTP header: a name or value holds characters that are not allowed");
    }
    head += fmt::format("{}: {}\r\n", name, value);
  }
  const bool has_body = !request.body.empty() || request.method == "POST" || request.method == "PUT";
  if (has_body) head += fmt::format("Content-Length: {}\r\n", request.body.size());
  return head + "\r\n";
}

/// Reads one response off a wire.
class Answer {
 public:
  Answer(Wire& wire, uint64_t max_body, bool is_head) : wire_(wire), max_body_(max_body) {
    parser_.header_limit(kMaxHead);
    parser_.body_limit(max_body);
    if (is_head) parser_.skip(true);
  }

  bool done() const { return parser_.is_done(); }
  bool has_head() const { return parser_.is_header_done(); }

  /// Takes in what arrives next.
  Status Advance(SteadyTime deadline) {
    char chunk[kReadSize];
    YBIS_ASSIGN(const size_t count, wire_.Read(chunk, sizeof(chunk), deadline));
    boost::beast::error_code error;
    if (count == 0) {
      parser_.put_eof(error);
      if (error || !parser_.is_done()) return Fail(ErrorCode::kUnavailable, "the answer was cut off");
      return {};
    }
    pending_.append(chunk, count);
    return Parse();
  }

  ClientResponse Head() const {
    ClientResponse out;
    out.status = static_cast<int>(parser_.get().result_int());
    for (const auto& field : parser_.get().base()) {
      std::string name(field.name_string());
      std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
      std::string& value = out.headers[name];
      if (!value.empty()) value += ", ";
      value += std::string(field.value());
    }
    return out;
  }

  std::string TakeBody() { return std::exchange(parser_.get().body(), {}); }

 private:
  Status Parse() {
    while (!pending_.empty() && !parser_.is_done()) {
      boost::beast::error_code error;
      const size_t used = parser_.put(boost::asio::buffer(pending_), error);
      pending_.erase(0, used);
      if (error == beast::error::need_more) return {};
      if (error == beast::error::body_limit || TooLarge()) {
        return Fail(ErrorCode::kTooLarge, "the answer is larger than allowed");
      }
      // Only now, since the library makes room for the announced length as soon as it reads the body.
      if (parser_.is_header_done()) parser_.eager(true);
      if (error) {
        return Fail(ErrorCode::kUnavailable, "the answer is not HTTP: " + error.message());
      }
      if (used == 0) return {};
    }
    return {};
  }

  bool TooLarge() const {
    const auto announced = parser_.is_header_done() ? parser_.content_length() : boost::none;
    return (announced && *announced > max_body_) || parser_.get().body().size() > max_body_;
  }

  Wire& wire_;
  uint64_t max_body_;
  beast::response_parser<beast::string_body> parser_;
  std::string pending_;
};

SteadyTime After(milliseconds time) { return SteadyClock::now() + std::min(time, milliseconds(86'400'000)); }

Status SendRequest(Wire& wire, const ClientRequest& request, const std::string& head, SteadyTime deadline) {
  YBIS_TRY(wire.Connect(deadline));
  YBIS_TRY(wire.Write(head, deadline));
  return wire.Write(request.body, deadline);
}

}  // namespace

Result<UnixUrl> ParseUnixUrl(std::string_view text) {
  constexpr std::string_view kScheme = "unix:";
  constexpr const char* kForm = "must be unix:/path/to.sock:/target";
  if (!text.starts_with("unix:/")) return Fail(ErrorCode::kInvalid, std::string("URL: ") + kForm);
  if (std::any_of(text.begin(), text.end(), [](unsigned char c) { return c <= 0x20 || c == 0x7f; })) {
    return Fail(ErrorCode::kInvalid, "URL: holds a blank or control character");
  }
  const std::string_view rest = text.substr(kScheme.size());
  const size_t colon = rest.find(':');
  UnixUrl url{std::string(rest.substr(0, colon)), "/"};
  if (colon == std::string_view::npos || colon + 1 == rest.size()) return url;
  url.target = rest.substr(colon + 1);
  if (url.target.front() != '/' || url.target.find('#') != std::string::npos) {
    return Fail(ErrorCode::kInvalid, std::string("URL: ") + kForm);
  }
  return url;
}

Result<ClientResponse> UnixClient::Send(const ClientRequest& request, std::stop_token stop) {
  YBIS_ASSIGN(const UnixUrl url, ParseUnixUrl(request.url));
  YBIS_ASSIGN(const std::string head, HeadOf(request, url, user_agent_));
  const SteadyTime deadline = After(request.timeout);
  Wire wire(url, stop);
  YBIS_TRY(SendRequest(wire, request, head, deadline));
  Answer answer(wire, request.max_response_bytes, request.method == "HEAD");
  while (!answer.done()) {
    if (const Status read = answer.Advance(deadline); !read) return FailIn(url.socket, read.error());
  }
  ClientResponse response = answer.Head();
  response.body = answer.TakeBody();
  return response;
}

Status UnixClient::Stream(const ClientRequest& request, const StreamHandler& handler, std::stop_token stop) {
  YBIS_ASSIGN(const UnixUrl url, ParseUnixUrl(request.url));
  YBIS_ASSIGN(const std::string head, HeadOf(request, url, user_agent_));
  const SteadyTime deadline = After(request.timeout);
  Wire wire(url, stop);
  YBIS_TRY(SendRequest(wire, request, head, deadline));
  Answer answer(wire, std::numeric_limits<uint64_t>::max(), request.method == "HEAD");
  while (!answer.has_head()) {
    if (const Status read = answer.Advance(deadline); !read) return FailIn(url.socket, read.error());
  }
  if (handler.on_head) YBIS_TRY(handler.on_head(answer.Head()));
  for (;;) {
    const std::string chunk = answer.TakeBody();
    if (!chunk.empty() && handler.on_chunk) YBIS_TRY(handler.on_chunk(chunk));
    if (answer.done()) return {};
    const auto idle = request.idle_timeout.count() > 0 ? request.idle_timeout : milliseconds(86'400'000);
    if (const Status read = answer.Advance(After(idle)); !read) return FailIn(url.socket, read.error());
  }
}

}  // namespace ybis::http
