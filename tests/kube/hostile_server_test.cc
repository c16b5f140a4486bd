// The whole client, from reflector to socket, against servers that misbehave.
#include <gtest/gtest.h>

#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

#include "kube/client.h"
#include "kube/reflector.h"
#include "tests/http/client_raw_server.h"

namespace ybis::kube {
namespace {

using http::RawConnection;
using http::RawServer;
using std::chrono::milliseconds;
using std::chrono::seconds;
using SteadyClock = std::chrono::steady_clock;

milliseconds Since(SteadyClock::time_point start) {
  return std::chrono::duration_cast<milliseconds>(SteadyClock::now() - start);
}

size_t PeakKib() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return std::stoul(line.substr(6));
  }
  return 0;
}
void ResetPeak() { std::ofstream("/proc/self/clear_refs") << "5"; }

template <class Ready>
bool Eventually(Ready ready, milliseconds limit = seconds(10)) {
  for (const auto start = SteadyClock::now(); Since(start) < limit;) {
    if (ready()) return true;
    std::this_thread::sleep_for(milliseconds(2));
  }
  return ready();
}

std::unique_ptr<KubeClient> ClientOf(const RawServer& server, ClientSettings settings = {}) {
  std::string url = server.Url("");
  return KubeClient::Make({.server = url}, SystemClock(), std::move(settings));
}

std::string Event(const char* type, const std::string& name, const std::string& version) {
  return nlohmann::json{
             {"type", type},
             {"object", {{"metadata", {{"name", name}, {"namespace", "n"}, {"resourceVersion", version}}}}}}
             .dump() +
         "\n";
}

std::string ListBody(const std::string& version, const std::vector<std::string>& names) {
  nlohmann::json items = nlohmann::json::array();
  for (const auto& name : names) {
    items.push_back({{"metadata", {{"name", name}, {"namespace", "n"}, {"resourceVersion", version}}}});
  }
  return nlohmann::json{{"metadata", {{"resourceVersion", version}}}, {"items", items}}.dump();
}

bool IsWatch(const std::string& request) { return request.find("watch=1") != std::string::npos; }

/// A reflector over a server whose n-th watch is the n-th entry of `watches`; after them watches stay silent.
class HostileWatchTest : public ::testing::Test {
 protected:
  using Watch = std::function<void(RawConnection&)>;

  void Serve(std::vector<std::vector<std::string>> lists, std::vector<Watch> watches,
             ClientSettings settings = {}) {
    server_ = std::make_unique<RawServer>([this, lists, watches](RawConnection& connection) {
      while (true) {
        const std::string request = connection.ReadRequest();
        if (request.empty()) return;
        if (!IsWatch(request)) {
          const size_t index = lists_++;
          connection.Respond(
              200, ListBody(std::to_string(100 * (index + 1)), lists[std::min(index, lists.size() - 1)]));
          continue;
        }
        const size_t index = watches_++;
        connection.StartChunked();
        if (index < watches.size()) {
          watches[index](connection);
        } else {
          silent_ = true;
          connection.WaitForClose();
        }
        return;
      }
    });
    client_ = ClientOf(*server_, std::move(settings));
    reflector_ = std::make_unique<Reflector>(
        *client_, *client_, SystemClock(),
        ReflectorSettings{
            .resource = kJobs, .ns = "n", .min_backoff = milliseconds(5), .max_backoff = milliseconds(20)},
        [](const Key&, const Object&) {});
    reflector_->Start();
  }
  /// Waits until the reflector sits in a silent watch, and stops it there.
  void SettleAndStop() {
    ASSERT_TRUE(Eventually([&] { return silent_.load(); })) << reflector_->LastError();
    std::this_thread::sleep_for(milliseconds(20));
    const auto start = SteadyClock::now();
    reflector_->Stop();
    EXPECT_LT(Since(start), milliseconds(200));
  }
  std::vector<std::string> Names() {
    std::vector<std::string> names;
    for (const Key& key : reflector_->Objects().Keys()) names.push_back(key.name);
    return names;
  }

  std::atomic<size_t> lists_{0}, watches_{0};
  std::atomic<bool> silent_{false};
  std::unique_ptr<RawServer> server_;
  std::unique_ptr<KubeClient> client_;
  std::unique_ptr<Reflector> reflector_;
};

