#pragma once
// What one connection of the server is made of: socket and timer, refusals, and the way from its coroutine to
// the worker pools and back. For server.cc alone, so that Beast is compiled once.
#include <utility>  // before Asio's awaitable, which forgets it

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

#include "base/log.h"
#include "http/server_router.h"
#include "http/server_workers.h"

namespace ybis::http::server_internal {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace wire = boost::beast::http;
using boost::system::error_code;
using Clock = std::chrono::steady_clock;
using Socket = asio::generic::stream_protocol::socket;
using Acceptor = asio::basic_socket_acceptor<asio::generic::stream_protocol>;
using Parser = wire::request_parser<wire::string_body>;
using HandlerResult = std::optional<Response>;

/// A connection's socket and its one timer. Lives on the I/O thread.
struct Connection : std::enable_shared_from_this<Connection> {
  Connection(Socket accepted, Peer who)
      : socket(std::move(accepted)), timer(socket.get_executor()), peer(std::move(who)) {}

  /// What is under way ends with operation_aborted when the time is over; the socket stays open for an
  /// answer.
  void Arm(std::chrono::milliseconds limit) {
    expired = false;
    timer.expires_after(limit);
    timer.async_wait([self = shared_from_this()](error_code failed) {
      if (failed || self->timer.expiry() > Clock::now()) return;
      self->expired = true;
      self->Cancel();
    });
  }
  void Disarm() { timer.expires_at(Clock::time_point::max()); }
  void Cancel() {
    error_code ignored;
    socket.cancel(ignored);
  }
  void StartWaiting() {
    waiting = true;
    waiting_since = Clock::now();
  }
  void Close() {
    error_code ignored;
    socket.shutdown(Socket::shutdown_both, ignored);
    socket.close(ignored);
  }

  Socket socket;
  asio::steady_timer timer;
  Peer peer;
  bool expired = false;
  bool idle = false;  ///< between requests: may be closed at any time
  /// Whoever is there has not shown yet that it may ask, or asks nothing: it may have to make room for
  /// others.
  bool waiting = true;
  bool known = false;  ///< a head check has let it through
  Clock::time_point waiting_since = Clock::now();
};
using ConnectionPtr = std::shared_ptr<Connection>;

inline std::string Lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), [](unsigned char c) { return std::tolower(c); });
  return out;
}

inline void CopyHead(const Parser& parser, const Peer& peer, Request& request) {
  const auto& message = parser.get();
  request.method = std::string(message.method_string());
  request.peer = peer;
  for (const auto& field : message) {
    const auto name = field.name_string();
    const std::string key = Lower({name.data(), name.size()});
    const std::string value(field.value().data(), field.value().size());
    const auto [known, first] = request.headers.try_emplace(key, value);
    if (first) continue;
    auto& all = request.repeated_headers[key];
    if (all.empty()) all.push_back(known->second);
    all.push_back(value);
    known->second += ", " + value;
  }
}

inline Response Refuse(ErrorCode code, std::string message, int status) {
  return ErrorResponse(Fail(code, std::move(message)).value(), status);
}
inline Response Busy() {
  Error error = Fail(ErrorCode::kUnavailable, "the server is busy").value();
  error.retry_after = std::chrono::seconds(1);
  return ErrorResponse(error, 503);
}

/// What to say about bytes that are no request; nothing when the client just went away.
inline std::optional<Response> RefusalOf(error_code failed, const Connection& connection) {
  if (connection.expired) return Refuse(ErrorCode::kTimeout, "the request did not arrive in time", 408);
  if (failed == wire::error::header_limit || failed == wire::error::buffer_overflow) {
    return Refuse(ErrorCode::kTooLarge, "the request's header is too large", 431);
  }
  if (failed == wire::error::body_limit)
    return Refuse(ErrorCode::kTooLarge, "the request's body is too large", 413);
  const bool gone = failed == wire::error::end_of_stream || failed == wire::error::partial_message;
  if (gone || failed.category() != wire::make_error_code(wire::error::end_of_stream).category())
    return std::nullopt;
  return Refuse(ErrorCode::kInvalid, "not an HTTP request: " + failed.message(), 400);
}

inline HandlerResult Guarded(const std::function<HandlerResult()>& work) {
  try {
    return work();
  } catch (const std::exception& bug) {
    log::Error("a request handler threw", {{"what", bug.what()}});
  } catch (...) {
    log::Error("a request handler threw", {});
  }
  return Refuse(ErrorCode::kInternal, "the server failed; its log says why", 500);
}

/// Runs `work` on a worker while the coroutine waits; a full pool answers Busy.
inline asio::awaitable<HandlerResult> OnWorkers(ServerWorkers& workers, std::function<HandlerResult()> work) {
  auto executor = co_await asio::this_coro::executor;
  auto initiate = [&workers, executor](auto completion, std::function<HandlerResult()> job) {
    auto resume = std::make_shared<decltype(completion)>(std::move(completion));
    const bool taken = workers.Submit([resume, executor, job = std::move(job)]() mutable {
      auto result = std::make_shared<HandlerResult>(Guarded(job));
      asio::post(executor, [resume = std::move(resume), result] { (*resume)(std::move(*result)); });
    });
    if (!taken) asio::post(executor, [resume] { (*resume)(HandlerResult(Busy())); });
  };
  HandlerResult result = co_await asio::async_initiate<const asio::use_awaitable_t<>, void(HandlerResult)>(
      initiate, asio::use_awaitable, std::move(work));
  co_return result;
}

/// Bytes set aside for a body, given back at the end.
class Reservation {
 public:
  Reservation(std::atomic<size_t>& used, size_t bytes, size_t limit) : used_(used), bytes_(bytes) {
    granted_ = used_.fetch_add(bytes) + bytes <= limit;
  }
  ~Reservation() { used_ -= bytes_; }
  Reservation(const Reservation&) = delete;
  Reservation& operator=(const Reservation&) = delete;
  bool granted() const { return granted_; }

 private:
  std::atomic<size_t>& used_;
  size_t bytes_;
  bool granted_;
};

}  // namespace ybis::http::server_internal
