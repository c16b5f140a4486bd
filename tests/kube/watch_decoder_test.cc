#include "kube/watch_decoder.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace ybis::kube {
namespace {

std::string Line(const char* type, const char* name, const char* version) {
  return nlohmann::json{
             {"type", type},
             {"object", {{"metadata", {{"name", name}, {"namespace", "n"}, {"resourceVersion", version}}}}}}
             .dump() +
         "\n";
}

TEST(WatchDecoder, GivesTheSameEventsHoweverTheBytesAreCut) {
  const std::string bytes =
      Line("ADDED", "a", "1") + "\n\r\n" + Line("MODIFIED", "a", "2") +
      "{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"9\"}}}\n" +
      Line("DELETED", "a", "10");
  for (size_t step = 1; step < bytes.size(); step += 7) {
    WatchDecoder decoder;
    std::vector<WatchEvent> events;
    for (size_t at = 0; at < bytes.size(); at += step) {
      const Status fed = decoder.Feed(bytes.substr(at, step), [&](WatchEvent event) -> Status {
        events.push_back(std::move(event));
        return {};
      });
      ASSERT_TRUE(fed) << fed.error().message;
    }
    ASSERT_EQ(events.size(), 4U) << "step " << step;
    EXPECT_EQ(events[0].type, WatchEventType::kAdded);
    EXPECT_EQ(events[1].type, WatchEventType::kModified);
    EXPECT_EQ(events[2].type, WatchEventType::kBookmark);
    EXPECT_EQ(events[3].type, WatchEventType::kDeleted);
    EXPECT_EQ(MetaString(*events[3].object, "resourceVersion"), "10");
    EXPECT_EQ(decoder.Pending(), 0U);
  }
}

TEST(WatchDecoder, KeepsAnUnfinishedLine) {
  WatchDecoder decoder;
  int events = 0;
  const auto count = [&](WatchEvent) -> Status {
    ++events;
    return {};
  };
  const std::string line = Line("ADDED", "a", "1");
  ASSERT_TRUE(decoder.Feed(line.substr(0, line.size() - 1), count));
  EXPECT_EQ(events, 0);
  EXPECT_EQ(decoder.Pending(), line.size() - 1);
  ASSERT_TRUE(decoder.Feed("\n", count));
  EXPECT_EQ(events, 1);
}

TEST(WatchDecoder, RefusesWhatIsNotAnEvent) {
  for (const char* line :
       {"{", "[]", "5", "null", "{}", "{\"type\":5,\"object\":{}}", "{\"type\":\"ADDED\"}",
        "{\"type\":\"ADDED\",\"object\":7}", "{\"type\":\"ADDED\",\"object\":{}}",
        "{\"type\":\"ADDED\",\"object\":null}", "{\"type\":\"ADDED\",\"object\":{\"metadata\":[]}}",
        "{\"type\":\"NEW\",\"object\":{\"metadata\":{}}}",
        "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"a\"}}}",
        "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"a\",\"resourceVersion\":5}}}",
        "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"resourceVersion\":\"5\"}}}",
        "{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{}}}", "\xff\xff"}) {
    const auto event = WatchDecoder::Decode(line);
    ASSERT_FALSE(event) << line;
    EXPECT_EQ(event.error().code, ErrorCode::kInvalid) << line;
  }
}

TEST(WatchDecoder, TellsThatTheVersionIsGone) {
  const auto gone = WatchDecoder::Decode(
      R"({"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired","message":"too old resource version"}})");
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().code, ErrorCode::kGone);
  EXPECT_NE(gone.error().message.find("too old"), std::string::npos);
  for (const char* odd : {R"({"type":"ERROR","object":{"code":500}})",
                          R"({"type":"ERROR","object":{"code":"x"}})", R"({"type":"ERROR","object":null})"}) {
    EXPECT_EQ(WatchDecoder::Decode(odd).error().code, ErrorCode::kGone) << odd;
  }
}

TEST(WatchDecoder, StopsAtALineWithoutAnEnd) {
  WatchDecoder decoder(1000);
  const std::string block(300, 'x');
  Status fed;
  int blocks = 0;
  while (fed && blocks < 100) {
    fed = decoder.Feed(block, [](WatchEvent) -> Status { return {}; });
    ++blocks;
  }
  EXPECT_EQ(blocks, 4);
  EXPECT_EQ(fed.error().code, ErrorCode::kTooLarge);
  EXPECT_LE(decoder.Pending(), 1000U);
}

TEST(WatchDecoder, EndsWithTheCallersError) {
  WatchDecoder decoder;
  const Status fed = decoder.Feed(Line("ADDED", "a", "1") + Line("ADDED", "b", "2"),
                                  [](WatchEvent) -> Status { return Fail(ErrorCode::kStale, "enough"); });
  EXPECT_EQ(fed.error().code, ErrorCode::kStale);
}

}  // namespace
}  // namespace ybis::kube
