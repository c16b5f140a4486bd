#include "http/unix_client.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>
#include <thread>

#include "base/unique_fd.h"
#include "http/server.h"
#include "tests/support/temp_dir.h"

namespace ybis::http {
namespace {

using namespace std::chrono_literals;

/// The real server on a Unix socket.
class Echo {
 public:
  Echo() {
    Router router;
    router.Add("POST", "/v1/echo/{name}",
               [](const Request& request, std::stop_token) {
                 return Response{200,
                                 {{"X-Name", request.Param("name")}, {"X-Auth", request.BearerToken()}},
                                 request.body};
               },
               {.max_body = 8 * 1024 * 1024});
    router.Add("GET", "/busy", [](const Request&, std::stop_token) {
      return Response{503, {{"Retry-After", "7"}}, "later"};
    });
    router.Add("GET", "/slow", [](const Request&, std::stop_token stop) {
      for (int i = 0; i < 25 && !stop.stop_requested(); ++i) std::this_thread::sleep_for(20ms);
      return TextResponse("slow");
    });
    auto server = Server::Start({.listen = {{.unix_path = path()}}}, std::move(router));
    EXPECT_TRUE(server) << server.error().message;
    if (server) server_ = std::move(*server);
  }
  std::string path() const { return dir_.path() / "s.sock"; }
  std::string Url(const std::string& target) const { return "unix:" + path() + ":" + target; }

 private:
  testing::TempDir dir_;
  std::unique_ptr<Server> server_;
};

/// Accepts one connection and answers with fixed bytes, whatever is asked.
class RawServer {
 public:
  RawServer(const std::string& bytes, bool keep_open) {
    sockaddr_un to{};
    to.sun_family = AF_UNIX;
    const std::string path = dir_.path() / "raw.sock";
    std::memcpy(to.sun_path, path.data(), path.size());
    listener_.Reset(::socket(AF_UNIX, SOCK_STREAM, 0));
    EXPECT_EQ(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&to), sizeof(to)), 0);
    EXPECT_EQ(::listen(listener_.get(), 4), 0);
    thread_ = std::jthread([this, bytes, keep_open](std::stop_token stop) {
      UniqueFd peer(::accept(listener_.get(), nullptr, nullptr));
      char sink[4096];
      [[maybe_unused]] const auto got = ::recv(peer.get(), sink, sizeof(sink), 0);
      [[maybe_unused]] const auto sent = ::send(peer.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      while (keep_open && !stop.stop_requested()) std::this_thread::sleep_for(5ms);
    });
  }
  ~RawServer() {
    thread_.request_stop();
    ::shutdown(listener_.get(), SHUT_RDWR);
  }
  std::string Url() const { return fmt::format("unix:{}:/", (dir_.path() / "raw.sock").string()); }

 private:
  testing::TempDir dir_;
  UniqueFd listener_;
  std::jthread thread_;
};

TEST(UnixClient, SendsHeadersAndBodyAndReadsTheAnswer) {
  Echo echo;
  UnixClient client;
  const auto answer = client.Send({.method = "POST",
                                   .url = echo.Url("/v1/echo/a%2Fb"),
                                   .headers = {{"Authorization", "Bearer t0ken"}},
                                   .body = "hello"},
                                  {});
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->status, 200);
  EXPECT_EQ(answer->body, "hello");
  EXPECT_EQ(answer->Header("x-name"), "a/b");
  EXPECT_EQ(answer->Header("x-auth"), "t0ken");
}

TEST(UnixClient, CarriesMegabytesBothWays) {
  Echo echo;
  UnixClient client;
  const std::string body(5 * 1024 * 1024, 'x');
  const auto answer = client.Send({.method = "POST", .url = echo.Url("/v1/echo/n"), .body = body}, {});
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->body.size(), body.size());
}

TEST(UnixClient, GivesErrorStatusesAsResponses) {
  Echo echo;
  UnixClient client;
  const auto answer = client.Send({.url = echo.Url("/busy")}, {});
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 503);
  EXPECT_EQ(answer->RetryAfter(), 7s);
  EXPECT_EQ(client.Send({.url = echo.Url("/none")}, {})->status, 404);
}

