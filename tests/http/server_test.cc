#include "http/server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/json.h"
#include "base/sync.h"
#include "tests/http/raw_client.h"
#include "tests/support/temp_dir.h"

namespace ybis::http {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using ybis::testing::RawClient;
using SteadyClock = std::chrono::steady_clock;

/// A server with a few routes; settings may be changed before Start.
class ServerTest : public ::testing::Test {
 protected:
  ServerTest() {
    settings_.listen = {{.address = "127.0.0.1"}};
    settings_.header_timeout = milliseconds(300);
    settings_.idle_timeout = seconds(5);
    router_.Add("GET", "/hello", [](const Request& request, std::stop_token) {
      return TextResponse("hello " + request.peer.address);
    });
    router_.Add("POST", "/echo/{name}",
                [this](const Request& request, std::stop_token) {
                  ++echoed_;
                  return TextResponse(request.Param("name") + ":" + request.body);
                },
                {.max_body = 1000, .body_timeout = milliseconds(300)});
    router_.Add("POST", "/guarded",
                [this](const Request&, std::stop_token) {
                  ++echoed_;
                  return TextResponse("in");
                },
                {.max_body = 64 * 1024 * 1024, .head_check = [](const Request& request, std::stop_token) {
                   if (request.BearerToken() == "good") return std::optional<Response>();
                   return std::optional<Response>(ErrorResponse(Fail(ErrorCode::kDenied, "no").value(), 401));
                 }});
    router_.Add("GET", "/wait",
                [this](const Request&, std::stop_token stop) {
                  auto gate = gate_.Lock();
                  ++gate->waiting;
                  gate_.NotifyAll();
                  const bool opened = gate_.Wait(gate, stop, [](const Gate& now) { return now.open; });
                  return TextResponse(opened ? "opened" : "stopped");
                },
                {.long_running = true});
    router_.Add("GET", "/throw",
                [](const Request&, std::stop_token) -> Response { throw std::runtime_error("bug"); });
  }

  void Start() {
    auto server = Server::Start(settings_, router_);
    ASSERT_TRUE(server) << server.error().message;
    server_ = std::move(*server);
  }
  RawClient Connect() { return RawClient(server_->Port()); }
  std::string Ask(const std::string& bytes) {
    RawClient client = Connect();
    client.Send(bytes);
    return client.ReadAll();
  }
  void WaitUntilWaiting(int count) {
    auto gate = gate_.Lock();
    gate_.WaitFor(gate, {}, seconds(5), [count](const Gate& now) { return now.waiting >= count; });
  }
  void OpenGate() {
    gate_.Lock()->open = true;
    gate_.NotifyAll();
  }

