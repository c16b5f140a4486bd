#include "http/client.h"

#include <gtest/gtest.h>

#include <fstream>

#include "tests/http/client_raw_server.h"

namespace ybis::http {
namespace {

using std::chrono::milliseconds;
using SteadyClock = std::chrono::steady_clock;

milliseconds Since(SteadyClock::time_point start) {
  return std::chrono::duration_cast<milliseconds>(SteadyClock::now() - start);
}

/// Peak resident memory of this process since the last reset, in KiB.
size_t PeakKib() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return std::stoul(line.substr(6));
  }
  return 0;
}
void ResetPeak() { std::ofstream("/proc/self/clear_refs") << "5"; }

class ClientTest : public ::testing::Test {
 protected:
  Result<ClientResponse> Get(const std::string& url, milliseconds timeout = milliseconds(5000)) {
    return client_.Send({.url = url, .timeout = timeout}, stop_.get_token());
  }
  Client client_{ClientSettings{.user_agent = "ybis-test/1"}};
  std::stop_source stop_;
};

TEST_F(ClientTest, SendsMethodHeadersAndBodyAndReadsTheAnswer) {
  std::string seen;
  RawServer server([&](RawConnection& connection) {
    seen = connection.ReadRequest();
    connection.Respond(201, "gr\xc3\xbc\xc3\x9f\xff", "X-Thing: One\r\n");
  });
  const auto response = client_.Send({.method = "POST",
                                      .url = server.Url("/a%2Fb/c?x=1%202&y=z"),
                                      .headers = {{"Content-Type", "application/json"}, {"X-Mine", "v"}},
                                      .body = "{\"k\":1}"},
                                     stop_.get_token());
  ASSERT_TRUE(response) << response.error().message;
  EXPECT_EQ(response->status, 201);
  EXPECT_EQ(response->body, "gr\xc3\xbc\xc3\x9f\xff") << "bytes must come through unchanged";
  EXPECT_EQ(response->Header("x-thing"), "One");
  EXPECT_TRUE(seen.starts_with("POST /a%2Fb/c?x=1%202&y=z HTTP/1.1\r\n")) << seen;
  EXPECT_NE(seen.find("User-Agent:ybis-test/1\r\n"), std::string::npos) << seen;
  EXPECT_NE(seen.find("Content-Type:application/json\r\n"), std::string::npos) << seen;
  EXPECT_TRUE(seen.ends_with("\r\n\r\n{\"k\":1}")) << seen;
}

TEST_F(ClientTest, ReusesAPooledConnectionAndNotAnother) {
  RawServer server([](RawConnection& connection) {
    while (!connection.ReadRequest().empty()) connection.Respond(200, "{}");
  });
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(Get(server.Url()));
  const int pooled = server.Connections();
  EXPECT_LT(pooled, 10) << "a connection goes back to the pool a moment after its answer";
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(client_.Send({.method = "POST", .url = server.Url(), .body = "x", .pooled = false}, {}));
  }
  EXPECT_EQ(server.Connections(), pooled + 3);
}

TEST_F(ClientTest, NamesTheHostWhenNobodyListens) {
  int port = 0;
  {
    port = RawServer([](RawConnection&) {}).Port();
  }
  const auto response = Get("http://127.0.0.1:" + std::to_string(port));
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().code, ErrorCode::kUnavailable);
  EXPECT_TRUE(response.error().retryable);
  EXPECT_NE(response.error().message.find("127.0.0.1:" + std::to_string(port)), std::string::npos)
      << response.error().message;
}

TEST_F(ClientTest, NamesTheHostThatDoesNotResolve) {
  const auto response = Get("https://no-such-host.invalid/");
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().code, ErrorCode::kUnavailable);
  EXPECT_NE(response.error().message.find("no-such-host.invalid"), std::string::npos)
      << response.error().message;
}