TEST_F(HostileWatchTest, ResumesAfterACutInTheMiddleOfAnEvent) {
  Serve({{"a"}}, {[](RawConnection& connection) {
                    connection.Chunk(Event("ADDED", "b", "101") + Event("ADDED", "c", "102").substr(0, 40));
                  },
                  [](RawConnection& connection) {
                    connection.Chunk(Event("ADDED", "c", "102"));
                    connection.EndChunked();
                  }});
  SettleAndStop();
  EXPECT_EQ(Names(), (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_EQ(lists_, 1U) << "no new list";
}

TEST_F(HostileWatchTest, ReadsEventsThatDripInByteByByte) {
  Serve({{}}, {[](RawConnection& connection) {
          for (const char c : Event("ADDED", "b", "101")) connection.Chunk(std::string(1, c));
          connection.EndChunked();
        }});
  SettleAndStop();
  EXPECT_EQ(Names(), std::vector<std::string>{"b"});
}

TEST_F(HostileWatchTest, ListsAgainOn410InTheMiddle) {
  Serve({{"a", "b"}, {"b"}}, {[](RawConnection& connection) {
          connection.Chunk(Event("MODIFIED", "a", "101") +
                           R"({"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired"}})" +
                           "\n");
          connection.WaitForClose();
        }});
  SettleAndStop();
  EXPECT_EQ(Names(), std::vector<std::string>{"b"});
  EXPECT_EQ(lists_, 2U);
}

TEST_F(HostileWatchTest, ListsAgainOnWrongTypes) {
  Serve({{"a"}}, {[](RawConnection& connection) {
                    connection.Chunk("{\"type\":[],\"object\":\"x\"}\n");
                    connection.WaitForClose();
                  },
                  [](RawConnection& connection) {
                    connection.Chunk("<html>gateway</html>\n");
                    connection.WaitForClose();
                  }});
  SettleAndStop();
  EXPECT_EQ(lists_, 3U);
}

TEST_F(HostileWatchTest, CutsAnEndlessLineAtTheCapWithBoundedMemory) {
  ResetPeak();
  const size_t before = PeakKib();
  std::atomic<size_t> sent{0};
  Serve({{"a"}}, {[&](RawConnection& connection) {
          const std::string block(64 * 1024, 'x');
          while (sent < 1024U * 1024 * 1024 && connection.Chunk(block)) sent += block.size();
        }});
  SettleAndStop();
  const size_t grown = PeakKib() - before;
  std::cout << "endless line: cut after " << sent / 1024 << " KiB were sent, memory grew " << grown
            << " KiB\n";
  EXPECT_LT(sent, 64U * 1024 * 1024);
  EXPECT_LT(grown, 32 * 1024U * http::kMemorySlack);
  EXPECT_EQ(lists_, 2U);
}

TEST_F(HostileWatchTest, StopsASilentWatchWithin200Milliseconds) {
  Serve({{"a"}}, {});
  ASSERT_TRUE(Eventually([&] { return silent_.load(); }));
  std::this_thread::sleep_for(milliseconds(100));
  const auto start = SteadyClock::now();
  reflector_->Stop();
  std::cout << "a silent watch stopped after " << Since(start).count() << " ms\n";
  EXPECT_LT(Since(start), milliseconds(200));
}

TEST_F(HostileWatchTest, TakesUpAWatchWhosePeerHasVanished) {
  Serve({{"a"}}, {[](RawConnection& connection) {
          connection.Chunk(Event("ADDED", "b", "101"));
          connection.WaitForClose();
        }},
        {.watch_silence = milliseconds(200)});
  ASSERT_TRUE(Eventually([&] { return watches_ >= 2; }));
  reflector_->Stop();
  EXPECT_EQ(lists_, 1U);
  EXPECT_EQ(reflector_->LastError(), "") << "a matter of course";
}

TEST_F(HostileWatchTest, StopsWhileAListStalls) {
  RawServer stalled([](RawConnection& connection) {
    connection.ReadRequest();
    connection.Write("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"items\":[");
    connection.WaitForClose();
  });
  const auto client = ClientOf(stalled);
  Reflector reflector(*client, *client, SystemClock(), {.resource = kJobs}, [](const Key&, const Object&) {});
  reflector.Start();
  std::this_thread::sleep_for(milliseconds(100));
  const auto start = SteadyClock::now();
  reflector.Stop();
  EXPECT_LT(Since(start), milliseconds(200));
  EXPECT_FALSE(reflector.HasSynced());
}

TEST(HostileServer, IsAskedAgainAsLateAsItWishes) {
  std::atomic<int> asked{0};
  RawServer server([&](RawConnection& connection) {
    while (!connection.ReadRequest().empty()) {
      if (asked++ == 0) {
        connection.Respond(429, R"({"kind":"Status","code":429})", "Retry-After: 1\r\n");
      } else {
        connection.Respond(200, R"({"metadata":{"name":"j","namespace":"n"}})");
      }
    }
  });
  const auto start = SteadyClock::now();
  const auto got = ClientOf(server)->Get(kJobs, {"n", "j"}, {});
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_GE(Since(start), milliseconds(1000));
  EXPECT_LT(Since(start), milliseconds(2500));
  EXPECT_EQ(asked, 2);
}

TEST(HostileServer, NeverSeesTheTokenElsewhereByARedirect) {
  std::atomic<int> stolen{0};
  RawServer thief([&](RawConnection& connection) {
    connection.ReadRequest();
    ++stolen;
  });
  RawServer server([&](RawConnection& connection) {
    while (!connection.ReadRequest().empty())
      connection.Respond(302, "", "Location: " + thief.Url("/api") + "\r\n");
  });
  const auto client = ClientOf(server);
  EXPECT_FALSE(client->Get(kJobs, {"n", "j"}, {}));
  EXPECT_FALSE(client->Watch(kJobs, "n", {}, [](WatchEvent) -> Status { return {}; }, {}));
  EXPECT_EQ(stolen, 0);
}

TEST(HostileServer, CannotFillMemoryWithOneObject) {
  RawServer server([](RawConnection& connection) {
    connection.ReadRequest();
    connection.StartChunked();
    connection.Chunk("{\"data\":\"");
    const std::string block(64 * 1024, 'x');
    while (connection.Chunk(block)) {
    }
  });
  ResetPeak();
  const size_t before = PeakKib();
  const auto got = ClientOf(server)->Get(kJobs, {"n", "j"}, {});
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code, ErrorCode::kTooLarge);
  const size_t grown = PeakKib() - before;
  std::cout << "endless object: memory grew " << grown << " KiB\n";
  EXPECT_LT(grown, 40 * 1024U * http::kMemorySlack);
}

}  // namespace
}  // namespace ybis::kube
