#include "kube/events.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/kube/fake_api.h"

namespace ybis::kube {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::seconds;

const json kTask = {
    {"apiVersion", "ybis.dev/v1alpha1"},
    {"kind", "YbisTask"},
    {"metadata", {{"namespace", "n"}, {"name", "t"}, {"uid", "u"}, {"resourceVersion", "7"}}}};

TEST(BuildEvent, HasWhatTheApiDemands) {
  const json event = BuildEvent(kTask, EventType::kWarning, "RunFailed", "Reconcile", "tests failed",
                                {.instance = "operator-0"}, TimePoint(seconds(1'700'000'000)), "ab12");
  EXPECT_EQ(event["metadata"], (json{{"namespace", "n"}, {"name", "t.ab12"}}));
  EXPECT_EQ(event["regarding"], (json{{"apiVersion", "ybis.dev/v1alpha1"},
                                      {"kind", "YbisTask"},
                                      {"namespace", "n"},
                                      {"name", "t"},
                                      {"uid", "u"},
                                      {"resourceVersion", "7"}}));
  EXPECT_EQ(event["type"], "Warning");
  EXPECT_EQ(event["reason"], "RunFailed");
  EXPECT_EQ(event["action"], "Reconcile");
  EXPECT_EQ(event["note"], "tests failed");
  EXPECT_EQ(event["reportingController"], "ybis.dev/operator");
  EXPECT_EQ(event["reportingInstance"], "operator-0");
  EXPECT_EQ(event["eventTime"], "2023-11-14T22:13:20.000000Z");
}

TEST(BuildEvent, CutsTheNoteBetweenCharacters) {
  std::string note(1023, 'x');
  note += "\xc3\xa9tail";
  const json event = BuildEvent(kTask, EventType::kNormal, "R", "A", note, {}, TimePoint(), "s");
  EXPECT_EQ(event["note"].get<std::string>(), std::string(1023, 'x'));
  EXPECT_FALSE(event["reportingInstance"].get<std::string>().empty());
}

class EventRecorderTest : public ::testing::Test {
 protected:
  FakeApi api_;
  FakeClock clock_{TimePoint(seconds(1'700'000'000))};
};

TEST_F(EventRecorderTest, SendsTheSameEventOnceInAWindow) {
  EventRecorder recorder(api_, clock_, {});
  for (int i = 0; i < 5; ++i) recorder.Record(kTask, EventType::kNormal, "Queued", "Reconcile", "waits");
  recorder.Record(kTask, EventType::kNormal, "Queued", "Reconcile", "waits for another reason");
  ASSERT_TRUE(recorder.Flush(seconds(5)));
  EXPECT_EQ(api_.All(kEvents).size(), 2U);
  clock_.Advance(seconds(301));
  recorder.Record(kTask, EventType::kNormal, "Queued", "Reconcile", "waits");
  ASSERT_TRUE(recorder.Flush(seconds(5)));
  EXPECT_EQ(api_.All(kEvents).size(), 3U);
}

TEST_F(EventRecorderTest, NeverHoldsTheCallerUp) {
  std::atomic<bool> open{false};
  api_.fail = [&](std::string_view, const Resource&, const Key&) -> Status {
    while (!open) std::this_thread::sleep_for(milliseconds(1));
    return {};
  };
  EventRecorder recorder(api_, clock_, {.max_queued = 10});
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < 50; ++i) recorder.Record(kTask, EventType::kNormal, "R", "A", std::to_string(i));
  EXPECT_LT(std::chrono::steady_clock::now() - start, milliseconds(500));
  EXPECT_GE(recorder.Dropped(), 39U);
  open = true;
  EXPECT_TRUE(recorder.Flush(seconds(5)));
}

TEST_F(EventRecorderTest, CountsWhatTheServerRefuses) {
  api_.fail = [](std::string_view, const Resource&, const Key&) -> Status {
    return Fail(ErrorCode::kDenied, "no");
  };
  EventRecorder recorder(api_, clock_, {});
  recorder.Record(kTask, EventType::kNormal, "R", "A", "n");
  EXPECT_TRUE(recorder.Flush(seconds(5)));
  EXPECT_EQ(recorder.Dropped(), 1U);
}

}  // namespace
}  // namespace ybis::kube