TEST_F(ClientTest, EndsASlowHeadAtTheTotalDeadline) {
  RawServer server([](RawConnection& connection) {
    connection.ReadRequest();
    connection.Write("HTTP/1.1 200 OK\r\n");
    for (int i = 0; i < 100 && connection.Write("X-A: b\r\n"); ++i)
      std::this_thread::sleep_for(milliseconds(20));
  });
  const auto start = SteadyClock::now();
  const auto response = Get(server.Url(), milliseconds(300));
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().code, ErrorCode::kTimeout);
  EXPECT_LT(Since(start), milliseconds(600)) << "bytes that drip in must not put the deadline off";
}

TEST_F(ClientTest, EndsAStalledBodyAtTheTotalDeadline) {
  RawServer server([](RawConnection& connection) {
    connection.ReadRequest();
    connection.Write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc");
    connection.WaitForClose();
  });
  const auto response = Get(server.Url(), milliseconds(200));
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().code, ErrorCode::kTimeout);
}

TEST_F(ClientTest, ReportsABodyCutShort) {
  RawServer server([](RawConnection& connection) {
    connection.ReadRequest();
    connection.Write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc");
  });
  const auto response = Get(server.Url());
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().code, ErrorCode::kUnavailable);
}

TEST_F(ClientTest, RefusesADeclaredLengthOverTheCapAtOnce) {
  RawServer server([](RawConnection& connection) {
    connection.ReadRequest();
    connection.Write("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\nabc");
    connection.WaitForClose();
  });
  const auto response = Get(server.Url());
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().code, ErrorCode::kTooLarge);
}

TEST_F(ClientTest, CutsAnEndlessBodyAtTheCapWithBoundedMemory) {
  RawServer server([](RawConnection& connection) {
    connection.ReadRequest();
    connection.StartChunked();
    const std::string block(64 * 1024, 'x');
    while (connection.Chunk(block)) {
    }
  });
  ResetPeak();
  const size_t before = PeakKib();
  const auto response =
      client_.Send({.url = server.Url(), .max_response_bytes = 4 * 1024 * 1024}, stop_.get_token());
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().code, ErrorCode::kTooLarge);
  const size_t grown = PeakKib() - before;
  RecordProperty("grown_kib", static_cast<int>(grown));
  EXPECT_LT(grown, 24 * 1024U * kMemorySlack);
}

TEST_F(ClientTest, HoldsTheSenderBackWhileNobodyReads) {
  std::atomic<size_t> sent{0};
  RawServer server([&](RawConnection& connection) {
    connection.ReadRequest();
    connection.StartChunked();
    const std::string block(64 * 1024, 'x');
    while (sent < 512U * 1024 * 1024 && connection.Chunk(block)) sent += block.size();
  });
  ResetPeak();
  const size_t before = PeakKib();
  size_t sent_while_blocked = 0;
  const StreamHandler handler{.on_chunk = [&](std::string_view) -> Status {
    std::this_thread::sleep_for(milliseconds(700));
    sent_while_blocked = sent;
    return Fail(ErrorCode::kStale, "enough");
  }};
  const Status status = client_.Stream({.url = server.Url()}, handler, stop_.get_token());
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kStale) << "the handler's error ends the stream";
  const size_t grown = PeakKib() - before;
  std::cout << "unread stream: " << sent_while_blocked / 1024 << " KiB left the server, memory grew " << grown
            << " KiB\n";
  EXPECT_LT(sent_while_blocked, 16U * 1024 * 1024) << "what the kernel's socket buffers hold, no more";
  EXPECT_LT(grown, 8 * 1024U * kMemorySlack);
}