TEST(UnixClient, NobodyListeningIsUnavailableAndRetryable) {
  testing::TempDir dir;
  UnixClient client;
  const auto answer = client.Send({.url = fmt::format("unix:{}/none.sock:/", dir.path().string())}, {});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, ErrorCode::kUnavailable);
  EXPECT_TRUE(answer.error().retryable);
}

TEST(UnixClient, EndsAtTheDeadline) {
  Echo echo;
  UnixClient client;
  const auto begun = std::chrono::steady_clock::now();
  const auto answer = client.Send({.url = echo.Url("/slow"), .timeout = 100ms}, {});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, ErrorCode::kTimeout);
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 1500ms);
}

TEST(UnixClient, EndsAtOnceWhenStopped) {
  Echo echo;
  UnixClient client;
  std::stop_source stop;
  const std::jthread stopper([&] {
    std::this_thread::sleep_for(50ms);
    stop.request_stop();
  });
  const auto begun = std::chrono::steady_clock::now();
  const auto answer = client.Send({.url = echo.Url("/slow")}, stop.get_token());
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, ErrorCode::kCancelled);
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 1500ms);
}

TEST(UnixClient, RefusesWhatIsLargerThanAllowed) {
  Echo echo;
  UnixClient client;
  const auto answer = client.Send({.method = "POST",
                                   .url = echo.Url("/v1/echo/n"),
                                   .body = std::string(10'000, 'x'),
                                   .max_response_bytes = 1000},
                                  {});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, ErrorCode::kTooLarge);
}

TEST(UnixClient, ACutAnswerIsUnavailable) {
  RawServer server("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", false);
  UnixClient client;
  const auto answer = client.Send({.url = server.Url()}, {});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, ErrorCode::kUnavailable);
}

TEST(UnixClient, RefusesEndlessHeadsAndWhatIsNotHttp) {
  UnixClient client;
  RawServer endless("HTTP/1.1 200 OK\r\nX: " + std::string(200'000, 'a'), true);
  EXPECT_EQ(client.Send({.url = endless.Url(), .timeout = 5s}, {}).error().code, ErrorCode::kUnavailable);
  RawServer noise("SSH-2.0-OpenSSH\r\n\r\n", true);
  EXPECT_EQ(client.Send({.url = noise.Url(), .timeout = 5s}, {}).error().code, ErrorCode::kUnavailable);
}

TEST(UnixClient, StreamsChunksAsTheyCome) {
  RawServer server(
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", true);
  UnixClient client;
  int status = 0;
  std::string text;
  const Status streamed = client.Stream({.url = server.Url()},
                                        {.on_head = [&](const ClientResponse& head) -> Status {
                                           status = head.status;
                                           return {};
                                         },
                                         .on_chunk = [&](std::string_view chunk) -> Status {
                                           text += chunk;
                                           return {};
                                         }},
                                        {});
  ASSERT_TRUE(streamed) << streamed.error().message;
  EXPECT_EQ(status, 200);
  EXPECT_EQ(text, "hello world");
}

TEST(UnixClient, RefusesHeadersThatWouldSplit) {
  Echo echo;
  UnixClient client;
  EXPECT_EQ(client.Send({.url = echo.Url("/busy"), .headers = {{"X", "a\r\nY: b"}}}, {}).error().code,
            ErrorCode::kInvalid);
  EXPECT_EQ(client.Send({.method = "GET /x", .url = echo.Url("/busy")}, {}).error().code,
            ErrorCode::kInvalid);
}

TEST(ParseUnixUrl, SplitsSocketAndTarget) {
  EXPECT_EQ(ParseUnixUrl("unix:/run/a.sock:/v1/x?y=a:b")->socket, "/run/a.sock");
  EXPECT_EQ(ParseUnixUrl("unix:/run/a.sock:/v1/x?y=a:b")->target, "/v1/x?y=a:b");
  EXPECT_EQ(ParseUnixUrl("unix:/run/a.sock")->target, "/");
  for (const char* wrong : {"unix:a.sock:/", "http://x/", "unix:/a:b", "unix:/a:/ b", "unix:/a:/x#f", ""}) {
    EXPECT_FALSE(ParseUnixUrl(wrong)) << wrong;
  }
}

}  // namespace
}  // namespace ybis::http
