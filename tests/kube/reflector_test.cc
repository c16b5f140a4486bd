#include "kube/reflector.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/kube/fake_api.h"

namespace ybis::kube {
namespace {

using std::chrono::milliseconds;

Object Make(const std::string& name, const std::string& version) {
  return std::make_shared<const nlohmann::json>(nlohmann::json{
      {"metadata",
       {{"namespace", "n"}, {"name", name}, {"resourceVersion", version}, {"uid", "u-" + name}}}});
}

/// Lists and watches as a test scripts them: each watch plays its events and ends with its status; when the
/// script is over a watch stays silent until stopped.
class Script final : public Reader, public Watcher {
 public:
  struct Play {
    std::vector<WatchEvent> events;
    Status end;
  };
  std::vector<Result<std::vector<ListPage>>> lists;
  std::vector<Play> plays;
  Sync<std::vector<std::string>> log;

  Result<nlohmann::json> Get(const Resource&, const Key&, std::stop_token) override {
    return Fail(ErrorCode::kUnsupported, "not here");
  }
  Result<ListPage> List(const Resource&, std::string_view, const ListOptions& options,
                        std::stop_token) override {
    log.Lock()->push_back("list " + options.continue_token);
    const size_t index = std::min(list_, lists.size() - 1);
    if (!lists[index]) {
      ++list_;
      return Fail(lists[index].error());
    }
    const size_t page = options.continue_token.empty() ? 0 : std::stoul(options.continue_token);
    const auto& pages = *lists[index];
    if (page + 1 == pages.size()) ++list_;
    return pages[page];
  }
  Status Watch(const Resource&, std::string_view, const WatchOptions& options,
               const std::function<Status(WatchEvent)>& on_event, std::stop_token stop) override {
    log.Lock()->push_back("watch " + options.resource_version);
    EXPECT_GE(options.timeout, std::chrono::seconds(300));
    EXPECT_LE(options.timeout, std::chrono::seconds(600));
    if (play_ < plays.size()) {
      const Play& play = plays[play_++];
      for (const WatchEvent& event : play.events) YBIS_TRY(on_event(event));
      return play.end;
    }
    Sync<int> silence;
    auto lock = silence.Lock();
    silence.Wait(lock, stop, [](int) { return false; });
    return Fail(ErrorCode::kCancelled, "stopped");
  }

 private:
  size_t list_ = 0;
  size_t play_ = 0;
};

class ReflectorTest : public ::testing::Test {
 protected:
  /// Runs until the log has `count` entries (all that the script does), then stops.
  void RunUntil(size_t count) {
    Reflector reflector(
        script_, script_, clock_, {.resource = kJobs, .ns = "n"}, [&](const Key& key, const Object& object) {
          changes_.push_back((object ? "+" + MetaString(*object, "resourceVersion") : "-") + key.name);
        });
    reflector.Start();
    for (int i = 0; i < 2000 && script_.log.Lock()->size() < count; ++i)
      std::this_thread::sleep_for(milliseconds(1));
    std::this_thread::sleep_for(milliseconds(5));
    synced_ = reflector.HasSynced();
    size_ = reflector.Objects().Size();
    const auto start = std::chrono::steady_clock::now();
    reflector.Stop();
    stop_took_ = std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - start);
    log_ = *script_.log.Lock();
  }
  static ListPage Page(std::vector<Object> items, std::string version, std::string next = "") {
    return {std::move(items), std::move(version), std::move(next)};
  }

  Script script_;
  FakeClock clock_{TimePoint(std::chrono::hours(1))};
  std::vector<std::string> changes_, log_;
  bool synced_ = false;
  size_t size_ = 0;
  milliseconds stop_took_{0};
};

TEST_F(ReflectorTest, ListsInPagesThenWatchesFromThere) {
  script_.lists = {std::vector{Page({Make("a", "1")}, "10", "1"), Page({Make("b", "2")}, "10")}};
  script_.plays = {{{{WatchEventType::kAdded, Make("c", "11")},
                     {WatchEventType::kModified, Make("a", "12")},
                     {WatchEventType::kDeleted, Make("b", "13")},
                     {WatchEventType::kBookmark, Make("", "20")}},
                    {}}};
  RunUntil(4);
  EXPECT_EQ(log_, (std::vector<std::string>{"list ", "list 1", "watch 10", "watch 20"}));
  EXPECT_EQ(changes_, (std::vector<std::string>{"+1a", "+2b", "+11c", "+12a", "-b"}));
  EXPECT_TRUE(synced_);
  EXPECT_EQ(size_, 2U);
  EXPECT_LT(stop_took_, milliseconds(200));
}

TEST_F(ReflectorTest, ListsAgainWhenTheVersionIsGoneAndTellsTheMissingDeletions) {
  script_.lists = {std::vector{Page({Make("a", "1"), Make("b", "2")}, "10")},
                   std::vector{Page({Make("a", "5")}, "50")}};
  script_.plays = {{{}, Fail(ErrorCode::kGone, "too old")}};
  RunUntil(4);
  EXPECT_EQ(log_, (std::vector<std::string>{"list ", "watch 10", "list ", "watch 50"}));
  EXPECT_EQ(changes_, (std::vector<std::string>{"+1a", "+2b", "-b", "+5a"}));
}

TEST_F(ReflectorTest, ResumesAfterABrokenConnectionWithoutListing) {
  script_.lists = {std::vector{Page({}, "10")}};
  script_.plays = {{{{WatchEventType::kAdded, Make("a", "11")}}, Fail(ErrorCode::kUnavailable, "reset")},
                   {{}, Fail(ErrorCode::kTimeout, "silent")}};
  RunUntil(4);
  EXPECT_EQ(log_, (std::vector<std::string>{"list ", "watch 10", "watch 11", "watch 11"}));
}

TEST_F(ReflectorTest, ListsAgainAfterGarbage) {
  script_.lists = {std::vector{Page({}, "10")}};
  script_.plays = {{{}, Fail(ErrorCode::kInvalid, "not an event")},
                   {{}, Fail(ErrorCode::kTooLarge, "endless line")}};
  RunUntil(6);
  EXPECT_EQ(log_, (std::vector<std::string>{"list ", "watch 10", "list ", "watch 10", "list ", "watch 10"}));
}

TEST_F(ReflectorTest, BacksOffWhileTheServerIsDown) {
  script_.lists = {Fail(ErrorCode::kUnavailable, "refused"), Fail(ErrorCode::kUnavailable, "refused"),
                   Fail(ErrorCode::kUnavailable, "refused"), std::vector{Page({Make("a", "1")}, "1")}};
  const TimePoint before = clock_.Now();
  RunUntil(5);
  EXPECT_EQ(log_.size(), 5U);
  EXPECT_TRUE(synced_);
  EXPECT_GE(clock_.Now() - before, milliseconds(800 + 1600 + 3200)) << "doubling from 800 ms";
}

TEST_F(ReflectorTest, DoesNotHammerAServerThatEndsEveryWatchAtOnce) {
  script_.lists = {std::vector{Page({}, "1")}};
  script_.plays = {{{}, {}}, {{}, {}}, {{}, {}}};
  const TimePoint before = clock_.Now();
  RunUntil(5);
  EXPECT_GE(clock_.Now() - before, milliseconds(800 + 1600 + 3200));
}

TEST_F(ReflectorTest, DoesNotSyncOnAListWithoutAVersion) {
  script_.lists = {std::vector{Page({Make("a", "1")}, "")}};
  RunUntil(3);
  EXPECT_FALSE(synced_);
  EXPECT_EQ(size_, 0U);
}

}  // namespace
}  // namespace ybis::kube
