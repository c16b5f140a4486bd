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
  claim.order.trace_id = "0123456789abcdef0123456789abcdef";
  claim.order.policy.project_root = "/home/me/shop";
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
  claim.decision = ApprovalDecision{.decision = DecisionKind::kRevise,
                                    .approvers = {"ada", "bob"},
                                    .reason = "because",
                                    .feedback = "keep the old port",
                                    .subject_digest = "sha256:1",
                                    .seq = 2,
                                    .decided = kTime};
  const auto back = ParseClaimResponse(ToJson(claim));
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(ToJson(*back), ToJson(claim));
  EXPECT_EQ(back->infra_failures, 0);
}

/// One that does not speak of failures counts every attempt before as one.
TEST(ClaimResponse, WithoutFailuresTakesTheAttempts) {
  ClaimResponse claim;
  claim.epoch = 4;
  claim.attempt = 3;
  claim.infra_failures = 2;
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
  const json value = ToJson(claim);
  EXPECT_FALSE(value.contains("infraFailures"));
  json with = value;
  with["infraFailures"] = 1;
  for (const auto& [form, failures] : {std::pair(value, 2), std::pair(with, 1)}) {
    const auto back = ParseClaimResponse(form);
    ASSERT_TRUE(back) << back.error().message;
    EXPECT_EQ(back->infra_failures, failures);
  }
  EXPECT_EQ(ToJson(ReleaseReport{1, "r"}), (json{{"epoch", 1}, {"reason", "r"}}));
  EXPECT_TRUE(ParseReleaseReport(ToJson(ReleaseReport{1, "r", true}))->failed);
}

TEST(ApprovalDecision, RefusesWhatNoRunnerGetsToHear) {
  json decision = ToJson(ApprovalDecision{.subject_digest = "d", .decided = kTime});
  ASSERT_TRUE(ParseApprovalDecision(decision));
  decision["decision"] = "Reject";
  EXPECT_EQ(ParseApprovalDecision(decision).error().message,
            "decision.decision: must be one of Approve, Revise");
  decision.erase("decision");
  EXPECT_FALSE(ParseApprovalDecision(decision));
}

TEST(SubjectDigest, IsAnotherForEveryWait) {
  const std::string digest = SubjectDigest("r-1", 5, "sha256:1", "blocked");
  EXPECT_EQ(digest, SubjectDigest("r-1", 5, "sha256:1", "blocked"));
  EXPECT_NE(digest, SubjectDigest("r-2", 5, "sha256:1", "blocked"));
  EXPECT_NE(digest, SubjectDigest("r-1", 8, "sha256:1", "blocked"));
  EXPECT_NE(digest, SubjectDigest("r-1", 5, "sha256:2", "blocked"));
  EXPECT_NE(digest, SubjectDigest("r-1", 5, "sha256:1", "approved"));
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
                      .subject_digest = "d",
                      .wait_node = "gate"};
  const auto back = ParseFinishReport(ToJson(report));
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(ToJson(*back), ToJson(report));
  EXPECT_EQ(ParseFinishReport({{"epoch", 1}, {"outcome", "Great"}}).error().message,
            "outcome: must be one of Completed, Failed, Blocked");
  report.result->branch = std::string("a\0b", 3);
  EXPECT_NE(ParseFinishReport(ToJson(report)).error().message.find("NUL"), std::string::npos);
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
