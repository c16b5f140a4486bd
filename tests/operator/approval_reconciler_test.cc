// The approval reconciler over an API server and a record in memory.
#include "operator/approval/reconciler.h"

#include <gtest/gtest.h>

#include "operator/approval/approver_policy.h"
#include "tests/kube/fake_api.h"
#include "tests/operator/world.h"

namespace ybis::op {
namespace {

using namespace testing;
using control::ApprovalVerdict;
using control::RunState;
using nlohmann::json;

const kube::Key kApproval{"team", "first"};

/// Decides as it is told to, once a key, like the record.
class FakeDecisions final : public Decisions {
 public:
  control::ApprovalResult next{ApprovalVerdict::kDecided, "approved by ada (1 of 1): the run goes on", 1, 1};
  std::optional<Error> error;
  std::vector<control::ApprovalRequest> asked;
  std::map<std::string, control::ApprovalResult> known;

  Result<bool> Known(const std::string& key, std::stop_token) override { return known.contains(key); }
  Result<control::ApprovalResult> Decide(const control::ApprovalRequest& request, std::stop_token) override {
    asked.push_back(request);
    if (error) return Fail(*error);
    return known.try_emplace(request.key, next).first->second;
  }
};

class ApprovalReconcilerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    json task = api_.Create(kube::kTasks, TaskObject(), {}).value();
    task["metadata"]["uid"] = kUid;
    ASSERT_TRUE(api_.Replace(kube::kTasks, task, {}));
    records_.runs[kUid].push_back(RunIn(RunState::kBlocked));
    json policy = {
        {"metadata", {{"name", "ybisapprovals.ybis.dev"}, {"creationTimestamp", "2026-03-01T11:00:00Z"}}},
        {"spec",
         {{"matchConstraints",
           {{"resourceRules",
             {{{"apiGroups", {"ybis.dev"}},
               {"apiVersions", {"*"}},
               {"resources", {"ybisapprovals"}},
               {"operations", {"CREATE"}}}}}}},
          {"validations", {{{"expression", "object.spec.approver == request.userInfo.username"}}}}}}};
    ASSERT_TRUE(api_.Create(kAdmissionPolicies, policy, {}));
    policy["spec"] = {{"policyName", "ybisapprovals.ybis.dev"}, {"validationActions", {"Deny"}}};
    ASSERT_TRUE(api_.Create(kAdmissionPolicyBindings, policy, {}));
    api_.fail = [this](std::string_view verb, const kube::Resource& resource, const kube::Key&) -> Status {
      if (verb == "patch" && resource.plural == "ybisapprovals") ++patches_;
      if (verb == "patch" && patch_error_) return Fail(*patch_error_);
      if (verb == "get" && policy_error_ && resource.group == kAdmissionPolicies.group)
        return Fail(*policy_error_);
      return {};
    };
  }
  void Apply(const json& spec = json::object(), const kube::Key& key = kApproval) {
    json object = {{"apiVersion", "ybis.dev/v1alpha1"},
                   {"kind", "YbisApproval"},
                   {"metadata",
                    {{"name", key.name},
                     {"namespace", key.ns},
                     {"generation", 1},
                     {"creationTimestamp", "2026-03-01T12:00:00Z"}}},
                   {"spec",
                    {{"taskRef", {{"name", "fix"}}},
                     {"runID", kRun},
                     {"subjectDigest", "sha256:5ub"},
                     {"decision", "Approve"},
                     {"approver", "ada"}}}};
    object["spec"].merge_patch(spec);
    ASSERT_TRUE(api_.Create(kube::kApprovals, object, {}));
    Watch();
  }
  void Watch() {
    approvals_.ReplaceAll(api_.List(kube::kApprovals, "", {}, {})->items);
    tasks_.ReplaceAll(api_.List(kube::kTasks, "", {}, {})->items);
  }
  ReconcileResult Reconcile(const kube::Key& key = kApproval) {
    const auto result = reconciler_.Reconcile(key, {});
    EXPECT_TRUE(result) << (result ? "" : result.error().message);
    return result.value_or(ReconcileResult{});
  }
  json Shown(const kube::Key& key = kApproval) {
    return api_.Peek(kube::kApprovals, key).value("status", json::object());
  }
  std::string Accepted() {
    const json shown = Shown();
    for (const json& condition : shown["conditions"]) {
      if (condition["type"] == "Accepted") return condition["status"];
    }
    return "";
  }

