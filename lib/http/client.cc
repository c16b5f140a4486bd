// The adapter over cpprestsdk: the one file that knows its types. Its traps, and what is done about each, are
// told where they are met.
#include "http/client.h"

#include <cpprest/astreambuf.h>
#include <cpprest/http_client.h>
#include <fmt/format.h>
#include <openssl/crypto.h>
#include <pplx/threadpool.h>

#include <algorithm>
#include <boost/asio/ssl/context.hpp>
#include <mutex>

#include "http/client_pipe.h"
#include "http/client_tls.h"
#include "http/url.h"

namespace ybis::http {
namespace {

namespace rest = web::http;
using SteadyClock = std::chrono::steady_clock;

/// OpenSSL would clean up after itself at the exit of the program, while the library's threads still use it:
/// their state leaks then at best. Before anything else in the process has asked for that.
[[maybe_unused]] const int kNoOpenSslCleanup = OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, nullptr);

/// A write-only stream buffer that feeds a ClientPipe. The library's own buffers take whatever the server
/// sends; here the task of a write ends only when there is room, and no more is read from the socket until
/// then.
class PipeBuffer final : public Concurrency::streams::details::streambuf_state_manager<uint8_t> {
 public:
  explicit PipeBuffer(std::shared_ptr<ClientPipe> pipe)
      : streambuf_state_manager(std::ios_base::out), pipe_(std::move(pipe)) {}

  bool can_seek() const override { return false; }
  bool has_size() const override { return false; }
  size_t buffer_size(std::ios_base::openmode) const override { return 0; }
  void set_buffer_size(size_t, std::ios_base::openmode) override {}
  size_t in_avail() const override { return 0; }
  pos_type getpos(std::ios_base::openmode) const override { return traits::eof(); }
  pos_type seekpos(pos_type, std::ios_base::openmode) override { return traits::eof(); }
  pos_type seekoff(off_type, std::ios_base::seekdir, std::ios_base::openmode) override {
    return traits::eof();
  }
  bool acquire(uint8_t*&, size_t&) override { return false; }
  void release(uint8_t*, size_t) override {}

 protected:
  // A throw in here would abort the process: a reader that has gone away is told by the task instead.
  pplx::task<size_t> _putn(const uint8_t* bytes, size_t count) override {
    pplx::task_completion_event<size_t> written;
    pipe_->Push({reinterpret_cast<const char*>(bytes), count}, [written, count](bool wanted) {
      if (wanted) {
        written.set(count);
      } else {
        written.set_exception(std::make_exception_ptr(std::runtime_error("nobody reads")));
      }
    });
    return pplx::task<size_t>(written);
  }
  pplx::task<int_type> _putc(uint8_t byte) override {
    return _putn(&byte, 1).then([byte](size_t) { return static_cast<int_type>(byte); });
  }
  pplx::task<bool> _sync() override { return pplx::task_from_result(true); }
  uint8_t* _alloc(size_t) override { return nullptr; }
  void _commit(size_t) override {}
  pplx::task<int_type> _bumpc() override { return pplx::task_from_result<int_type>(traits::eof()); }
  int_type _sbumpc() override { return traits::eof(); }
  pplx::task<int_type> _getc() override { return pplx::task_from_result<int_type>(traits::eof()); }
  int_type _sgetc() override { return traits::eof(); }
  pplx::task<int_type> _nextc() override { return pplx::task_from_result<int_type>(traits::eof()); }
  pplx::task<int_type> _ungetc() override { return pplx::task_from_result<int_type>(traits::eof()); }
  pplx::task<size_t> _getn(uint8_t*, size_t) override { return pplx::task_from_result<size_t>(0); }
  size_t _scopy(uint8_t*, size_t) override { return 0; }

