#include "control/approval_rules.h"

#include <gtest/gtest.h>

namespace ybis::control {
namespace {

using api::DecisionKind;
using enum ApprovalVerdict;

constexpr char kDigest[] = "sha256:what-waits";

ApprovalRequest By(const std::string& approver, DecisionKind decision = DecisionKind::kApprove) {
  return {"key", "run-1", kDigest, decision, "because", "otherwise", approver};
}

ApprovalFacts Waiting(int64_t required = 1, std::vector<std::string> approvers = {}) {
  store::WaitRow wait;
  wait.run_id = "run-1";
  wait.subject_digest = kDigest;
  wait.node = "gate";
  wait.required = required;
  wait.approvers = std::move(approvers);
  return {"Blocked", false, wait, "w", true};
}

TEST(JudgeDecision, DecidesCountsAndRefuses) {
  const struct {
    const char* what;
    ApprovalRequest request;
    ApprovalFacts facts;
    ApprovalVerdict verdict;
    int64_t approvals;
  } cases[] = {
      {"one of one", By("ada"), Waiting(), kDecided, 1},
      {"one of three", By("ada"), Waiting(3), kCounted, 1},
      {"the last of three", By("eve"), Waiting(3, {"ada", "bob"}), kDecided, 3},
      {"the same person again", By("ada"), Waiting(3, {"ada", "bob"}), kDuplicate, 2},
      {"a rejection needs no quorum", By("ada", DecisionKind::kReject), Waiting(3), kDecided, 0},
      {"who approved may reject", By("ada", DecisionKind::kReject), Waiting(3, {"ada"}), kDecided, 1},
      {"a revision needs no quorum", By("ada", DecisionKind::kRevise), Waiting(3), kDecided, 0},
  };
  for (const auto& one : cases) {
    const ApprovalResult result = JudgeDecision(one.request, one.facts);
    EXPECT_EQ(result.verdict, one.verdict) << one.what << ": " << result.message;
    EXPECT_EQ(result.approvals, one.approvals) << one.what;
    EXPECT_EQ(result.required, one.facts.wait->required) << one.what;
    EXPECT_FALSE(result.message.empty()) << one.what;
  }
}

TEST(JudgeDecision, IsStaleWhateverIsAskedWhenItIsNotAboutWhatWaits) {
  ApprovalFacts other = Waiting();
  other.wait->subject_digest = "sha256:something-else";
  ApprovalFacts expired = Waiting();
  expired.wait->expired = true;
  ApprovalFacts cancelled = Waiting();
  cancelled.cancel_requested = true;
  const ApprovalFacts over{"Completed", false, std::nullopt, "w", true};
  for (const ApprovalFacts& facts : {other, expired, cancelled, over}) {
    for (const DecisionKind kind : {DecisionKind::kApprove, DecisionKind::kReject, DecisionKind::kRevise}) {
      const ApprovalResult result = JudgeDecision(By("ada", kind), facts);
      EXPECT_EQ(result.verdict, kStale) << result.message;
      EXPECT_NE(result.message.find("nothing was decided"), std::string::npos) << result.message;
    }
  }
}

TEST(JudgeDecision, RefusesWhatCannotBeDone) {
  ApprovalFacts no_repair = Waiting();
  no_repair.can_repair = false;
  EXPECT_EQ(JudgeDecision(By("ada", DecisionKind::kRevise), no_repair).verdict, kRefused);
  EXPECT_EQ(JudgeDecision(By("ada"), no_repair).verdict, kDecided);
  ApprovalRequest silent = By("ada", DecisionKind::kReject);
  silent.reason.clear();
  EXPECT_EQ(JudgeDecision(silent, Waiting()).verdict, kRefused);
  silent.decision = DecisionKind::kRevise;
  silent.feedback.clear();
  EXPECT_EQ(JudgeDecision(silent, Waiting()).verdict, kRefused);
}

TEST(CheckRequest, NamesTheFieldThatIsWrong) {
  EXPECT_TRUE(CheckRequest(By("ada")));
  EXPECT_EQ(CheckRequest(By("")).error().message, "approver: must have 1 to 2048 bytes");
  ApprovalRequest request = By("ada");
  request.feedback.assign(40'000, 'x');
  EXPECT_EQ(CheckRequest(request).error().message, "feedback: must have 0 to 32768 bytes");
}

store::ApprovalRow Row(const std::string& approver, const std::string& decision, const std::string& verdict,
                       const std::string& subject = kDigest) {
  store::ApprovalRow row;
  row.approver = approver;
  row.decision = decision;
  row.verdict = verdict;
  row.subject_digest = subject;
  row.seq = 4;
  return row;
}

TEST(DecisionOf, IsTheLastThatEndedAWaitWithAllWhoMadeIt) {
  EXPECT_FALSE(DecisionOf({}));
  EXPECT_FALSE(DecisionOf({Row("ada", "Approve", "Counted")}));
  EXPECT_FALSE(DecisionOf({Row("ada", "Reject", "Decided")}));
  const auto approved = DecisionOf({Row("ada", "Approve", "Counted"), Row("bob", "Approve", "Decided")});
  ASSERT_TRUE(approved);
  EXPECT_EQ(approved->approvers, (std::vector<std::string>{"ada", "bob"}));
  const auto revised = DecisionOf({Row("ada", "Approve", "Counted"), Row("bob", "Revise", "Decided")});
  EXPECT_EQ(revised->decision, DecisionKind::kRevise);
  EXPECT_EQ(revised->approvers, std::vector<std::string>{"bob"});
  const auto second =
      DecisionOf({Row("ada", "Approve", "Decided", "sha256:first"), Row("bob", "Approve", "Decided")});
  EXPECT_EQ(second->subject_digest, kDigest);
  EXPECT_EQ(second->approvers, std::vector<std::string>{"bob"});
}

}  // namespace
}  // namespace ybis::control