  FakeClock clock_{kNow};
  kube::FakeApi api_;
  kube::Cache approvals_{clock_}, tasks_{clock_};
  FakeRecords records_;
  FakeDecisions decisions_;
  FakeEvents events_;
  int patches_ = 0;
  std::optional<Error> patch_error_;
  std::optional<Error> policy_error_;
  ApprovalReconciler reconciler_{{approvals_, tasks_, api_, records_, decisions_, events_, clock_}};
};

TEST_F(ApprovalReconcilerTest, BringsADecisionBeforeTheRecordUnderItsUid) {
  Apply({{"decision", "Revise"}, {"feedback", "Add a test"}, {"reason", "not yet"}});
  Reconcile();
  ASSERT_EQ(decisions_.asked.size(), 1u);
  const auto& request = decisions_.asked[0];
  EXPECT_EQ(request.key, kube::MetaString(api_.Peek(kube::kApprovals, kApproval), "uid"));
  EXPECT_EQ(request.run_id, kRun);
  EXPECT_EQ(request.subject_digest, "sha256:5ub");
  EXPECT_EQ(request.decision, api::DecisionKind::kRevise);
  EXPECT_EQ(request.feedback, "Add a test");
  EXPECT_EQ(request.reason, "not yet");
  EXPECT_EQ(request.approver, "ada");
}

TEST_F(ApprovalReconcilerTest, TakesNobodysWordWithoutTheAdmissionPolicyUnlessToldTo) {
  ASSERT_TRUE(api_.Delete(kAdmissionPolicyBindings, {"", "ybisapprovals.ybis.dev"}, {}, {}));
  Apply();
  Reconcile();
  EXPECT_TRUE(decisions_.asked.empty());
  EXPECT_EQ(Shown()["phase"], "Refused");
  EXPECT_EQ(events_.entries.at(0).reason, "ApproverUnproven");

  ApprovalReconciler trusting({approvals_, tasks_, api_, records_, decisions_, events_, clock_, false});
  const kube::Key other{"team", "other"};
  Apply(json::object(), other);
  ASSERT_TRUE(trusting.Reconcile(other, {}));
  EXPECT_EQ(decisions_.asked.size(), 1u);
}

TEST_F(ApprovalReconcilerTest, DecidesNothingYetWhileItMayNotLookAtTheAdmissionPolicy) {
  policy_error_ = Error{ErrorCode::kDenied, "forbidden"};
  Apply();
  EXPECT_FALSE(reconciler_.Reconcile(kApproval, {})) << "tried again, ever more seldom";
  EXPECT_TRUE(decisions_.asked.empty());
  EXPECT_EQ(Shown(), json::object());
  policy_error_.reset();
  Reconcile();
  EXPECT_EQ(Shown()["phase"], "Applied");
}

TEST_F(ApprovalReconcilerTest, TellsWhatCameOfADecisionWhateverBecameOfTheAdmissionPolicy) {
  Apply();
  patch_error_ = Error{ErrorCode::kUnavailable, "connection refused", true};
  EXPECT_FALSE(reconciler_.Reconcile(kApproval, {}));
  patch_error_.reset();
  ASSERT_TRUE(api_.Delete(kAdmissionPolicyBindings, {"", "ybisapprovals.ybis.dev"}, {}, {}));
  Reconcile();
  EXPECT_EQ(Shown()["phase"], "Applied") << "it has decided";
}