TEST_F(ClientTest, StopsASilentStreamWithin200Milliseconds) {
  std::atomic<bool> closed{false};
  RawServer server([&](RawConnection& connection) {
    connection.ReadRequest();
    connection.StartChunked();
    closed = connection.WaitForClose();
  });
  std::atomic<bool> started{false};
  Status status;
  std::jthread caller([&] {
    const StreamHandler handler{.on_head = [&](const ClientResponse&) -> Status {
                                  started = true;
                                  return {};
                                },
                                .on_chunk = [](std::string_view) -> Status { return {}; }};
    status = client_.Stream({.url = server.Url()}, handler, stop_.get_token());
  });
  while (!started) std::this_thread::sleep_for(milliseconds(1));
  std::this_thread::sleep_for(milliseconds(50));
  const auto start = SteadyClock::now();
  stop_.request_stop();
  caller.join();
  const auto took = Since(start);
  std::cout << "a silent stream stopped after " << took.count() << " ms\n";
  EXPECT_LT(took, milliseconds(200));
  EXPECT_EQ(status.error().code, ErrorCode::kCancelled);
  for (int i = 0; i < 200 && !closed; ++i) std::this_thread::sleep_for(milliseconds(5));
  EXPECT_TRUE(closed) << "the connection must be closed, not left behind";
}

TEST_F(ClientTest, StopsWhileWaitingForTheHead) {
  RawServer server([](RawConnection& connection) { connection.WaitForClose(); });
  std::jthread stopper([&] {
    std::this_thread::sleep_for(milliseconds(100));
    stop_.request_stop();
  });
  const auto start = SteadyClock::now();
  const auto response = Get(server.Url());
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().code, ErrorCode::kCancelled) << response.error().message;
  EXPECT_LT(Since(start), milliseconds(300));
}

TEST_F(ClientTest, DoesNotSendAfterAStop) {
  RawServer server([](RawConnection& connection) { connection.ReadRequest(); });
  stop_.request_stop();
  EXPECT_EQ(Get(server.Url()).error().code, ErrorCode::kCancelled);
}

TEST_F(ClientTest, HandsRedirectsBackAndKeepsTheTokenAtHome) {
  std::atomic<int> elsewhere{0};
  RawServer other([&](RawConnection& connection) {
    connection.ReadRequest();
    ++elsewhere;
    connection.Respond(200, "stolen");
  });
  RawServer server([&](RawConnection& connection) {
    connection.ReadRequest();
    connection.Respond(307, "", "Location: " + other.Url("/steal") + "\r\n");
  });
  const auto response =
      client_.Send({.url = server.Url(), .headers = {{"Authorization", "Bearer secret"}}}, stop_.get_token());
  ASSERT_TRUE(response) << response.error().message;
  EXPECT_EQ(response->status, 307);
  EXPECT_EQ(elsewhere, 0);
}

TEST_F(ClientTest, RefusesHeadersThatSplitTheRequest) {
  RawServer server([](RawConnection& connection) { connection.ReadRequest(); });
  for (const auto& [name, value] : std::map<std::string, std::string>{{"X-A", "b\r\nX-Evil: 1"},
                                                                      {"X-B", "b\n"},
                                                                      {"X C", "v"},
                                                                      {"X:D", "v"},
                                                                      {"", "v"},
                                                                      {"X-E", std::string("a\0b", 3)}}) {
    const auto response = client_.Send({.url = server.Url(), .headers = {{name, value}}}, stop_.get_token());
    ASSERT_FALSE(response) << name;
    EXPECT_EQ(response.error().code, ErrorCode::kInvalid) << name;
  }
  EXPECT_EQ(server.Connections(), 0);
}

TEST_F(ClientTest, RepeatsAReadWhoseIdleConnectionHadDied) {
  std::atomic<int> connections{0};
  RawServer server([&](RawConnection& connection) {
    const int number = ++connections;
    connection.ReadRequest();
    connection.Respond(200, std::to_string(number));
    if (number == 1) return;  // closes without a word
    while (!connection.ReadRequest().empty()) connection.Respond(200, "again");
  });
  ASSERT_EQ(Get(server.Url())->body, "1");
  std::this_thread::sleep_for(milliseconds(50));
  const auto second = Get(server.Url());
  ASSERT_TRUE(second) << second.error().message;
  EXPECT_EQ(second->body, "2");
}

