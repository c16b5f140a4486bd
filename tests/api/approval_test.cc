#include "api/approval.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace ybis::api {
namespace {

using nlohmann::json;

json Spec(const json& more = json::object()) {
  json spec = {{"taskRef", {{"name", "fix"}}},
               {"runID", "aaaa1111-1"},
               {"subjectDigest", "sha256:5ub"},
               {"decision", "Approve"},
               {"approver", "ada"}};
  spec.merge_patch(more);
  return spec;
}

std::string ProblemWith(const json& spec) {
  const auto parsed = ParseApprovalSpec(spec);
  return parsed ? "" : parsed.error().message;
}

TEST(ParseApprovalSpec, ReadsBackWhatToJsonWrites) {
  const json full = Spec({{"decision", "Revise"}, {"reason", "not yet"}, {"feedback", "Add a test"}});
  for (const json& spec : {Spec(), full}) {
    const auto parsed = ParseApprovalSpec(spec);
    ASSERT_TRUE(parsed) << parsed.error().message;
    EXPECT_EQ(ToJson(*parsed), spec);
  }
}

TEST(ParseApprovalSpec, NamesEveryFieldThatIsWrong) {
  const std::string problem = ProblemWith({{"decision", "Maybe"}, {"subjectDigest", 5}, {"aprover", "ada"}});
  for (const char* text : {"spec.taskRef: is required", "spec.runID: ", "spec.subjectDigest: ",
                           "spec.decision: 'Maybe'", "spec.approver: ", "spec.aprover: unknown field"}) {
    EXPECT_NE(problem.find(text), std::string::npos) << text << " in " << problem;
  }
}

TEST(ParseApprovalSpec, WantsAReasonToRejectAndFeedbackToRevise) {
  EXPECT_NE(ProblemWith(Spec({{"decision", "Reject"}})).find("spec.reason: is required"), std::string::npos);
  EXPECT_NE(ProblemWith(Spec({{"decision", "Revise"}})).find("spec.feedback: is required"),
            std::string::npos);
  EXPECT_EQ(ProblemWith(Spec({{"decision", "Reject"}, {"reason", "no"}})), "");
}

TEST(ParseApprovalSpec, KeepsTheBoundsOfTheSchema) {
  for (const auto& [field, max] :
       {std::pair("approver", 512), {"reason", 1024}, {"feedback", 8192}, {"runID", 128}}) {
    EXPECT_NE(ProblemWith(Spec({{field, std::string(4 * max + 1, 'x')}})), "") << field;
    EXPECT_EQ(ProblemWith(Spec({{field, std::string(max, 'x')}})), "") << field;
    EXPECT_NE(ProblemWith(Spec({{field, std::string("a\0b", 3)}})), "") << field;
  }
}

json Object(const json& status) {
  return {{"apiVersion", "ybis.dev/v1alpha1"},
          {"kind", "YbisApproval"},
          {"metadata", {{"name", "a"}, {"namespace", "team"}, {"uid", "u"}, {"generation", 1}}},
          {"spec", Spec()},
          {"status", status}};
}

TEST(ParseApproval, ReadsItsStatusBack) {
  ApprovalStatus status;
  status.observed_generation = 1;
  status.phase = ApprovalPhase::kStale;
  status.message = "another change waits by now";
  status.observed = TimePoint(std::chrono::seconds(1'769'860'800));
  SetCondition(status.conditions, {.type = "Accepted", .status = "False", .reason = "Stale"},
               *status.observed);
  const auto approval = ParseApproval(Object(ToJson(status)));
  ASSERT_TRUE(approval) << approval.error().message;
  EXPECT_EQ(ToJson(approval->status), ToJson(status));
  EXPECT_EQ(approval->meta.uid, "u");
}

TEST(ParseApproval, TakesABrokenStatusForNone) {
  for (const json& status : {json("x"), json{{"phase", 5}}, json{{"phase", "Sure"}}, json(nullptr)}) {
    const auto approval = ParseApproval(Object(status));
    ASSERT_TRUE(approval) << status;
    EXPECT_EQ(approval->status.phase, ApprovalPhase::kPending) << status;
  }
}

}  // namespace
}  // namespace ybis::api