struct VerdictCase {
  ApprovalVerdict verdict;
  const char* decision;
  const char* phase;
  const char* accepted;
  const char* event;
  kube::EventType type;
};

TEST_F(ApprovalReconcilerTest, ShowsEveryVerdictAndTellsItOnTheTask) {
  using V = ApprovalVerdict;
  using T = kube::EventType;
  const std::vector<VerdictCase> cases = {
      {V::kDecided, "Approve", "Applied", "True", "Approved", T::kNormal},
      {V::kDecided, "Revise", "Applied", "True", "Revised", T::kNormal},
      {V::kDecided, "Reject", "Applied", "True", "Rejected", T::kWarning},
      {V::kCounted, "Approve", "Counted", "True", "ApprovalCounted", T::kNormal},
      {V::kStale, "Approve", "Stale", "False", "StaleApproval", T::kWarning},
      {V::kDuplicate, "Approve", "Refused", "False", "ApprovedBefore", T::kWarning},
      {V::kRefused, "Revise", "Refused", "False", "ApprovalRefused", T::kWarning}};
  for (const VerdictCase& one : cases) {
    ASSERT_TRUE(!api_.Peek(kube::kApprovals, kApproval).is_object() ||
                api_.Delete(kube::kApprovals, kApproval, {}, {}));
    decisions_.next.verdict = one.verdict;
    events_.entries.clear();
    Apply({{"decision", one.decision}, {"feedback", "f"}, {"reason", "r"}});
    Reconcile();
    EXPECT_EQ(Shown()["phase"], one.phase) << one.event;
    EXPECT_EQ(Shown()["message"], decisions_.next.message);
    EXPECT_EQ(Shown()["observedGeneration"], 1);
    EXPECT_EQ(Accepted(), one.accepted) << one.event;
    ASSERT_EQ(events_.entries.size(), 1u);
    EXPECT_EQ(events_.entries[0].reason, one.event);
    EXPECT_EQ(events_.entries[0].type, one.type) << one.event;
  }
}

TEST_F(ApprovalReconcilerTest, NeverDecidesASecondTime) {
  Apply();
  Reconcile();
  Watch();
  Reconcile();
  Reconcile();
  EXPECT_EQ(decisions_.asked.size(), 1u);
  EXPECT_EQ(patches_, 1);
  EXPECT_EQ(events_.entries.size(), 1u);
}

TEST_F(ApprovalReconcilerTest, LeavesAnOldDecisionAloneAfterARestart) {
  Apply();
  Reconcile();
  Watch();
  ApprovalReconciler reborn{{approvals_, tasks_, api_, records_, decisions_, events_, clock_}};
  decisions_.next.verdict = ApprovalVerdict::kStale;
  EXPECT_TRUE(reborn.Reconcile(kApproval, {}));
  EXPECT_EQ(decisions_.asked.size(), 1u);
  EXPECT_EQ(Shown()["phase"], "Applied");
}

TEST_F(ApprovalReconcilerTest, TellsWhatCameOfItWhenItDiedBetweenDecisionAndStatus) {
  Apply();
  patch_error_ = Error{ErrorCode::kUnavailable, "connection refused", true};
  EXPECT_FALSE(reconciler_.Reconcile(kApproval, {}));
  EXPECT_TRUE(events_.entries.empty());
  patch_error_.reset();
  decisions_.next.verdict = ApprovalVerdict::kStale;  // what a new key would hear
  Reconcile();
  EXPECT_EQ(Shown()["phase"], "Applied");
}

TEST_F(ApprovalReconcilerTest, RefusesARunThatIsNotTheTasks) {
  for (const char* run : {"bbbb2222-1", "aaaa1111-2", "aaaa1111-0", "aaaa1111-01", "aaaa1111-1x", "aaaa1111-",
                          "x", "aaaa1111-99999999999999999999"}) {
    const kube::Key key{"team", std::string("a-") + std::to_string(events_.entries.size())};
    Apply({{"runID", run}}, key);
    Reconcile(key);
    EXPECT_EQ(Shown(key)["phase"], "Refused") << run;
  }
  EXPECT_TRUE(decisions_.asked.empty()) << "not even the audit of another's run";
}