  struct Gate {
    int waiting = 0;
    bool open = false;
  };
  Sync<Gate> gate_;
  std::atomic<int> echoed_ = 0;
  ServerSettings settings_;
  Router router_;
  std::unique_ptr<Server> server_;
};

TEST_F(ServerTest, AnswersAndKeepsTheConnection) {
  Start();
  RawClient client = Connect();
  for (int i = 0; i < 3; ++i) {
    client.Send("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    const std::string answer = client.ReadUntil("hello 127.0.0.1");
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 OK"));
    EXPECT_THAT(answer, HasSubstr("hello 127.0.0.1"));
  }
  EXPECT_EQ(server_->Connections(), 1u);
}

TEST_F(ServerTest, ClosesWhenAskedTo) {
  Start();
  RawClient client = Connect();
  client.Send("GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(client.ReadAll(), HasSubstr("Connection: close"));
  EXPECT_TRUE(client.closed());
}

TEST_F(ServerTest, DecodesParametersAndBodies) {
  Start();
  const std::string answer =
      Ask("POST /echo/a%2Fb?x=1 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc");
  EXPECT_THAT(answer, HasSubstr("a/b:abc"));
}

TEST_F(ServerTest, TellsRepeatedHeadersApart) {
  router_.Add("GET", "/groups", [](const Request& request, std::stop_token) {
    return TextResponse(fmt::format("{}|{}|{}", fmt::join(request.HeaderValues("x-group"), ";"),
                                    request.Header("x-group"), request.HeaderValues("x-none").size()));
  });
  Start();
  const std::string answer =
      Ask("GET /groups HTTP/1.1\r\nHost: x\r\nX-Group: a\r\nx-group: b, c\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(answer, HasSubstr("a;b, c|a, b, c|0"));
}

TEST_F(ServerTest, ReadsChunkedBodies) {
  Start();
  const std::string answer =
      Ask("POST /echo/n HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
          "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
  EXPECT_THAT(answer, HasSubstr("n:abcde"));
}

TEST_F(ServerTest, TellsTheClientToGoOnWithALargeBody) {
  Start();
  RawClient client = Connect();
  client.Send("POST /echo/n HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_THAT(client.ReadUntil("\r\n\r\n"), StartsWith("HTTP/1.1 100"));
  client.Send("abc");
  EXPECT_THAT(client.ReadUntil("n:abc"), HasSubstr("n:abc"));
}

TEST_F(ServerTest, AnswersPipelinedRequestsInOrder) {
  Start();
  std::string many;
  for (int i = 0; i < 20; ++i) {
    many += fmt::format("POST /echo/{} HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n;", i);
  }
  RawClient client = Connect();
  client.Send(many);
  const std::string answers = client.ReadUntil("19:;");
  size_t at = 0;
  for (int i = 0; i < 20; ++i) {
    const size_t found = answers.find(fmt::format("\r\n\r\n{}:;", i));
    ASSERT_NE(found, std::string::npos) << i;
    EXPECT_GE(found, at);
    at = found;
  }
}

TEST_F(ServerTest, NamesUnknownPathsAndMethods) {
  Start();
  EXPECT_THAT(Ask("GET /nope HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
              ::testing::AllOf(StartsWith("HTTP/1.1 404"), HasSubstr(R"("code":"NotFound")")));
  EXPECT_THAT(Ask("GET /echo/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
              ::testing::AllOf(StartsWith("HTTP/1.1 405"), HasSubstr("Allow: POST")));
  EXPECT_THAT(Ask("GET * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), StartsWith("HTTP/1.1 400"));
}

TEST_F(ServerTest, TurnsAThrowIntoAServerError) {
  Start();
  const std::string answer = Ask("GET /throw HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 500"));
  EXPECT_THAT(answer, Not(HasSubstr("bug")));
}

TEST_F(ServerTest, RefusesGarbage) {
  Start();
  EXPECT_THAT(Ask("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 what is this\r\n\r\n"),
              StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(Ask("GET /hello HTTP/1.1\r\nbad header line\r\n\r\n"), StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(Ask("GET /hello HTTP/9.9\r\n\r\n"), StartsWith("HTTP/1.1 400"));
}

TEST_F(ServerTest, RefusesTwoLengthsOfOneBody) {
  Start();
  const std::string answer =
      Ask("POST /echo/n HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: "
          "chunked\r\n\r\n0\r\n\r\nGET");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 400"));
  EXPECT_EQ(echoed_, 0);
}

TEST_F(ServerTest, RefusesHugeHeaders) {
  Start();
  const std::string answer = Ask("GET /hello HTTP/1.1\r\nX: " + std::string(100'000, 'a') + "\r\n\r\n");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 431"));
}

TEST_F(ServerTest, RefusesHugeBodiesBeforeTheyAreSent) {
  Start();
  EXPECT_THAT(Ask("POST /echo/n HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n"),
              ::testing::AllOf(StartsWith("HTTP/1.1 413"), HasSubstr("1000")));
}

TEST_F(ServerTest, RefusesHugeChunkedBodies) {
  Start();
  std::string body = "POST /echo/n HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (int i = 0; i < 30; ++i) body += "64\r\n" + std::string(100, 'a') + "\r\n";
  EXPECT_THAT(Ask(body), StartsWith("HTTP/1.1 413"));
  EXPECT_EQ(echoed_, 0);
}

TEST_F(ServerTest, ClientReadsTheRefusalOfABodyItIsStillSending) {
  Start();
  RawClient client = Connect();
  client.Send("POST /guarded HTTP/1.1\r\nHost: x\r\nContent-Length: 500000\r\n\r\n");
  client.Send(std::string(500'000, 'a'));
  EXPECT_THAT(client.ReadAll(), StartsWith("HTTP/1.1 401"));
}

TEST_F(ServerTest, ChecksTheHeadBeforeTheBody) {
  Start();
  EXPECT_THAT(Ask("POST /guarded HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n"),
              StartsWith("HTTP/1.1 401"));
  EXPECT_EQ(echoed_, 0);
  EXPECT_THAT(Ask("POST /guarded HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer good\r\nContent-Length: "
                  "3\r\nConnection: close\r\n\r\nabc"),
              StartsWith("HTTP/1.1 200"));
}

TEST_F(ServerTest, BoundsTheBodiesInMemory) {
  settings_.max_buffered_bytes = 1000;
  Start();
  EXPECT_THAT(
      Ask("POST /guarded HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer good\r\nContent-Length: 1001\r\n\r\n"),
      ::testing::AllOf(StartsWith("HTTP/1.1 503"), HasSubstr("Retry-After: 1")));
  EXPECT_THAT(Ask("POST /echo/n HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc"),
              StartsWith("HTTP/1.1 200"));
}

TEST_F(ServerTest, CountsWhatARouteMakesOfABody) {
  settings_.max_buffered_bytes = 1000;
  router_.Add("POST", "/parsed", [](const Request&, std::stop_token) { return TextResponse("in"); },
              {.memory = [](size_t body) { return 10 * body; }});
  Start();
  EXPECT_THAT(Ask("POST /parsed HTTP/1.1\r\nHost: x\r\nContent-Length: 101\r\n\r\n"),
              StartsWith("HTTP/1.1 503"));
  EXPECT_THAT(Ask("POST /parsed HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc"),
              StartsWith("HTTP/1.1 200"));
}

TEST_F(ServerTest, GivesUpOnSlowHeaders) {
  Start();
  RawClient client = Connect();
  std::string answer;
  const auto began = SteadyClock::now();
  const std::string request = "GET /hello HTTP/1.1\r\nHost: slow\r\n\r\n";
  for (size_t i = 0; i < request.size() && answer.empty(); ++i) {
    client.Send(request.substr(i, 1));
    answer = client.ReadUntil("\r\n\r\n", milliseconds(50));
  }
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 408"));
  EXPECT_LT(SteadyClock::now() - began, seconds(2));
}

TEST_F(ServerTest, GivesUpOnSlowBodies) {
  Start();
  RawClient client = Connect();
  client.Send("POST /echo/n HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc");
  EXPECT_THAT(client.ReadAll(), StartsWith("HTTP/1.1 408"));
  EXPECT_EQ(echoed_, 0);
}

TEST_F(ServerTest, DropsABodyShorterThanItsLength) {
  Start();
  RawClient client = Connect();
  client.Send("POST /echo/n HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc");
  client.FinishSending();
  client.ReadAll();
  EXPECT_TRUE(client.closed());
  EXPECT_EQ(echoed_, 0);
}

TEST_F(ServerTest, ClosesIdleConnectionsAfterAWhile) {
  settings_.idle_timeout = milliseconds(200);
  Start();
  RawClient client = Connect();
  EXPECT_EQ(client.ReadAll(), "");
  EXPECT_TRUE(client.closed());
}

TEST_F(ServerTest, ServesBesideAThousandIdleConnections) {
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
  settings_.max_connections = 800;
  settings_.idle_timeout = seconds(60);
  Start();
  std::vector<RawClient> idle;
  for (int i = 0; i < 1000; ++i) {
    idle.push_back(Connect());
    ASSERT_TRUE(idle.back().connected()) << i;
  }
  const auto began = SteadyClock::now();
  EXPECT_THAT(Ask("GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), StartsWith("HTTP/1.1 200"));
  EXPECT_LT(SteadyClock::now() - began, seconds(1));
  EXPECT_LE(server_->Connections(), 801u);
}

TEST_F(ServerTest, WhoNeverEndsItsHeadMakesRoom) {
  settings_.max_connections = 8;
  settings_.header_timeout = settings_.idle_timeout = seconds(60);
  Start();
  std::vector<RawClient> slow;
  for (int i = 0; i < 8; ++i) {
    slow.push_back(Connect());
    slow.back().Send("GET /hello HTTP/1.1\r\nHo");
  }
  std::this_thread::sleep_for(milliseconds(100));
  RawClient client = Connect();
  client.Send("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(client.ReadUntil("hello 127", seconds(1)), StartsWith("HTTP/1.1 200"));
  EXPECT_LE(server_->Connections(), 8u);
}

TEST_F(ServerTest, WhoIsAtWorkMakesNoRoom) {
  settings_.max_connections = 2;
  Start();
  std::vector<RawClient> busy;
  for (int i = 0; i < 2; ++i) {
    busy.push_back(Connect());
    busy.back().Send("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
  }
  WaitUntilWaiting(2);
  EXPECT_EQ(Ask("GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), "");
  OpenGate();
  for (RawClient& client : busy) EXPECT_THAT(client.ReadUntil("opened"), HasSubstr("opened"));
}

TEST_F(ServerTest, APeersStrangersMakeRoomForOneAnotherAlone) {
  settings_.max_strangers_per_peer = 4;
  settings_.header_timeout = settings_.idle_timeout = seconds(60);
  Start();
  RawClient known = Connect();
  known.Send("POST /guarded HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer good\r\nContent-Length: 0\r\n\r\n");
  EXPECT_THAT(known.ReadUntil("in"), HasSubstr("200 OK"));
  std::vector<RawClient> silent;
  for (int i = 0; i < 20; ++i) silent.push_back(Connect());
  RawClient& last_to_go = silent[15];
  EXPECT_TRUE(last_to_go.ReadAll().empty() && last_to_go.closed());
  EXPECT_LE(server_->Connections(), 5u);
  known.Send("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(known.ReadUntil("hello 127"), HasSubstr("hello 127"));
}

TEST_F(ServerTest, ChecksOfHeadsKeepNobodyElseWaiting) {
  settings_.workers = settings_.check_workers = 1;
  router_.Add("POST", "/checked", [](const Request&, std::stop_token) { return TextResponse("in"); },
              {.head_check = [this](const Request&, std::stop_token stop) {
                auto gate = gate_.Lock();
                ++gate->waiting;
                gate_.NotifyAll();
                gate_.Wait(gate, stop, [](const Gate& now) { return now.open; });
                return std::optional<Response>();
              }});
  Start();
  RawClient checked = Connect();
  checked.Send("POST /checked HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
  WaitUntilWaiting(1);
  EXPECT_THAT(Ask("GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), StartsWith("HTTP/1.1 200"));
  OpenGate();
  EXPECT_THAT(checked.ReadUntil("in"), HasSubstr("200 OK"));
}

TEST_F(ServerTest, LongRequestsDoNotStarveShortOnes) {
  settings_.workers = 1;
  settings_.long_workers = 4;
  Start();
  std::vector<RawClient> waiting;
  for (int i = 0; i < 8; ++i) {
    waiting.push_back(Connect());
    waiting.back().Send("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
  }
  WaitUntilWaiting(4);
  EXPECT_THAT(Ask("GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), StartsWith("HTTP/1.1 200"));
  OpenGate();
  for (RawClient& client : waiting) EXPECT_THAT(client.ReadUntil("opened"), HasSubstr("opened"));
}

TEST_F(ServerTest, RefusesWhatFindsNoThread) {
  settings_.long_workers = 1;
  settings_.max_queued = 1;
  Start();
  std::vector<RawClient> waiting;
  for (int i = 0; i < 2; ++i) {
    waiting.push_back(Connect());
    waiting.back().Send("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
    WaitUntilWaiting(1);
    std::this_thread::sleep_for(milliseconds(50));
  }
  EXPECT_THAT(Ask("GET /wait HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), StartsWith("HTTP/1.1 503"));
  OpenGate();
  for (RawClient& client : waiting) EXPECT_THAT(client.ReadUntil("opened"), HasSubstr("opened"));
}

TEST_F(ServerTest, StopLetsRequestsInFlightFinish) {
  Start();
  RawClient idle = Connect();
  RawClient busy = Connect();
  busy.Send("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
  WaitUntilWaiting(1);
  std::jthread stopper([this] { server_->Stop(seconds(5)); });
  EXPECT_EQ(idle.ReadAll(), "");
  EXPECT_TRUE(idle.closed());
  EXPECT_FALSE(RawClient(server_->Port()).connected());
  OpenGate();
  EXPECT_THAT(busy.ReadAll(), ::testing::AllOf(HasSubstr("opened"), HasSubstr("Connection: close")));
}

TEST_F(ServerTest, StopAsksHandlersToEndWhenTheGraceIsOver) {
  Start();
  RawClient busy = Connect();
  busy.Send("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
  WaitUntilWaiting(1);
  const auto began = SteadyClock::now();
  server_->Stop(milliseconds(100));
  EXPECT_LT(SteadyClock::now() - began, seconds(2));
  EXPECT_THAT(busy.ReadAll(), HasSubstr("stopped"));
}

TEST_F(ServerTest, StopEndsWithAClientThatNeverReads) {
  router_.Add("GET", "/flood",
              [](const Request&, std::stop_token) { return TextResponse(std::string(20'000'000, 'x')); });
  Start();
  RawClient client = Connect();
  client.Send("GET /flood HTTP/1.1\r\nHost: x\r\n\r\n");
  std::this_thread::sleep_for(milliseconds(100));
  const auto began = SteadyClock::now();
  server_->Stop(milliseconds(100));
  EXPECT_LT(SteadyClock::now() - began, seconds(5));
}

TEST_F(ServerTest, ListensOnBothFamilies) {
  settings_.listen = {{.address = "::"}};
  Start();
  RawClient v4(server_->Port());
  v4.Send("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(v4.ReadUntil("hello 127.0.0.1"), HasSubstr("hello 127.0.0.1"));
  RawClient v6(server_->Port(), true);
  if (!v6.connected()) GTEST_SKIP() << "no IPv6 here";
  v6.Send("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(v6.ReadUntil("hello ::1"), HasSubstr("hello ::1"));
}

TEST_F(ServerTest, ListensOnAUnixSocketOfItsOwnerAlone) {
  const ybis::testing::TempDir dir;
  const std::string path = dir.path() / "api.sock";
  settings_.listen = {{.unix_path = path}};
  Start();
  struct stat found {};
  ASSERT_EQ(::stat(path.c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 0777, 0600u);
  RawClient client(path);
  client.Send("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(client.ReadUntil("hello unix"), HasSubstr("hello unix"));
  server_->Stop(milliseconds(100));
  EXPECT_NE(::stat(path.c_str(), &found), 0);
}

TEST_F(ServerTest, LeavesAFileAloneThatIsNoSocket) {
  const ybis::testing::TempDir dir;
  settings_.listen = {{.unix_path = dir.Write("precious", "data")}};
  const auto server = Server::Start(settings_, router_);
  ASSERT_FALSE(server);
  EXPECT_EQ(server.error().code, ErrorCode::kExists);
  EXPECT_EQ(*ReadFile(dir.path() / "precious"), "data");
}

TEST_F(ServerTest, NamesAnAddressThatIsTaken) {
  Start();
  settings_.listen[0].port = server_->Port();
  const auto second = Server::Start(settings_, router_);
  ASSERT_FALSE(second);
  EXPECT_THAT(second.error().message, HasSubstr(std::to_string(server_->Port())));
}

TEST_F(ServerTest, TellsOfEachRequest) {
  struct Seen {
    std::vector<std::string> lines;
  };
  Sync<Seen> seen;
  settings_.on_request = [&seen](std::string_view method, std::string_view route, int status,
                                 std::chrono::microseconds) {
    seen.Lock()->lines.push_back(fmt::format("{} {} {}", method, route, status));
  };
  Start();
  Ask("GET /nope HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  Ask("POST /echo/secret HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nConnection: close\r\n\r\na");
  server_->Stop(seconds(1));
  EXPECT_THAT(seen.Lock()->lines, ::testing::ElementsAre("  404", "POST /echo/{name} 200"));
}

}  // namespace
}  // namespace ybis::http
