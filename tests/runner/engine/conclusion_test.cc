#include "runner/engine/conclusion.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/digest.h"
#include "runner/engine/delivery.h"

namespace ybis::runner {
namespace {

using nlohmann::json;
using Kind = Conclusion::Kind;

const json kFailure = {{"class", "Policy"}, {"reason", "PolicyBlocked"}, {"message", "m"}};

api::Checkpoint After(json state, std::string patch = "diff\n") {
  return {.seq = 5,
          .state = std::make_shared<const json>(std::move(state)),
          .base_commit = std::string(40, 'a'),
          .patch = std::move(patch)};
}

json Approved(const std::string& patch = "diff\n") {
  return {{"gate", {{"decision", "approved"}, {"patchDigest", Digest(patch)}}}};
}

api::RunOrder OrderWith(api::DeliveryMode mode) {
  api::RunOrder order;
  order.task_namespace = "ns";
  order.task_name = "task";
  order.run_id = "abc-2";
  order.run_number = 2;
  order.spec.delivery.mode = mode;
  return order;
}

const api::RunOrder kBranch = OrderWith(api::DeliveryMode::kBranch);

TEST(Conclude, DeliversExactlyWhatTheGateApproved) {
  EXPECT_EQ(Conclude(kBranch, After(Approved())).kind, Kind::kDeliver);
  const Conclusion edited = Conclude(kBranch, After(Approved(), "another\n"));
  EXPECT_EQ(edited.kind, Kind::kFail);
  EXPECT_EQ(edited.failure->reason, "ChangedAfterGate");
}

TEST(Conclude, CompletesWithoutDeliveryWhenNoneIsAskedFor) {
  EXPECT_EQ(Conclude(OrderWith(api::DeliveryMode::kNone), After(Approved())).kind, Kind::kComplete);
}

TEST(Conclude, HasNothingToDeliverForAnEmptyPatch) {
  EXPECT_EQ(Conclude(kBranch, After(Approved(""), "")).kind, Kind::kComplete);
}

TEST(Conclude, TakesBlockedAndRejectedFromTheGate) {
  const Conclusion blocked =
      Conclude(kBranch, After({{"gate", {{"decision", "blocked"}, {"failure", kFailure}}}}));
  EXPECT_EQ(blocked.kind, Kind::kBlock);
  EXPECT_EQ(blocked.failure->reason, "PolicyBlocked");
  EXPECT_EQ(Conclude(kBranch, After({{"gate", {{"decision", "rejected"}, {"failure", kFailure}}}})).kind,
            Kind::kFail);
}

TEST(Conclude, WithModeNeverWhatWouldWaitFails) {
  api::RunOrder order = kBranch;
  order.spec.approval.mode = api::ApprovalMode::kNever;
  const Conclusion blocked =
      Conclude(order, After({{"gate", {{"decision", "blocked"}, {"failure", kFailure}}}}));
  EXPECT_EQ(blocked.kind, Kind::kFail);
  EXPECT_EQ(blocked.failure->failure_class, api::FailureClass::kPolicy);
  EXPECT_EQ(blocked.failure->reason, "PolicyBlocked");
  json waiting = Approved();
  waiting["@run"] = {{"waiting", {{"node", "ask"}, {"message", "look"}}}};
  const Conclusion asked = Conclude(order, After(waiting));
  EXPECT_EQ(asked.kind, Kind::kFail);
  EXPECT_EQ(asked.failure->reason, "ApprovalRequired");
  EXPECT_EQ(Conclude(order, After(Approved())).kind, Kind::kDeliver);
}

TEST(Conclude, WithModeAlwaysAnApprovedChangeWaitsForAPersonToo) {
  api::RunOrder order = kBranch;
  order.spec.approval.mode = api::ApprovalMode::kAlways;
  const Conclusion waits = Conclude(order, After(Approved()));
  EXPECT_EQ(waits.kind, Kind::kBlock);
  EXPECT_EQ(waits.failure->reason, "ApprovalRequired");
  EXPECT_EQ(waits.subject_digest, api::SubjectDigest("abc-2", 5, Digest("diff\n"), "approved"));
  EXPECT_FALSE(waits.walk_goes_on);
  json approved = Approved();
  approved["@run"] = {{"approval", {{"runID", "abc-2"}, {"approvers", {"ada"}}}}};
  EXPECT_EQ(Conclude(order, After(approved)).kind, Kind::kDeliver);
  EXPECT_EQ(Conclude(order, After(approved, "another\n")).failure->reason, "ChangedAfterGate");
}

TEST(Conclude, ABlockedChangeThatAPersonApprovedIsDeliveredUnlessItChanged) {
  json state = {{"gate", {{"decision", "blocked"}, {"failure", kFailure}, {"patchDigest", Digest("diff\n")}}},
                {"@run", {{"approval", {{"runID", "abc-2"}, {"approvers", {"ada"}}}}}}};
  EXPECT_EQ(Conclude(kBranch, After(state)).kind, Kind::kDeliver);
  EXPECT_EQ(Conclude(kBranch, After(state, "another\n")).failure->reason, "ChangedAfterGate");
  api::RunOrder later = kBranch;
  later.run_id = "abc-3";
  EXPECT_EQ(Conclude(later, After(state)).kind, Kind::kBlock) << "an approval is of one run";
  state["gate"]["decision"] = "rejected";
  EXPECT_EQ(Conclude(kBranch, After(state)).kind, Kind::kFail) << "what the gate rejects nobody can approve";
}

TEST(Conclude, LetsAFailureOutrankAnEarlierApproval) {
  json state = Approved();
  state["failure"] = kFailure;
  EXPECT_EQ(Conclude(kBranch, After(state)).kind, Kind::kFail);
}

TEST(Conclude, FailsAHandledErrorThatWasNeverApproved) {
  const Conclusion conclusion = Conclude(kBranch, After({{"error", kFailure}}));
  EXPECT_EQ(conclusion.kind, Kind::kFail);
  EXPECT_EQ(conclusion.failure->reason, "PolicyBlocked");
}

TEST(Conclude, PushesNothingWithoutAGate) {
  EXPECT_EQ(Conclude(kBranch, After(json::object())).failure->reason, "NotGated");
  EXPECT_EQ(Conclude(OrderWith(api::DeliveryMode::kNone), After(json::object())).kind, Kind::kComplete);
}

TEST(ReportOf, TellsResultVerificationAndSubject) {
  json state = {{"gate", {{"decision", "blocked"}, {"failure", kFailure}}},
                {"verifier", {{"passed", 3}, {"failed", 1}}},
                {"diff", {{"filesChanged", 2}, {"insertions", 7}, {"deletions", 1}}}};
  const api::Checkpoint checkpoint = After(state);
  const api::FinishReport report = ReportOf(Conclude(kBranch, checkpoint), checkpoint);
  EXPECT_EQ(report.outcome, "Blocked");
  EXPECT_EQ(report.subject_digest, api::SubjectDigest("abc-2", 5, Digest("diff\n"), "blocked"));
  EXPECT_EQ(report.wait_node, "gate");
  EXPECT_EQ(report.result->files_changed, 2);
  EXPECT_EQ(report.result->insertions, 7);
  EXPECT_EQ(report.verification->failed, 1);
}

TEST(DeliveryBranch, IsTheNamedOneOrOneOfTaskAndRun) {
  api::RunOrder order = kBranch;
  order.run_id = "0123abcd-2";
  EXPECT_EQ(DeliveryBranch(order), "ybis/task-0123abcd-2");
  order.spec.delivery.branch = "feature/x";
  EXPECT_EQ(DeliveryBranch(order), "feature/x");
}

TEST(CommitMessage, HasAShortSubjectAndTrailers) {
  api::RunOrder order = kBranch;
  order.spec.objective =
      std::string(30, 'a') + " " + std::string(30, 'b') + " " + std::string(30, 'c') + "\nmore";
  const std::string message = CommitMessage(order, After({{"planner", {{"summary", "What and why."}}}}));
  EXPECT_EQ(message, std::string(30, 'a') + " " + std::string(30, 'b') +
                         "\n\nWhat and why.\n\nYbis-Task: ns/task\nYbis-Run: abc-2\n");
}

}  // namespace
}  // namespace ybis::runner
