// The adapter over Boost.Beast: with server_connection.h the one file that knows its types. One I/O thread
// runs a coroutine for each connection; handlers run on the worker pools.
#include "http/server.h"

#include <unistd.h>

#include "http/server_connection.h"
#include "http/server_listen.h"
#include "http/server_tls.h"
#include "http/server_workers.h"

namespace ybis::http {

using namespace server_internal;

namespace {

// Clients that send the whole body before they look for an answer are to find the refusal, not a reset.
constexpr std::chrono::milliseconds kLinger{5'000};
constexpr size_t kLingerBytes = 128 * 1024 * 1024;
constexpr std::chrono::milliseconds kTlsGoodbye{1'000};

}  // namespace

class Server::Impl {
 public:
  Impl(ServerSettings settings, Router router)
      : settings_(std::move(settings)),
        router_(std::move(router)),
        checks_(settings_.check_workers, settings_.max_queued),
        short_(settings_.workers, settings_.max_queued),
        long_(settings_.long_workers, settings_.max_queued) {}

  ~Impl() { Stop(std::chrono::seconds(5)); }

  Status Listen() {
    if (settings_.tls) YBIS_TRY(ReloadTls(*settings_.tls));
    for (const ListenAddress& listen : settings_.listen) {
      if (listen.tls && !settings_.tls)
        return Fail(ErrorCode::kInvalid, "a TLS listener needs a certificate");
      YBIS_ASSIGN(const ListeningSocket opened, OpenListener(listen));
      const asio::generic::stream_protocol protocol(opened.family, 0);
      listeners_.push_back(
          {Acceptor(io_, protocol, opened.descriptor), listen.tls, !listen.unix_path.empty()});
      ports_.push_back(opened.port);
    }
    for (Listener& listener : listeners_) asio::co_spawn(io_, Accept(listener), asio::detached);
    thread_ = std::jthread([this] { io_.run(); });
    return {};
  }

  int Port(size_t listener) const { return ports_.at(listener); }
  size_t Connections() const { return count_; }

  Status ReloadTls(const ServerTls& tls) {
    auto fresh = std::make_shared<asio::ssl::context>(asio::ssl::context::tls_server);
    YBIS_TRY(ConfigureServerTls(fresh->native_handle(), tls));
    *tls_.Lock() = std::move(fresh);
    return {};
  }

  void Stop(std::chrono::milliseconds grace) {
    if (!thread_.joinable() || stopping_.exchange(true)) return;
    asio::post(io_, [this] { Drain(); });
    WaitUntilEmpty(grace);
    stop_.request_stop();
    WaitUntilEmpty(std::chrono::seconds(2));
    asio::post(io_, [this] {
      for (Connection* connection : connections_) connection->Close();
    });
    WaitUntilEmpty(std::chrono::seconds(2));
    io_.stop();
    thread_.join();
    for (const ListenAddress& listen : settings_.listen) {
      if (!listen.unix_path.empty()) ::unlink(listen.unix_path.c_str());
    }
  }

 private:
  struct Listener {
    Acceptor acceptor;
    bool tls = false;
    bool local = false;
  };

  void WaitUntilEmpty(std::chrono::milliseconds limit) {
    auto empty = empty_.Lock();
    empty_.WaitFor(empty, {}, limit, [this](int) { return count_ == 0 && drained_; });
  }

  /// On the I/O thread: no new connections, no new requests.
  void Drain() {
    for (Listener& listener : listeners_) {
      error_code ignored;
      listener.acceptor.close(ignored);
    }
    for (Connection* connection : connections_) {
      if (connection->idle) connection->Cancel();
    }
    drained_ = true;
    NotifyEmpty();
  }

  void NotifyEmpty() {
    { auto lock = empty_.Lock(); }
    empty_.NotifyAll();
  }

  asio::awaitable<void> Accept(Listener& listener) {
    while (!stopping_) {
      error_code failed;
      asio::generic::stream_protocol::endpoint from;
      auto token = asio::redirect_error(asio::use_awaitable, failed);
      Socket socket = co_await listener.acceptor.async_accept(from, token);
      if (failed == asio::error::operation_aborted || stopping_) co_return;
      if (failed) {
        // Out of descriptors most likely: wait for some to come back instead of spinning.
        asio::steady_timer pause(io_, std::chrono::milliseconds(100));
        co_await pause.async_wait(token);
        continue;
      }
      const Peer peer = PeerOf(from, listener);
      if (!listener.local) LimitStrangers(peer.address);
      if (count_ >= settings_.max_connections && !Evict(Oldest([](const Connection&) { return true; })))
        continue;
      auto connection = std::make_shared<Connection>(std::move(socket), peer);
      asio::co_spawn(io_, Session(connection, listener.tls), asio::detached);
    }
  }

  static Peer PeerOf(const asio::generic::stream_protocol::endpoint& from, const Listener& listener) {
    if (listener.local) return {"unix", 0, false};
    asio::ip::tcp::endpoint endpoint;
    if (from.size() <= endpoint.capacity()) {
      std::memcpy(endpoint.data(), from.data(), from.size());
      endpoint.resize(from.size());
    }
    auto address = endpoint.address();
    if (address.is_v6() && address.to_v6().is_v4_mapped()) {
      address = asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6());
    }
    return {address.to_string(), endpoint.port(), listener.tls};
  }

  /// The connection that has waited longest of those that `fit`; null when none does.
  template <class Fits>
  Connection* Oldest(Fits fits) const {
    Connection* oldest = nullptr;
    for (Connection* connection : connections_) {
      if (!connection->waiting || !fits(*connection)) continue;
      if (oldest == nullptr || connection->waiting_since < oldest->waiting_since) oldest = connection;
    }
    return oldest;
  }

  static bool Evict(Connection* connection) {
    if (connection == nullptr) return false;
    connection->waiting = false;
    // One between requests says goodbye; of the others nothing is worth waiting for.
    if (connection->idle) {
      connection->idle = false;
      connection->Cancel();
    } else {
      connection->Close();
    }
    return true;
  }

  /// A peer that opens many connections and proves nothing loses its own, not those of others.
  void LimitStrangers(const std::string& address) {
    const auto is_stranger = [&address](const Connection& connection) {
      return !connection.known && connection.peer.address == address;
    };
    const auto strangers = std::count_if(
        connections_.begin(), connections_.end(),
        [&](const Connection* connection) { return connection->waiting && is_stranger(*connection); });
    if (static_cast<size_t>(strangers) >= settings_.max_strangers_per_peer) Evict(Oldest(is_stranger));
  }

  /// Keeps a connection in the register for as long as its session runs.
  class Registered {
   public:
    Registered(Impl& impl, Connection* connection) : impl_(impl), connection_(connection) {
      impl_.connections_.insert(connection_);
      ++impl_.count_;
    }
    ~Registered() {
      impl_.connections_.erase(connection_);
      --impl_.count_;
      impl_.NotifyEmpty();
    }
    Registered(const Registered&) = delete;
    Registered& operator=(const Registered&) = delete;

   private:
    Impl& impl_;
    Connection* connection_;
  };

  asio::awaitable<void> Session(ConnectionPtr connection, bool tls) {
    const Registered registered(*this, connection.get());
    if (tls) {
      const auto context = *tls_.Lock();
      asio::ssl::stream<Socket&> stream(connection->socket, *context);
      error_code failed;
      auto token = asio::redirect_error(asio::use_awaitable, failed);
      connection->Arm(settings_.header_timeout);
      co_await stream.async_handshake(asio::ssl::stream_base::server, token);
      if (!failed) {
        connection->peer.certificate_pem = ClientCertificatePem(stream.native_handle());
        co_await ServeAll(*connection, stream);
        connection->Arm(kTlsGoodbye);
        co_await stream.async_shutdown(token);
      }
    } else {
      co_await ServeAll(*connection, connection->socket);
    }
    connection->Disarm();
    connection->Close();
  }

  template <class Stream>
  asio::awaitable<void> ServeAll(Connection& connection, Stream& stream) {
    beast::flat_buffer buffer;
    while (!stopping_) {
      const bool arrived = co_await AwaitRequest(connection, stream, buffer);
      if (!arrived) break;
      const bool go_on = co_await ServeOne(connection, stream, buffer);
      if (!go_on) break;
    }
    connection.Disarm();
  }

  /// Waits for a request's first byte.
  template <class Stream>
  asio::awaitable<bool> AwaitRequest(Connection& connection, Stream& stream, beast::flat_buffer& buffer) {
    if (buffer.size() > 0) co_return true;
    connection.idle = true;
    connection.StartWaiting();
    connection.Arm(settings_.idle_timeout);
    error_code failed;
    auto token = asio::redirect_error(asio::use_awaitable, failed);
    auto space = buffer.prepare(4096);
    const size_t count = co_await stream.async_read_some(space, token);
    buffer.commit(count);
    const bool evicted = !connection.idle;
    connection.idle = false;
    if (!evicted) connection.StartWaiting();
    connection.Disarm();
    co_return !failed && !evicted;
  }

  /// Reads, answers; whether the connection may serve another request.
  template <class Stream>
  asio::awaitable<bool> ServeOne(Connection& connection, Stream& stream, beast::flat_buffer& buffer) {
    Parser parser;
    parser.header_limit(static_cast<uint32_t>(settings_.max_header_bytes));
    parser.body_limit(std::numeric_limits<uint64_t>::max());  // the route's limit, once it is known
    error_code failed;
    auto token = asio::redirect_error(asio::use_awaitable, failed);
    connection.Arm(settings_.header_timeout);
    co_await wire::async_read_header(stream, buffer, parser, token);
    connection.Disarm();
    const auto began = Clock::now();
    Request request;
    Router::Match match;
    Response response;
    bool whole = false;  // whether the request was read to its end
    if (failed) {
      auto refusal = RefusalOf(failed, connection);
      if (!refusal) co_return false;
      response = std::move(*refusal);
    } else {
      CopyHead(parser, connection.peer, request);
      const auto target = parser.get().target();
      if (SplitTarget({target.data(), target.size()}, request)) {
        match = router_.Find(request);
      } else {
        match.refusal = Refuse(ErrorCode::kInvalid, "the request's target is not a well encoded path", 400);
      }
      whole = parser.is_done();
      if (match.route == nullptr) {
        response = std::move(match.refusal);
      } else {
        auto answer = co_await Answer(connection, stream, buffer, parser, *match.route, request);
        if (!answer) co_return false;
        response = std::move(*answer);
        whole = parser.is_done();
      }
    }
    const bool keep = whole && parser.keep_alive() && !stopping_;
    const bool written = co_await Write(connection, stream, response, keep);
    Observe(request, match.route, response.status, began);
    if (written && !whole) {
      connection.StartWaiting();
      co_await Linger(connection);
    }
    co_return written&& keep;
  }

  void Observe(const Request& request, const Route* route, int status, Clock::time_point began) const {
    if (!settings_.on_request) return;
    settings_.on_request(route == nullptr ? std::string_view() : request.method,
                         route == nullptr ? std::string_view() : route->pattern, status,
                         std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - began));
  }