 private:
  std::shared_ptr<ClientPipe> pipe_;
};

std::string Lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

ClientResponse HeadOf(const rest::http_response& response) {
  ClientResponse head;
  head.status = response.status_code();
  for (const auto& [name, value] : response.headers()) head.headers.emplace(Lower(name), value);
  return head;
}

/// The error in flight as a value; to be called in a catch block.
Error CurrentError() {
  try {
    throw;
  } catch (const std::exception& failure) {
    return Fail(ErrorCode::kUnavailable, failure.what()).value();
  } catch (...) {
    return Fail(ErrorCode::kUnavailable, "the connection failed").value();
  }
}

/// Every task ends here: one that failed unobserved would kill the process.
void Observe(pplx::task<rest::http_response> request, const std::shared_ptr<ClientPipe>& pipe) {
  request.then([pipe](pplx::task<rest::http_response> answered) {
    try {
      const rest::http_response response = answered.get();
      pipe->SetHead(HeadOf(response));
      response.content_ready().then([pipe](pplx::task<rest::http_response> read) {
        try {
          read.get();
          pipe->Finish({});
        } catch (...) {
          pipe->Finish(Fail(CurrentError()));
        }
      });
    } catch (...) {
      pipe->Finish(Fail(CurrentError()));
    }
  });
}

Status CheckHeaders(const std::map<std::string, std::string>& headers) {
  for (const auto& [name, value] : headers) {
    const bool bad_name = name.empty() || std::any_of(name.begin(), name.end(), [](unsigned char c) {
                            return c <= 0x20 || c >= 0x7f || c == ':';
                          });
    const bool bad_value = std::any_of(value.begin(), value.end(),
                                       [](unsigned char c) { return (c < 0x20 && c != '\t') || c == 0x7f; });
    if (bad_name)
      return Fail(ErrorCode::kInvalid, "HTTP request: a header's name holds an illegal character");
    if (bad_value) {
      return Fail(ErrorCode::kInvalid,
                  fmt::format("HTTP request: header {} holds a control character", name));
    }
  }
  return {};
}

rest::http_request MakeRequest(const ClientRequest& request, const Url& url, const std::string& user_agent,
                               const std::shared_ptr<ClientPipe>& pipe) {
  rest::http_request made(request.method);
  made.set_request_uri(web::uri(url.target));
  if (!request.body.empty() || request.method == "POST" || request.method == "PUT" ||
      request.method == "PATCH") {
    made.set_body(std::vector<unsigned char>(request.body.begin(), request.body.end()));
  }
  made.headers()["User-Agent"] = user_agent;
  for (const auto& [name, value] : request.headers) made.headers()[name] = value;
  made.set_response_stream(
      Concurrency::streams::streambuf<uint8_t>(std::make_shared<PipeBuffer>(pipe)).create_ostream());
  return made;
}

bool IsRead(const std::string& method) { return method == "GET" || method == "HEAD"; }

}  // namespace

void InitThreads(int threads) {
  static std::once_flag once;
  std::call_once(once, [threads] {
    try {
      crossplat::threadpool::initialize_with_threads(static_cast<size_t>(threads));
    } catch (const std::exception&) {
      // Somebody used the pool already: it stays as it is.
    }
  });
}

/// The library's clients, one for each origin: each keeps its own idle connections.
class Client::Pools {
 public:
  explicit Pools(ClientSettings settings) : settings_(std::move(settings)) {}

  const std::string& UserAgent() const { return settings_.user_agent; }

  std::shared_ptr<rest::client::http_client> For(const Url& url, bool pooled) {
    if (!pooled) return Make(url);
    auto clients = clients_.Lock();
    auto& client = (*clients)[url.Origin()];
    if (!client) client = Make(url);
    return client;
  }
  /// What was wrong with TLS at the last connection; "" when nothing.
  std::string Problem() { return *tls_problem_->Lock(); }

 private:
  std::shared_ptr<rest::client::http_client> Make(const Url& url) {
    rest::client::http_client_config config;
    config.set_max_redirects(0);                 // followed ones would carry the bearer token to another host
    config.set_timeout(std::chrono::hours(24));  // counts silence only; deadlines are ours
    config.set_ssl_context_callback(
        [tls = settings_.tls, problem = tls_problem_](boost::asio::ssl::context& context) {
          ConfigureTls(context.native_handle(), tls, problem);
        });
    return std::make_shared<rest::client::http_client>(url.Origin(), config);
  }

  ClientSettings settings_;
  Sync<std::map<std::string, std::shared_ptr<rest::client::http_client>>> clients_;
  TlsProblem tls_problem_ = std::make_shared<Sync<std::string>>();
};

Client::Client(ClientSettings settings) {
  InitThreads();
  pools_ = std::make_shared<Pools>(std::move(settings));
}

Client::~Client() = default;

