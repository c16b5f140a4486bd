#include "model/recording.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/json.h"
#include "model/replay_provider.h"
#include "tests/model/fake_provider.h"
#include "tests/support/source_dir.h"
#include "tests/support/temp_dir.h"

namespace ybis::model {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ybis::testing::FakeProvider;
using ybis::testing::Says;
using ybis::testing::TempDir;

CompletionRequest Asking(const std::string& schema, const std::string& text,
                         const std::string& run = "run-1") {
  CompletionRequest request;
  request.group = run;
  request.schema_name = schema;
  request.messages = {{"system", "be brief"}, {"user", text}};
  return request;
}

Result<Recording> Parse(const std::string& text) { return ParseRecording(json::parse(text), "x.json"); }

class ReplayTest : public ::testing::Test {
 protected:
  void Add(const std::string& name, const std::string& text) { dir_.Write(name, text); }
  ReplayProvider Provider() {
    auto loaded = LoadRecordings(dir_.path());
    EXPECT_TRUE(loaded) << loaded.error().message;
    return ReplayProvider(std::move(*loaded), clock_);
  }
  static std::string Said(const Result<Completion>& answer) {
    return answer ? answer->content : answer.error().message;
  }

  TempDir dir_;
  FakeClock clock_{*ParseRfc3339("2026-03-01T12:00:00Z")};
};

TEST_F(ReplayTest, MatchesSchemaAndSubstrings) {
  Add("b.json",
      R"({"match": {"schema": "plan", "contains": ["hello"], "lacks": ["again"]}, "response": {"content": {"a": 1}}})");
  Add("a/c.json",
      R"({"match": {"schema": "plan", "contains": ["hello", "again"]}, "response": {"content": "second"}})");
  ReplayProvider provider = Provider();
  EXPECT_EQ(Said(provider.Complete(Asking("plan", "say hello"), {})), R"({"a":1})");
  EXPECT_EQ(Said(provider.Complete(Asking("plan", "say hello again"), {})), "second");
}

TEST_F(ReplayTest, SaysPlainlyThatItIsRecorded) {
  Add("hi.json",
      R"({"match": {"schema": ""}, "response": {"content": "hi", "usage": {"tokensIn": 9, "tokensOut": 4}}})");
  const auto answer = Provider().Complete(Asking("", "x"), {});
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->model, "recorded:hi");
  EXPECT_EQ(answer->tokens_in, 9);
  EXPECT_EQ(answer->tokens_out, 4);
}

TEST_F(ReplayTest, CountsOccurrencesForEachRun) {
  Add("1.json",
      R"({"match": {"schema": "*", "contains": ["q"], "occurrence": 1}, "response": {"content": "one"}})");
  Add("2.json",
      R"({"match": {"schema": "*", "contains": ["q"], "occurrence": 2}, "response": {"content": "two"}})");
  ReplayProvider provider = Provider();
  EXPECT_EQ(Said(provider.Complete(Asking("p", "q1", "run-a"), {})), "one");
  EXPECT_EQ(Said(provider.Complete(Asking("p", "q1", "run-b"), {})), "one");
  EXPECT_EQ(Said(provider.Complete(Asking("p", "q2", "run-a"), {})), "two");
}

TEST_F(ReplayTest, GivesTheSameAnswerToTheSameRequest) {
  Add("1.json", R"({"match": {"schema": "p", "occurrence": 1}, "response": {"content": "one"}})");
  ReplayProvider provider = Provider();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Said(provider.Complete(Asking("p", "q"), {})), "one");
}

TEST_F(ReplayTest, ListsWhatWasAskedWhenNothingFits) {
  Add("near.json",
      R"({"match": {"schema": "plan", "contains": ["alpha", "beta"]}, "response": {"content": "x"}})");
  const auto answer = Provider().Complete(Asking("plan", "only alpha here"), {});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, ErrorCode::kInvalid);
  EXPECT_THAT(answer.error().message, HasSubstr("schema 'plan'"));
  EXPECT_THAT(answer.error().message, HasSubstr("only alpha here"));
  EXPECT_THAT(answer.error().message, HasSubstr("near.json: lacks 'beta'"));
}