TEST_F(ApprovalReconcilerTest, KnowsARunWhoseIdHadToBeLonger) {
  for (const char* run : {"aaaa1111-2222-1", "aaaa1111-2222-3333-4444-555566667777-1"}) {
    const kube::Key key{"team", std::string("a-") + std::to_string(events_.entries.size())};
    Apply({{"runID", run}}, key);
    Reconcile(key);
    EXPECT_EQ(Shown(key)["phase"], "Applied") << run;
    EXPECT_EQ(decisions_.asked.back().run_id, run);
    EXPECT_EQ(decisions_.asked.back().task_uid, kUid) << "the record holds the run against its task";
  }
}

TEST_F(ApprovalReconcilerTest, LetsTheRecordSayThatAnEarlierRunIsOver) {
  control::RunRecord second = RunIn(RunState::kBlocked);
  second.number = 2;
  second.run_id = "aaaa1111-2";
  records_.runs[kUid].push_back(second);
  decisions_.next.verdict = ApprovalVerdict::kStale;
  Apply();
  Reconcile();
  EXPECT_EQ(decisions_.asked.size(), 1u);
  EXPECT_EQ(Shown()["phase"], "Stale");
}

TEST_F(ApprovalReconcilerTest, DecidesNothingFromAnotherNamespace) {
  const kube::Key elsewhere{"other", "first"};
  Apply(json::object(), elsewhere);
  Reconcile(elsewhere);
  EXPECT_TRUE(decisions_.asked.empty());
  EXPECT_EQ(Shown(elsewhere)["phase"], "Refused");
  EXPECT_NE(Shown(elsewhere)["message"].get<std::string>().find("namespace other"), std::string::npos);
}

TEST_F(ApprovalReconcilerTest, LeavesATaskToTheOperatorThatTakesIt) {
  Apply();
  tasks_.ReplaceAll({});  // it is there, but our selector does not bring it
  EXPECT_TRUE(Reconcile().requeue_after) << "the watch may only be late";
  EXPECT_EQ(Shown(), json::object());
  clock_.Advance(std::chrono::minutes(5));
  EXPECT_FALSE(Reconcile().requeue_after);
  EXPECT_TRUE(decisions_.asked.empty());
}

TEST_F(ApprovalReconcilerTest, AsksAgainWhileTheRecordCannotAnswer) {
  Apply();
  decisions_.error = Error{ErrorCode::kUnavailable, "no database", true};
  EXPECT_FALSE(reconciler_.Reconcile(kApproval, {}));
  EXPECT_EQ(Shown(), json::object());
  decisions_.error.reset();
  Reconcile();
  EXPECT_EQ(Shown()["phase"], "Applied");
}

TEST_F(ApprovalReconcilerTest, RefusesWhatTheRecordCannotTakeAndWhatTheSchemaLetThrough) {
  decisions_.error = Error{ErrorCode::kInvalid, "approver: must have 1 to 256 bytes"};
  Apply();
  Reconcile();
  EXPECT_EQ(Shown()["phase"], "Refused");
  const kube::Key odd{"team", "odd"};
  Apply({{"decision", "Perhaps"}}, odd);
  Reconcile(odd);
  EXPECT_EQ(Shown(odd)["phase"], "Refused");
  EXPECT_NE(Shown(odd)["message"].get<std::string>().find("spec.decision"), std::string::npos);
  Watch();
  Reconcile(odd);
  EXPECT_EQ(patches_, 2) << "once each";
}

TEST_F(ApprovalReconcilerTest, ForgetsWhatIsGone) {
  EXPECT_FALSE(Reconcile().requeue_after);
  EXPECT_TRUE(decisions_.asked.empty());
}

}  // namespace
}  // namespace ybis::op