/// One request on its way. Its destruction ends it, wherever it is: the connection is closed, and what the
/// library still does about it finds nobody waiting.
class Client::Exchange {
 public:
  static Result<std::unique_ptr<Exchange>> Start(Pools& pools, const ClientRequest& request) {
    YBIS_TRY(CheckHeaders(request.headers));
    YBIS_ASSIGN(const Url url, ParseUrl(request.url));
    auto exchange = std::unique_ptr<Exchange>(new Exchange(pools, url));
    try {
      exchange->client_ = pools.For(url, request.pooled);
      auto made = MakeRequest(request, url, pools.UserAgent(), exchange->pipe_);
      Observe(exchange->client_->request(made, exchange->cancel_.get_token()), exchange->pipe_);
    } catch (...) {
      return Fail(exchange->Explain(CurrentError()));
    }
    return exchange;
  }

  ~Exchange() {
    cancel_.cancel();
    pipe_->Abandon();
  }

  Result<ClientResponse> Head(std::optional<SteadyClock::time_point> deadline, const std::stop_token& stop) {
    auto head = pipe_->Head(deadline, stop);
    if (!head) return Fail(Explain(std::move(head).error()));
    return head;
  }
  Result<std::string> Next(std::optional<SteadyClock::time_point> deadline, const std::stop_token& stop) {
    auto bytes = pipe_->Next(deadline, stop);
    if (!bytes) return Fail(Explain(std::move(bytes).error()));
    return bytes;
  }

 private:
  Exchange(Pools& pools, const Url& url) : pools_(pools), origin_(url.Origin()) {}

  Error Explain(Error error) {
    const std::string tls = error.code == ErrorCode::kUnavailable ? pools_.Problem() : std::string();
    if (!tls.empty()) error.message = tls;
    error.message = fmt::format("{}: {}", origin_, error.message);
    return error;
  }

  Pools& pools_;
  std::string origin_;
  std::shared_ptr<ClientPipe> pipe_ = std::make_shared<ClientPipe>();
  std::shared_ptr<rest::client::http_client> client_;
  pplx::cancellation_token_source cancel_;
};

namespace {

Status CheckLength(const ClientResponse& head, const ClientRequest& request, size_t have) {
  const std::string declared = head.Header("content-length");
  const size_t length = std::max<size_t>(have, std::strtoull(declared.c_str(), nullptr, 10));
  if (request.method == "HEAD" || length <= request.max_response_bytes) return {};
  return Fail(ErrorCode::kTooLarge,
              fmt::format("{}: the answer is longer than {} bytes",
                          request.url.substr(0, request.url.find('?')), request.max_response_bytes));
}

}  // namespace

Result<ClientResponse> Client::SendOnce(const ClientRequest& request, std::stop_token stop) {
  const auto deadline = SteadyClock::now() + request.timeout;
  YBIS_ASSIGN(const auto exchange, Exchange::Start(*pools_, request));
  YBIS_ASSIGN(ClientResponse response, exchange->Head(deadline, stop));
  YBIS_TRY(CheckLength(response, request, 0));
  while (true) {
    YBIS_ASSIGN(const std::string bytes, exchange->Next(deadline, stop));
    if (bytes.empty()) return response;
    response.body += bytes;
    YBIS_TRY(CheckLength(response, request, response.body.size()));
  }
}

Result<ClientResponse> Client::Send(const ClientRequest& request, std::stop_token stop) {
  const auto start = SteadyClock::now();
  auto response = SendOnce(request, stop);
  const bool broken = !response && response.error().code == ErrorCode::kUnavailable;
  if (!broken || !request.pooled || !IsRead(request.method)) return response;
  // An idle connection that the server had closed fails like a broken one: a read may be tried once more, on
  // a new one.
  ClientRequest again = request;
  again.pooled = false;
  again.timeout -= std::chrono::duration_cast<std::chrono::milliseconds>(SteadyClock::now() - start);
  return SendOnce(again, stop);
}

Status Client::Stream(const ClientRequest& request, const StreamHandler& handler, std::stop_token stop) {
  YBIS_ASSIGN(const auto exchange, Exchange::Start(*pools_, request));
  YBIS_ASSIGN(const ClientResponse head, exchange->Head(SteadyClock::now() + request.timeout, stop));
  if (handler.on_head) YBIS_TRY(handler.on_head(head));
  while (true) {
    std::optional<SteadyClock::time_point> deadline;
    if (request.idle_timeout.count() > 0) deadline = SteadyClock::now() + request.idle_timeout;
    YBIS_ASSIGN(const std::string bytes, exchange->Next(deadline, stop));
    if (bytes.empty()) return {};
    YBIS_TRY(handler.on_chunk(bytes));
  }
}

}  // namespace ybis::http
