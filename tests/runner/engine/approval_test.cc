// A run that waits for a person, and what becomes of it when one has decided.
#include "runner/engine/approval.h"

#include "base/digest.h"
#include "tests/runner/engine/engine_fixture.h"
#include "tests/runner/engine/schema_check.h"

namespace ybis::runner {
namespace {

using api::DecisionKind;
using nlohmann::json;
using namespace std::chrono_literals;

constexpr char kBranchName[] = "ybis/greet-0123abcd-1";

class ApprovalTest : public EngineTest {
 protected:
  ApprovalTest() {
    plan_files_ = {{{"path", "ci/pipeline.yml"}, {"action", "modify"}}};
    edits_ = {WriteEdit("ci/pipeline.yml", "steps: [more]\n"),
              WriteEdit("ci/pipeline.yml", "steps: [some]\n"),
              WriteEdit("ci/pipeline.yml", "steps: [few]\n")};
  }
  /// Walks until the run waits.
  void Block() {
    ASSERT_EQ(RunOnce(), ExitCode::kDone);
    ASSERT_TRUE(core_.finish);
    ASSERT_EQ(core_.finish->outcome, "Blocked") << Why();
  }
  std::string Why() const {
    return core_.finish && core_.finish->failure ? core_.finish->failure->message : "";
  }
  json Gate() { return json::parse(core_.artifacts.at("gate.json")); }
  std::vector<std::string> Walked() const {
    std::vector<std::string> names;
    for (const api::NodeReport& node : core_.nodes) names.push_back(node.node);
    return names;
  }
  /// plan → execute → verify → gate → ask → done, with a repair loop at the gate.
  void UseHumanApproval(const json& config = json::object()) {
    const json spec = {
        {"entryPoint", "execute"},
        {"exitPoints", {"done"}},
        {"nodes",
         {{{"name", "execute"}, {"type", "executor"}, {"next", {"verify"}}},
          {{"name", "verify"}, {"type", "verifier"}, {"next", {"gate"}}},
          {{"name", "gate"}, {"type", "gate"}, {"next", {"repair", "ask"}}},
          {{"name", "repair"}, {"type", "repair"}, {"next", {"verify"}}},
          {{"name", "ask"}, {"type", "human_approval"}, {"next", {"done"}}, {"config", config}},
          {{"name", "done"}, {"type", "passthrough"}}}}};
    auto workflow = api::ParseWorkflowSpec(spec, "w");
    ASSERT_TRUE(workflow) << workflow.error().message;
    core_.order.workflow = *workflow;
    edits_ = {WriteEdit("hello.py", "print('hello')\n"), WriteEdit("hello.py", "print('hello you')\n")};
  }
};

TEST_F(ApprovalTest, PeopleAreShownTheCheckpointsChangeWhateverADeadAttemptPutUp) {
  Block();
  const std::string patch = core_.checkpoint.value().patch;
  core_.Decide(DecisionKind::kApprove);
  core_.artifacts["patch.diff"] = "what was uploaded by an edit that no report followed\n";
  EXPECT_EQ(RunOnce(), ExitCode::kDone);
  EXPECT_EQ(core_.artifacts.at("patch.diff"), patch);
}

TEST_F(ApprovalTest, WhatWasPutUpBeforeAnythingWasChangedIsTakenBack) {
  UseHumanApproval();
  core_.checkpoint =
      api::Checkpoint{.seq = 1, .next_node = "ask", .state = std::make_shared<const json>(json::object())};
  core_.artifacts["patch.diff"] = "left\n";
  RunOnce();
  EXPECT_EQ(core_.artifacts.at("patch.diff"), "");
}

TEST_F(ApprovalTest, AnApprovedChangeIsDeliveredFromAFreshVolume) {
  Block();
  const json before = Gate();
  EXPECT_EQ(server_.Branches(), std::vector<std::string>{"main"});
  core_.Decide(DecisionKind::kApprove);
  EXPECT_EQ(RunOnce(true), ExitCode::kDone);
  ASSERT_TRUE(core_.finish);
  EXPECT_EQ(core_.finish->outcome, "Completed") << Why();
  EXPECT_EQ(core_.finish->result->decision, "approved");
  EXPECT_FALSE(core_.finish->failure);
  EXPECT_EQ(core_.finish->subject_digest, "");
  EXPECT_EQ(Walked().back(), "done") << "behind the gate";
  EXPECT_EQ(server_.Show(kBranchName, "ci/pipeline.yml"), "steps: [more]");
  EXPECT_EQ(server_.Git("log -1 --format=%ct " + std::string(kBranchName)), "1769860800");
  const std::string message = server_.Git("log -1 --format=%B " + std::string(kBranchName));
  EXPECT_NE(message.find("Ybis-Approved-By: ada\nYbis-Approved-By: bob"), std::string::npos) << message;
  EXPECT_EQ(core_.paid_calls, 3) << "no model was asked again";
  json after = Gate();
  EXPECT_EQ(after["approval"]["approvers"], json({"ada", "bob"}));
  EXPECT_EQ(after["approval"]["reason"], "it is fine");
  EXPECT_EQ(after["decision"], "blocked") << "the verdict on the facts stays";
  EXPECT_EQ(SchemaProblem("gate", after), "");
  after.erase("approval");
  EXPECT_EQ(after, before);
}

TEST_F(ApprovalTest, AnApprovedExitGateIsDeliveredWithoutAFurtherNode) {
  core_.order.workflow.nodes[4].next = {{"repair", {}}};
  core_.order.workflow.nodes.pop_back();
  core_.order.workflow.exit_points = {"gate"};
  Block();
  const size_t nodes = core_.nodes.size();
  core_.Decide(DecisionKind::kApprove);
  EXPECT_EQ(RunOnce(true), ExitCode::kDone);
  EXPECT_EQ(core_.finish->outcome, "Completed") << Why();
  EXPECT_EQ(core_.nodes.size(), nodes);
  EXPECT_EQ(server_.Show(kBranchName, "ci/pipeline.yml"), "steps: [more]");
}

TEST_F(ApprovalTest, ARevisionGoesToRepairWithTheFeedbackAndIsJudgedAnew) {
  Block();
  const std::string first = core_.finish->subject_digest;
  core_.Decide(DecisionKind::kRevise, "Only some of the steps, please.");
  EXPECT_EQ(RunOnce(true), ExitCode::kDone);
  ASSERT_TRUE(core_.finish);
  EXPECT_EQ(core_.finish->outcome, "Blocked") << Why();
  EXPECT_NE(core_.finish->subject_digest, first);
  const api::ModelRequest& repair = core_.model_requests.back();
  EXPECT_EQ(repair.prompt, "repair");
  EXPECT_NE(repair.messages[1].content.find(
                "A person looked at the change and asks for this:\nOnly some of the steps, please."),
            std::string::npos)
      << repair.messages[1].content;
  EXPECT_NE(repair.messages[1].content.find("`protected-paths` was broken"), std::string::npos);
  EXPECT_FALSE(Gate().contains("approval"));
  core_.Decide(DecisionKind::kApprove);
  EXPECT_EQ(RunOnce(true), ExitCode::kDone);
  EXPECT_EQ(core_.finish->outcome, "Completed") << Why();
  EXPECT_EQ(server_.Show(kBranchName, "ci/pipeline.yml"), "steps: [some]");
}

TEST_F(ApprovalTest, ARevisionAtTheCapOfRepairsHasItsRoundAllTheSame) {
  core_.order.spec.limits.max_repairs = 0;
  Block();
  core_.Decide(DecisionKind::kRevise, "once");
  EXPECT_EQ(RunOnce(), ExitCode::kDone);
  EXPECT_EQ(core_.finish->outcome, "Blocked") << Why();
  core_.Decide(DecisionKind::kRevise, "and again");
  EXPECT_EQ(RunOnce(), ExitCode::kDone);
  EXPECT_EQ(core_.finish->outcome, "Blocked") << Why();
  EXPECT_EQ(core_.checkpoint->visits.at("repair"), 2);
  EXPECT_EQ(Gate()["facts"]["repairsLeft"], 0) << "a person's round is no round of the task's own";
  core_.Decide(DecisionKind::kApprove);
  EXPECT_EQ(RunOnce(), ExitCode::kDone);
  EXPECT_EQ(server_.Show(kBranchName, "ci/pipeline.yml"), "steps: [few]");
}

TEST_F(ApprovalTest, ADecisionAboutAnotherWaitChangesNothing) {
  Block();
  const std::string subject = core_.finish->subject_digest;
  core_.Decide(DecisionKind::kApprove);
  core_.decision->subject_digest = "sha256:another";
  EXPECT_EQ(RunOnce(true), ExitCode::kDone);
  EXPECT_EQ(core_.finish->outcome, "Blocked");
  EXPECT_EQ(core_.finish->subject_digest, subject);
  EXPECT_EQ(server_.Branches(), std::vector<std::string>{"main"});
}

TEST_F(ApprovalTest, ANewVerdictIsNotCoveredByAnEarlierApproval) {
  // Approved at the first gate, then edited and judged again: the second gate's block waits for itself.
  const json spec = {{"entryPoint", "execute"},
                     {"exitPoints", {"second"}},
                     {"nodes",
                      {{{"name", "execute"}, {"type", "executor"}, {"next", {"verify"}}},
                       {{"name", "verify"}, {"type", "verifier"}, {"next", {"first"}}},
                       {{"name", "first"}, {"type", "gate"}, {"next", {"second"}}},
                       {{"name", "second"}, {"type", "gate"}}}}};
  core_.order.workflow = *api::ParseWorkflowSpec(spec, "w");
  Block();
  EXPECT_EQ(core_.finish->wait_node, "first");
  const std::string first = core_.finish->subject_digest;
  core_.Decide(DecisionKind::kApprove);
  EXPECT_EQ(RunOnce(), ExitCode::kDone);
  EXPECT_EQ(core_.finish->outcome, "Blocked") << Why();
  EXPECT_EQ(core_.finish->wait_node, "second");
  EXPECT_NE(core_.finish->subject_digest, first) << "the same patch, another wait";
  core_.Decide(DecisionKind::kApprove);
  EXPECT_EQ(RunOnce(), ExitCode::kDone);
  EXPECT_EQ(core_.finish->outcome, "Completed") << Why();
}

TEST_F(ApprovalTest, WhatIsEditedBehindAnApprovedGateIsNotDelivered) {
  const json spec = {{"entryPoint", "execute"},
                     {"exitPoints", {"codemod"}},
                     {"nodes",
                      {{{"name", "execute"}, {"type", "executor"}, {"next", {"verify"}}},
                       {{"name", "verify"}, {"type", "verifier"}, {"next", {"gate"}}},
                       {{"name", "gate"}, {"type", "gate"}, {"next", {"codemod"}}},
                       {{"name", "codemod"}, {"type", "command"}, {"config", {{"argv", {"rewrite"}}}}}}}};
  core_.order.workflow = *api::ParseWorkflowSpec(spec, "w");
  Block();
  commands_.run = [](const CommandRequest& request, std::stop_token) -> Result<CommandResult> {
    (void)WriteFileAtomic(request.worktree / "app.py", "evil\n");
    return CommandResult{.exit_code = 0};
  };
  core_.Decide(DecisionKind::kApprove);
  EXPECT_EQ(RunOnce(), ExitCode::kTaskFailed);
  EXPECT_EQ(core_.finish->failure->reason, "ChangedAfterGate");
  EXPECT_EQ(server_.Branches(), std::vector<std::string>{"main"});
}

TEST_F(ApprovalTest, ModeNeverFailsAtOnce) {
  core_.order.spec.approval.mode = api::ApprovalMode::kNever;
  EXPECT_EQ(RunOnce(), ExitCode::kTaskFailed);
  EXPECT_EQ(core_.finish->outcome, "Failed");
  EXPECT_EQ(core_.finish->failure->failure_class, api::FailureClass::kPolicy);
  EXPECT_EQ(core_.finish->failure->reason, "PolicyBlocked");
}

TEST_F(ApprovalTest, ModeAlwaysAsksBeforeEveryDelivery) {
  core_.order.spec.approval.mode = api::ApprovalMode::kAlways;
  plan_files_ = {{{"path", "hello.py"}, {"action", "create"}}};
  edits_ = {WriteEdit("hello.py", "print('hello')\n"), WriteEdit("hello.py", "print('hello you')\n")};
  Block();
  EXPECT_EQ(core_.finish->failure->reason, "ApprovalRequired");
  EXPECT_EQ(core_.finish->result->decision, "approved");
  EXPECT_EQ(Walked().back(), "done");
  EXPECT_EQ(server_.Branches(), std::vector<std::string>{"main"});
  core_.Decide(DecisionKind::kRevise, "greet me");
  EXPECT_EQ(RunOnce(), ExitCode::kDone);
  EXPECT_EQ(core_.finish->outcome, "Blocked") << Why();
  core_.Decide(DecisionKind::kApprove);
  EXPECT_EQ(RunOnce(true), ExitCode::kDone);
  EXPECT_EQ(core_.finish->outcome, "Completed") << Why();
  EXPECT_EQ(server_.Show(kBranchName, "hello.py"), "print('hello you')");
  EXPECT_EQ(Gate()["decision"], "approved");
  EXPECT_EQ(Gate()["approval"]["node"], "gate");
}

TEST_F(ApprovalTest, AHumanApprovalNodeStopsTheWalkUntilItIsApproved) {
  UseHumanApproval({{"message", "Look at {{what}}."}});
  core_.order.spec.parameters = {{"what", "the greeting"}};
  Block();
  EXPECT_EQ(core_.finish->wait_node, "ask");
  EXPECT_EQ(core_.finish->failure->message, "Look at the greeting.");
  EXPECT_EQ(Walked().back(), "ask");
  core_.Decide(DecisionKind::kApprove);
  EXPECT_EQ(RunOnce(true), ExitCode::kDone);
  EXPECT_EQ(core_.finish->outcome, "Completed") << Why();
  EXPECT_EQ(Walked().back(), "done");
  EXPECT_EQ(server_.Show(kBranchName, "hello.py"), "print('hello')");
}

TEST_F(ApprovalTest, AHumanApprovalNodeSendsARevisionToTheGatesRepair) {
  UseHumanApproval();
  Block();
  core_.Decide(DecisionKind::kRevise, "greet me");
  EXPECT_EQ(RunOnce(true), ExitCode::kDone);
  EXPECT_EQ(core_.finish->outcome, "Blocked") << Why();
  EXPECT_EQ(core_.finish->wait_node, "ask");
  EXPECT_EQ(Walked(), (std::vector<std::string>{"execute", "verify", "gate", "ask", "repair", "verify",
                                                "gate", "ask"}));
  core_.Decide(DecisionKind::kApprove);
  EXPECT_EQ(RunOnce(true), ExitCode::kDone);
  EXPECT_EQ(server_.Show(kBranchName, "hello.py"), "print('hello you')");
}

TEST_F(ApprovalTest, AHumanApprovalNodeOnABlockedGatesEdgeApprovesWhatItBlocked) {
  core_.order.workflow.nodes[4].next.insert(
      core_.order.workflow.nodes[4].next.begin(),
      api::Edge{"ask",
                api::When{"gate.decision", api::When::Op::kEquals, std::make_shared<json>("blocked")}});
  core_.order.workflow.nodes.push_back({.name = "ask",
                                        .type = "human_approval",
                                        .next = {{"done", {}}},
                                        .config = std::make_shared<json>(json::object())});
  Block();
  EXPECT_EQ(core_.finish->wait_node, "ask");
  core_.Decide(DecisionKind::kApprove);
  EXPECT_EQ(RunOnce(), ExitCode::kDone);
  EXPECT_EQ(core_.finish->outcome, "Completed") << Why();
  EXPECT_EQ(server_.Show(kBranchName, "ci/pipeline.yml"), "steps: [more]");
}

TEST_F(ApprovalTest, KilledAtAnyCallAfterAnApprovalItComesToTheSameCommit) {
  std::string commit;
  for (const bool after : {false, true}) {
    for (int call = 0;; ++call) {
      SCOPED_TRACE(fmt::format("call {} {}", call, after ? "after" : "before"));
      core_.KillAt(-1, false);
      core_.checkpoint.reset();
      core_.finish.reset();
      core_.artifacts.clear();
      core_.model_record.clear();
      if (!server_.Branch(kBranchName).empty()) server_.Git("branch -D " + std::string(kBranchName));
      volume_ = std::make_unique<testing::TempDir>();
      Block();
      core_.Decide(DecisionKind::kApprove);
      core_.KillAt(call, after);
      ExitCode code = ExitCode::kInfrastructure;
      const bool survived = RunUntilKilled(true, code);
      core_.KillAt(-1, false);
      if (!core_.finish) {
        ASSERT_TRUE(RunUntilKilled(call % 2 == 0, code));
      }
      ASSERT_TRUE(core_.finish);
      EXPECT_EQ(core_.finish->outcome, "Completed") << Why();
      const std::string made = server_.Branch(kBranchName);
      if (commit.empty()) commit = made;
      EXPECT_EQ(made, commit) << "the same change, parent and time";
      if (survived) break;
      ASSERT_LT(call, 100);
    }
  }
}

TEST_F(ApprovalTest, ARevisionThatIsCutShortCountsOnce) {
  core_.order.spec.limits.max_repairs = 0;
  Block();
  core_.Decide(DecisionKind::kRevise, "once");
  core_.on_reported = [&](const std::string&) { FAIL() << "killed before the first checkpoint"; };
  core_.KillAt(3, false);
  ExitCode code = ExitCode::kInfrastructure;
  ASSERT_FALSE(RunUntilKilled(true, code));
  core_.KillAt(-1, false);
  core_.on_reported = {};
  EXPECT_EQ(RunOnce(true), ExitCode::kDone);
  EXPECT_EQ(core_.finish->outcome, "Blocked") << Why();
  EXPECT_EQ(core_.checkpoint->state->at("@run").at("revisions"), 1);
}

TEST_F(ApprovalTest, WaitsWhenBlockedForItsEndAndSaysSoByItsExitCode) {
  wait_when_blocked_ = 50ms;
  EXPECT_EQ(RunOnce(), ExitCode::kBlocked);
  EXPECT_EQ(core_.finish->outcome, "Blocked");
  core_.Decide(DecisionKind::kApprove);
  EXPECT_EQ(RunOnce(), ExitCode::kDone) << "only what blocks waits";
}

TEST_F(ApprovalTest, SigtermEndsTheWaitAtOnceAndGivesNothingBack) {
  wait_when_blocked_ = 1h;
  core_.on_reported = [&](const std::string& node) {
    if (node == "gate")
      std::jthread([source = terminate_]() mutable {
        std::this_thread::sleep_for(500ms);
        source.request_stop();
      }).detach();
  };
  EXPECT_EQ(RunOnce(), ExitCode::kBlocked);
  EXPECT_TRUE(core_.finish);
  EXPECT_TRUE(core_.releases.empty());
  const int beats = core_.Heartbeats();
  std::this_thread::sleep_for(20ms);
  EXPECT_EQ(core_.Heartbeats(), beats);
}

}  // namespace
}  // namespace ybis::runner