  /// From the head to the answer; none when the client went away in the middle.
  template <class Stream>
  asio::awaitable<HandlerResult> Answer(Connection& connection, Stream& stream, beast::flat_buffer& buffer,
                                        Parser& parser, const Route& route, Request& request) {
    const auto length = parser.content_length();
    if (length && *length > route.options.max_body) {
      co_return Refuse(
          ErrorCode::kTooLarge,
          fmt::format("the body has {} bytes, more than the {} allowed", *length, route.options.max_body),
          413);
    }
    const auto stop = stop_.get_token();
    if (route.options.head_check) {
      connection.waiting = false;
      std::function<HandlerResult()> check = [&route, &request, stop] {
        return route.options.head_check(request, stop);
      };
      auto refusal = co_await OnWorkers(checks_, std::move(check));
      if (refusal) co_return refusal;
      connection.known = true;
    }
    size_t expected = 0;
    if (!parser.is_done()) expected = length ? static_cast<size_t>(*length) : route.options.max_body;
    if (route.options.memory) expected = route.options.memory(expected);
    const Reservation reservation(buffered_, expected, settings_.max_buffered_bytes);
    if (!reservation.granted()) co_return Busy();
    if (!parser.is_done()) {
      auto refusal = co_await ReadBody(connection, stream, buffer, parser, route);
      if (refusal) co_return refusal->status == 0 ? HandlerResult() : std::move(refusal);
    }
    connection.waiting = false;
    request.body = std::move(parser.get().body());
    std::function<HandlerResult()> work = [&route, &request, stop] { return route.handler(request, stop); };
    auto response = co_await OnWorkers(route.options.long_running ? long_ : short_, std::move(work));
    co_return response;
  }