TEST_F(ReplayTest, PlaysFaults) {
  Add("1.json",
      R"({"match": {"schema": "p", "occurrence": 1}, "fault": {"status": 429, "retryAfterSeconds": 7}})");
  Add("2.json",
      R"({"match": {"schema": "p", "occurrence": 2}, "fault": {"status": 503, "message": "overloaded"}})");
  Add("3.json",
      R"({"match": {"schema": "p", "occurrence": 3}, "fault": {"stallSeconds": 600}, "response": {"content": "late"}})");
  Add("4.json", R"({"match": {"schema": "p"}, "response": {"content": "ok"}})");
  ReplayProvider provider = Provider();
  const auto throttled = provider.Complete(Asking("p", "q"), {});
  EXPECT_EQ(throttled.error().code, ErrorCode::kExhausted);
  EXPECT_EQ(throttled.error().retry_after, std::chrono::seconds(7));
  const auto overloaded = provider.Complete(Asking("p", "q"), {});
  EXPECT_EQ(overloaded.error().code, ErrorCode::kUnavailable);
  EXPECT_THAT(overloaded.error().message, HasSubstr("overloaded"));
  EXPECT_EQ(provider.Complete(Asking("p", "q"), {}).error().code, ErrorCode::kTimeout);
  // Each match counts its own requests; the last recording has no occurrence in its own.
  EXPECT_EQ(Said(provider.Complete(Asking("p", "q"), {})), "ok");
}

TEST(ParseRecording, NamesFileAndField) {
  EXPECT_TRUE(Parse(R"({"match": {"schema": "p"}, "response": {"content": "x"}})"));
  const std::vector<std::pair<std::string, std::string>> cases = {
      {R"({"response": {"content": "x"}})", "match: is required"},
      {R"({"match": {}, "response": {}})", "response.content: is required"},
      {R"({"match": {}})", "response: is required"},
      {R"({"match": {"contians": ["x"]}, "response": {"content": "x"}})", "match.contians: unknown field"},
      {R"({"match": {"occurrence": 0}, "response": {"content": "x"}})", "match.occurrence"},
      {R"({"match": {}, "response": {"content": "x"}, "fault": {"status": 500}})",
       "response: cannot be given"},
      {R"({"match": {}, "fault": {"status": 200}})", "fault.status"},
      {R"({"match": {}, "response": {"content": "x", "finish": "tired"}})", "response.finish"}};
  for (const auto& [text, problem] : cases) {
    const auto parsed = Parse(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_THAT(parsed.error().message, ::testing::StartsWith("x.json: "));
    EXPECT_THAT(parsed.error().message, HasSubstr(problem));
  }
}

TEST(LoadRecordings, NamesWhatIsNotThere) {
  const TempDir dir;
  EXPECT_THAT(LoadRecordings(dir.path()).error().message, HasSubstr("no *.json"));
  EXPECT_FALSE(LoadRecordings(dir.path() / "none"));
  dir.Write("bad.json", "{");
  EXPECT_THAT(LoadRecordings(dir.path()).error().message, HasSubstr("bad.json"));
}

TEST(LoadRecordings, ReadsThoseOfTheExamplesAndTheTests) {
  for (const std::string folder : {"/examples/recordings", "/tests/e2e/recordings"}) {
    const auto loaded = LoadRecordings(testing::SourceDir() + folder);
    EXPECT_TRUE(loaded) << loaded.error().message;
  }
}

TEST(RecordProvider, WritesWhatReplayReads) {
  const TempDir dir;
  RecordProvider recorder(
      std::make_unique<FakeProvider>(std::vector<Result<Completion>>{Says("first"), Says("second")}),
      dir.path() / "out");
  ASSERT_TRUE(recorder.Complete(Asking("plan", "Do it\nwith care"), {}));
  ASSERT_TRUE(recorder.Complete(Asking("plan", "Do it\nwith more care"), {}));
  auto loaded = LoadRecordings(dir.path() / "out");
  ASSERT_TRUE(loaded) << loaded.error().message;
  ASSERT_EQ(loaded->size(), 2u);
  ReplayProvider provider(std::move(*loaded), SystemClock());
  // The very requests first, whatever their order; then by landmark and occurrence, after the prompt was
  // edited.
  EXPECT_EQ(provider.Complete(Asking("plan", "Do it\nwith more care", "run-2"), {})->content, "second");
  EXPECT_EQ(provider.Complete(Asking("plan", "Do it\nwith care", "run-2"), {})->content, "first");
  EXPECT_EQ(provider.Complete(Asking("plan", "Do it\nedited", "run-3"), {})->content, "first");
  EXPECT_EQ(provider.Complete(Asking("plan", "Do it\nedited more", "run-3"), {})->content, "second");
}

}  // namespace
}  // namespace ybis::model
