#include "control/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "control/metrics_hooks.h"
#include "tests/support/source_dir.h"

namespace ybis::control {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;

/// The lines of a scrape in their order by text; of the process' own values only names and types.
std::string Lines(const std::string& scrape) {
  std::vector<std::string> lines;
  for (size_t at = 0; at < scrape.size();) {
    const size_t end = std::min(scrape.find('\n', at), scrape.size());
    lines.push_back(scrape.substr(at, end - at));
    at = end + 1;
  }
  std::erase_if(lines, [](const std::string& line) { return line.starts_with("process_"); });
  std::sort(lines.begin(), lines.end());
  return fmt::format("{}\n", fmt::join(lines, "\n"));
}

/// Dashboards and alerts know metrics by name. Run with YBIS_UPDATE_GOLDEN=1 to write the file anew.
TEST(Metrics, EqualTheirGoldenFileBeforeAnythingHappened) {
  Metrics metrics;
  const std::string path = ybis::testing::SourceDir() + "/tests/golden/metrics.txt";
  const std::string text = Lines(metrics.Serialize());
  if (std::getenv("YBIS_UPDATE_GOLDEN") != nullptr) {
    ASSERT_TRUE(WriteFileAtomic(path, text));
  }
  const auto golden = ReadFile(path);
  ASSERT_TRUE(golden) << golden.error().message;
  EXPECT_EQ(text, *golden);
}

/// Answers everything well, or nothing.
class SomeRuns final : public RunService {
 public:
  Result<api::ClaimResponse> Claim(const std::string&, const std::string&, const api::ClaimRequest&,
                                   std::stop_token) override {
    return api::ClaimResponse();
  }
  Result<api::HeartbeatResponse> Heartbeat(const std::string&, const api::HeartbeatRequest&,
                                           std::stop_token) override {
    return api::HeartbeatResponse{};
  }
  Status ReportNode(const std::string&, const api::NodeReport&, std::stop_token) override { return node; }
  Status RecordEvent(const std::string&, const api::EventReport&, std::stop_token) override { return {}; }
  Result<api::ArtifactRef> PutArtifact(const std::string&, int64_t, const std::string&, std::string,
                                       std::stop_token) override {
    return api::ArtifactRef{};
  }
  Result<std::string> GetArtifact(const std::string&, const std::string&, std::stop_token) override {
    return std::string();
  }
  Status Finish(const std::string&, const api::FinishReport&, std::stop_token) override { return {}; }
  Status Release(const std::string&, const api::ReleaseReport&, std::stop_token) override { return {}; }

  Status node;
};

class CountingRunServiceTest : public ::testing::Test {
 protected:
  Status Report(const std::string& type, const json& output) {
    api::NodeReport report;
    report.type = type;
    report.started = *ParseRfc3339("2026-03-01T12:00:00Z");
    report.finished = report.started + std::chrono::seconds(3);
    report.output = std::make_shared<const json>(output);
    return counting_.ReportNode("run-1", report, {});
  }

  SomeRuns runs_;
  Metrics metrics_;
  CountingRunService counting_{runs_, metrics_};
};

TEST_F(CountingRunServiceTest, CountsNodesTheirCommandsAndTheGatesDecisions) {
  EXPECT_TRUE(Report("verifier", {{"commands", {{"ok", 2}, {"timedOut", 1}}}}));
  EXPECT_TRUE(Report("command", {{"error", {{"reason", "CommandFailed"}}}, {"commands", {{"failed", 1}}}}));
  EXPECT_TRUE(Report("gate", {{"decision", "approved"}}));
  const std::string text = metrics_.Serialize();
  for (const char* line :
       {"ybis_tool_calls_total{result=\"ok\"} 2\n", "ybis_tool_calls_total{result=\"failed\"} 1\n",
        "ybis_tool_calls_total{result=\"timedOut\"} 1\n",
        "ybis_gate_outcomes_total{decision=\"approved\"} 1\n",
        "ybis_node_duration_seconds_sum{type=\"verifier\"} 3\n",
        "ybis_node_duration_seconds_count{type=\"command\"} 1\n"}) {
    EXPECT_THAT(text, HasSubstr(line));
  }
}

TEST_F(CountingRunServiceTest, TakesNoRunnersWordForLabelsOrSums) {
  EXPECT_TRUE(Report("made-up", {{"decision", "approved"}}));
  EXPECT_TRUE(Report("gate", {{"decision", "made-up"}}));
  EXPECT_TRUE(Report("command", {{"commands", {{"ok", 1'000'000'000}, {"failed", -5}, {"made-up", 1}}}}));
  EXPECT_TRUE(Report("command", {{"commands", "many"}}));
  EXPECT_TRUE(Report("command", json::array()));
  const std::string text = metrics_.Serialize();
  EXPECT_THAT(text, HasSubstr("ybis_node_duration_seconds_count{type=\"other\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("ybis_gate_outcomes_total{decision=\"other\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("ybis_gate_outcomes_total{decision=\"approved\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("ybis_tool_calls_total{result=\"ok\"} 1000\n"));
  EXPECT_THAT(text, HasSubstr("ybis_tool_calls_total{result=\"failed\"} 0\n"));
  EXPECT_THAT(text, Not(HasSubstr("made-up")));
}

TEST_F(CountingRunServiceTest, DoesNotCountWhatWasRefused) {
  runs_.node = Fail(ErrorCode::kStale, "stop");
  EXPECT_FALSE(Report("command", {{"commands", {{"ok", 1}}}}));
  const std::string text = metrics_.Serialize();
  EXPECT_THAT(text, HasSubstr("ybis_tool_calls_total{result=\"ok\"} 0\n"));
  EXPECT_THAT(text, Not(HasSubstr("ybis_node_duration_seconds")));
}

}  // namespace
}  // namespace ybis::control