  /// Nothing when the body is there; status 0 when the client went away.
  template <class Stream>
  asio::awaitable<HandlerResult> ReadBody(Connection& connection, Stream& stream, beast::flat_buffer& buffer,
                                          Parser& parser, const Route& route) {
    error_code failed;
    auto token = asio::redirect_error(asio::use_awaitable, failed);
    connection.Arm(route.options.body_timeout);
    parser.body_limit(route.options.max_body);
    if (Lower(std::string_view(parser.get()[wire::field::expect].data(),
                               parser.get()[wire::field::expect].size())) == "100-continue") {
      wire::response<wire::empty_body> go_on(wire::status::continue_, 11);
      co_await wire::async_write(stream, go_on, token);
    }
    if (!failed) co_await wire::async_read(stream, buffer, parser, token);
    connection.Disarm();
    if (!failed) co_return HandlerResult();
    auto refusal = RefusalOf(failed, connection);
    co_return refusal ? std::move(refusal) : HandlerResult(Response{0, {}, {}});
  }

  template <class Stream>
  asio::awaitable<bool> Write(Connection& connection, Stream& stream, Response& response, bool keep) {
    wire::response<wire::string_body> message(static_cast<wire::status>(response.status), 11);
    for (const auto& [name, value] : response.headers) message.set(name, value);
    message.set("X-Content-Type-Options", "nosniff");
    message.keep_alive(keep);
    message.body() = std::move(response.body);
    message.prepare_payload();
    error_code failed;
    auto token = asio::redirect_error(asio::use_awaitable, failed);
    connection.Arm(settings_.write_timeout);
    co_await wire::async_write(stream, message, token);
    connection.Disarm();
    co_return !failed;
  }