TEST_F(ClientTest, SendsAnUnpooledPostOnce) {
  std::atomic<int> posts{0};
  RawServer server([&](RawConnection& connection) {
    if (!connection.ReadRequest().empty()) ++posts;  // and closes without an answer
  });
  const auto response = client_.Send({.method = "POST", .url = server.Url(), .body = "pay", .pooled = false},
                                     stop_.get_token());
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().code, ErrorCode::kUnavailable);
  std::this_thread::sleep_for(milliseconds(100));
  EXPECT_EQ(posts, 1);
}

TEST_F(ClientTest, StreamsChunksInOrderToTheEnd) {
  std::string all;
  for (int i = 0; i < 20'000; ++i) all += std::to_string(i) + ",";
  RawServer server([&](RawConnection& connection) {
    connection.ReadRequest();
    connection.StartChunked();
    for (size_t at = 0; at < all.size(); at += 977) connection.Chunk(all.substr(at, 977));
    connection.EndChunked();
  });
  std::string got;
  const StreamHandler handler{.on_chunk = [&](std::string_view chunk) -> Status {
    got += chunk;
    return {};
  }};
  const Status status = client_.Stream({.url = server.Url()}, handler, stop_.get_token());
  ASSERT_TRUE(status) << status.error().message;
  EXPECT_EQ(got, all);
}

TEST_F(ClientTest, EndsASilentStreamAtTheIdleTimeout) {
  RawServer server([](RawConnection& connection) {
    connection.ReadRequest();
    connection.StartChunked();
    connection.Chunk("hello\n");
    connection.WaitForClose();
  });
  const StreamHandler handler{.on_chunk = [](std::string_view) -> Status { return {}; }};
  const Status status =
      client_.Stream({.url = server.Url(), .idle_timeout = milliseconds(150)}, handler, stop_.get_token());
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kTimeout);
}

TEST_F(ClientTest, SurvivesGarbageInsteadOfHttp) {
  for (const char* garbage : {"SSH-2.0-x\r\n", "\r\n\r\n\r\n", "HTTP/1.1 abc\r\n\r\n",
                              "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
                              "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\n", ""}) {
    RawServer server([&](RawConnection& connection) {
      connection.ReadRequest();
      connection.Write(garbage);
    });
    const auto response = Get(server.Url(), milliseconds(1000));
    EXPECT_TRUE(!response || response->body.empty()) << garbage;
  }
}

TEST_F(ClientTest, ServesManyThreadsAtOnce) {
  RawServer server([](RawConnection& connection) {
    while (!connection.ReadRequest().empty()) connection.Respond(200, "ok");
  });
  std::atomic<int> good{0};
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 8; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 25; ++i) good += Get(server.Url()).has_value() ? 1 : 0;
      });
    }
  }
  EXPECT_EQ(good, 200);
}

TEST(ClientResponse, ReadsRetryAfter) {
  const auto wait = [](const std::string& text) {
    return ClientResponse{.headers = {{"retry-after", text}}}.RetryAfter();
  };
  EXPECT_EQ(wait("7"), milliseconds(7000));
  EXPECT_EQ(wait("99999999"), milliseconds(3'600'000));
  EXPECT_EQ(wait("-1"), milliseconds(0));
  EXPECT_EQ(wait("soon"), milliseconds(0));
  EXPECT_EQ(wait("Wed, 21 Oct 2015 07:28:00 GMT"), milliseconds(0)) << "past";
  EXPECT_EQ(wait("Wed, 21 Oct 2199 07:28:00 GMT"), milliseconds(3'600'000));
  EXPECT_EQ(ClientResponse{}.RetryAfter(), milliseconds(0));
}

}  // namespace
}  // namespace ybis::http
