#include "api/run_api.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace ybis::api {
namespace {

using nlohmann::json;

const TimePoint kTime(std::chrono::microseconds(1'769'860'800'000'042));

Checkpoint SampleCheckpoint() {
  Checkpoint checkpoint;
  checkpoint.seq = 2;
  checkpoint.next_node = "verify";
  checkpoint.visits = {{"plan", 1}};
  checkpoint.state = std::make_shared<json>(json{{"plan", {{"steps", 3}}}});
  checkpoint.base_commit = "abc";
  checkpoint.patch = "diff";
  return checkpoint;
}

TEST(ClaimResponse, ReadsBackWhatItWrites) {
  ClaimResponse claim;
  claim.epoch = 4;
  claim.attempt = 2;
  claim.order.run_id = "r-1";
  claim.order.task_name = "t";
  claim.order.task_uid = "u";
  claim.order.spec.objective = "x";
  claim.order.spec.repository.url = "https://h/r";
  claim.order.workflow.name = "w";
  claim.order.workflow.entry_point = "a";
  claim.order.workflow.exit_points = {"a"};
  claim.order.workflow.nodes = {
      {.name = "a", .type = "gate", .next = {}, .config = std::make_shared<json>(json::object())}};
  claim.order.policy.protected_paths = {"x/**"};
  claim.order.deadline = kTime;
  claim.checkpoint = SampleCheckpoint();
  const auto back = ParseClaimResponse(ToJson(claim));
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(ToJson(*back), ToJson(claim));
}

TEST(NodeReport, ReadsBackWhatItWrites) {
  NodeReport report{.epoch = 1,
                    .seq = 3,
                    .node = "plan",
                    .type = "planner",
                    .visit = 1,
                    .outcome = "ok",
                    .error = "",
                    .started = kTime,
                    .finished = kTime};
  report.output = std::make_shared<json>(json{{"files", 1}});
  report.checkpoint = SampleCheckpoint();
  const auto back = ParseNodeReport(ToJson(report));
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(ToJson(*back), ToJson(report));
}

TEST(FinishReport, ReadsBackWhatItWrites) {
  FinishReport report{.epoch = 1,
                      .outcome = "Failed",
                      .failure = Failure{FailureClass::kVerify, "VerificationFailed", "m"},
                      .result = RunResult{.decision = "rejected"},
                      .verification = VerificationResult{1, 2},
                      .subject_digest = "d"};
  const auto back = ParseFinishReport(ToJson(report));
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(ToJson(*back), ToJson(report));
  EXPECT_EQ(ParseFinishReport({{"epoch", 1}, {"outcome", "Great"}}).error().message,
            "outcome: must be one of Completed, Failed, Blocked");
}

TEST(ModelRequest, DigestIgnoresTheEpochAndMindsEverythingElse) {
  ModelRequest request{.epoch = 1, .node = "plan", .messages = {{"user", "hi"}}, .schema_name = "plan"};
  const std::string digest = request.RequestDigest();
  request.epoch = 2;
  EXPECT_EQ(request.RequestDigest(), digest);
  request.messages[0].content = "ho";
  EXPECT_NE(request.RequestDigest(), digest);
  const auto back = ParseModelRequest(ToJson(request));
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(back->RequestDigest(), request.RequestDigest());
}

TEST(ParseModelRequest, RefusesUnknownRolesAndEmptiness) {
  EXPECT_FALSE(ParseModelRequest({{"node", "a"}, {"messages", json::array()}}));
  EXPECT_FALSE(ParseModelRequest({{"node", "a"}, {"messages", {{{"role", "root"}, {"content", "x"}}}}}));
}

}  // namespace
}  // namespace ybis::api