  /// Takes in some of what the client still sends, so that it reads the refusal instead of a reset.
  static asio::awaitable<void> Linger(Connection& connection) {
    error_code failed;
    connection.socket.shutdown(Socket::shutdown_send, failed);
    connection.Arm(kLinger);
    std::array<char, 65536> waste;
    auto token = asio::redirect_error(asio::use_awaitable, failed);
    for (size_t taken = 0; taken < kLingerBytes && !failed;) {
      taken += co_await connection.socket.async_read_some(asio::buffer(waste), token);
    }
    connection.Disarm();
  }

  const ServerSettings settings_;
  const Router router_;
  std::atomic<bool> stopping_ = false;
  std::atomic<bool> drained_ = false;
  std::atomic<size_t> count_ = 0;
  std::atomic<size_t> buffered_ = 0;
  std::stop_source stop_;
  Sync<int> empty_{0};
  Sync<std::shared_ptr<asio::ssl::context>> tls_;
  std::set<Connection*> connections_;  ///< I/O thread only
  std::vector<int> ports_;
  asio::io_context io_{1};
  asio::executor_work_guard<asio::io_context::executor_type> work_{io_.get_executor()};
  std::deque<Listener> listeners_;
  // After the I/O context: workers end before it, since what they finish is posted there.
  ServerWorkers checks_;
  ServerWorkers short_;
  ServerWorkers long_;
  std::jthread thread_;
};

Result<std::unique_ptr<Server>> Server::Start(ServerSettings settings, Router router) {
  auto impl = std::make_unique<Impl>(std::move(settings), std::move(router));
  YBIS_TRY(impl->Listen());
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Server::~Server() = default;
int Server::Port(size_t listener) const { return impl_->Port(listener); }
Status Server::ReloadTls(const ServerTls& tls) { return impl_->ReloadTls(tls); }
void Server::Stop(std::chrono::milliseconds grace) { impl_->Stop(grace); }
size_t Server::Connections() const { return impl_->Connections(); }

}  // namespace ybis::http
