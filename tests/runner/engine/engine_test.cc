#include "runner/engine/engine.h"

#include "base/digest.h"
#include "tests/runner/engine/engine_fixture.h"

namespace ybis::runner {
namespace {

using nlohmann::json;
using namespace std::chrono_literals;

TEST_F(EngineTest, TakesATaskToAVerifiedBranch) {
  commands_.run = PassesWhen("hello.py", "hello");
  EXPECT_EQ(RunOnce(), ExitCode::kDone);
  ASSERT_TRUE(core_.finish);
  EXPECT_EQ(core_.finish->outcome, "Completed")
      << (core_.finish->failure ? core_.finish->failure->message : "");
  const std::string commit = server_.Branch("ybis/greet-0123abcd-1");
  EXPECT_EQ(server_.Show(commit, "hello.py"), "print('hello')");
  const api::RunResult& result = *core_.finish->result;
  EXPECT_EQ(result.commit, commit);
  EXPECT_EQ(result.branch, "ybis/greet-0123abcd-1");
  EXPECT_EQ(result.decision, "approved");
  EXPECT_EQ(result.base_commit, server_.Branch("main"));
  EXPECT_EQ(result.files_changed, 1);
  EXPECT_EQ(result.insertions, 1);
  EXPECT_EQ(result.patch_digest, Digest(core_.artifacts["patch.diff"]));
  EXPECT_EQ(core_.finish->verification->passed, 1);
  EXPECT_EQ(core_.finish->verification->failed, 0);
  EXPECT_EQ(server_.Git("log -1 --format=%s " + commit), "Say hello");
}

TEST_F(EngineTest, ReportsEveryNodeOnceWithItsCheckpointAndArtifacts) {
  EXPECT_EQ(RunOnce(), ExitCode::kDone);
  std::vector<std::string> walked;
  for (const api::NodeReport& node : core_.nodes) {
    walked.push_back(node.node);
    EXPECT_EQ(node.seq, static_cast<int64_t>(walked.size()));
    EXPECT_EQ(node.checkpoint.seq, node.seq);
    EXPECT_EQ(node.outcome, "ok") << node.error;
  }
  EXPECT_EQ(walked, (std::vector<std::string>{"spec", "plan", "execute", "verify", "gate", "done"}));
  for (const char* name : {"spec.json", "plan.json", "patch.diff", "verifier.json", "gate.json", "logs.jsonl",
                           "base.json", "0003-execute/input.json", "0003-execute/output.json"}) {
    EXPECT_TRUE(core_.artifacts.contains(name)) << name;
  }
  EXPECT_EQ(core_.events.count("worktree:1"), 1U);
}

TEST_F(EngineTest, RepairsAChangeThatFailsItsChecks) {
  edits_ = {WriteEdit("hello.py", "print('wrong')\n"), WriteEdit("hello.py", "print('hello')\n")};
  commands_.run = PassesWhen("hello.py", "hello");
  EXPECT_EQ(RunOnce(), ExitCode::kDone);
  EXPECT_EQ(core_.finish->outcome, "Completed");
  EXPECT_EQ(server_.Show("ybis/greet-0123abcd-1", "hello.py"), "print('hello')");
  const api::ModelRequest& repair = core_.model_requests.back();
  EXPECT_EQ(repair.prompt, "repair");
  EXPECT_NE(repair.messages[1].content.find("1 failed: no hello"), std::string::npos)
      << "the findings go along";
  EXPECT_NE(repair.messages[1].content.find("+print('wrong')"), std::string::npos) << "the change so far too";
}

TEST_F(EngineTest, FailsVerificationAfterTheLastRepair) {
  core_.order.spec.limits.max_repairs = 2;
  edits_ = {WriteEdit("hello.py", "print('a')\n"), WriteEdit("hello.py", "print('b')\n"),
            WriteEdit("hello.py", "print('c')\n"), WriteEdit("hello.py", "print('d')\n")};
  commands_.run = PassesWhen("hello.py", "hello");
  EXPECT_EQ(RunOnce(), ExitCode::kTaskFailed);
  ASSERT_TRUE(core_.finish && core_.finish->failure);
  EXPECT_EQ(core_.finish->failure->failure_class, api::FailureClass::kVerify);
  EXPECT_EQ(core_.finish->failure->reason, "VerificationFailed");
  EXPECT_EQ(core_.finish->verification->failed, 1);
  EXPECT_EQ(commands_.runs, 3);
  EXPECT_EQ(server_.Branches(), std::vector<std::string>{"main"});
}

TEST_F(EngineTest, BlocksAProtectedPathAndPushesNothing) {
  plan_files_ = {{{"path", "ci/pipeline.yml"}, {"action", "modify"}}};
  edits_ = {WriteEdit("ci/pipeline.yml", "steps: [evil]\n")};
  EXPECT_EQ(RunOnce(), ExitCode::kDone);
  ASSERT_TRUE(core_.finish && core_.finish->failure);
  EXPECT_EQ(core_.finish->outcome, "Blocked");
  EXPECT_EQ(core_.finish->failure->failure_class, api::FailureClass::kPolicy);
  EXPECT_EQ(core_.finish->failure->reason, "PolicyBlocked");
  EXPECT_NE(core_.finish->failure->message.find("protected-paths"), std::string::npos);
  EXPECT_NE(core_.finish->failure->message.find("ci/pipeline.yml"), std::string::npos);
  EXPECT_EQ(core_.finish->subject_digest,
            api::SubjectDigest("0123abcd-1", 5, Digest(core_.artifacts["patch.diff"]), "blocked"));
  EXPECT_EQ(core_.finish->wait_node, "gate");
  EXPECT_EQ(server_.Branches(), std::vector<std::string>{"main"});
}

TEST_F(EngineTest, UndoesWhatTheChecksLeaveBehind) {
  commands_.run = [](const CommandRequest& request, std::stop_token) -> Result<CommandResult> {
    (void)WriteFileAtomic(request.worktree / "junk.bin", std::string("\0\1", 2));
    (void)WriteFileAtomic(request.worktree / "hello.py", "print('tampered')\n");
    return CommandResult{.exit_code = 0};
  };
  EXPECT_EQ(RunOnce(), ExitCode::kDone);
  EXPECT_EQ(core_.finish->outcome, "Completed");
  EXPECT_EQ(server_.Show("ybis/greet-0123abcd-1", "hello.py"), "print('hello')");
  EXPECT_EQ(server_.Show("ybis/greet-0123abcd-1", "junk.bin"), "");
}

TEST_F(EngineTest, SendsAnInventedFileBackToThePlanner) {
  int asked = 0;
  const auto good = GoodModel();
  core_.model = [&](const api::ModelRequest& request) -> Result<json> {
    if (request.prompt == "planner" && ++asked == 1) {
      return json{
          {"summary", "s"}, {"steps", {"x"}}, {"files", {{{"path", "ghost.py"}, {"action", "modify"}}}}};
    }
    return good(request);
  };
  EXPECT_EQ(RunOnce(), ExitCode::kDone);
  EXPECT_EQ(asked, 2);
  const auto& asked_again = core_.model_requests[2];
  EXPECT_EQ(asked_again.call, 1);
  EXPECT_NE(asked_again.messages.back().content.find("ghost.py does not exist"), std::string::npos);
}

TEST_F(EngineTest, FailsAPlanThatStaysInvented) {
  plan_files_ = {{{"path", "ghost.py"}, {"action", "modify"}}};
  EXPECT_EQ(RunOnce(), ExitCode::kTaskFailed);
  EXPECT_EQ(core_.finish->failure->failure_class, api::FailureClass::kAgent);
  EXPECT_EQ(core_.finish->failure->reason, "PlanRejected");
  EXPECT_NE(core_.finish->failure->message.find("ghost.py"), std::string::npos);
  EXPECT_EQ(core_.paid_calls, 4);
}

TEST_F(EngineTest, SendsMissesBackAndFailsEditsThatNeverFit) {
  edits_ = {{{"edits",
              {{{"op", "search_replace"}, {"path", "app.py"}, {"search", "not there"}, {"replace", "x"}}}}}};
  EXPECT_EQ(RunOnce(), ExitCode::kTaskFailed);
  EXPECT_EQ(core_.finish->failure->failure_class, api::FailureClass::kAgent);
  EXPECT_EQ(core_.finish->failure->reason, "EditsRejected");
  EXPECT_EQ(core_.paid_calls, 5) << "spec, plan, and three tries of the executor";
  EXPECT_EQ(core_.nodes.back().outcome, "error");
  EXPECT_EQ(core_.checkpoint->patch, "");
}

TEST_F(EngineTest, SendsBackAnEditOfAFileThatGitIgnores) {
  server_.Commit("kept.log", "tracked\n");
  server_.Commit(".gitignore", "*.log\n");
  edits_ = {{{"edits",
              {{{"op", "write"}, {"path", "hello.py"}, {"content", "print('hello')\n"}},
               {{"op", "write"}, {"path", "hello.log"}, {"content", "hello\n"}}}}}};
  reasked_ = {{{"edits",
                {{{"op", "write"}, {"path", "hello.py"}, {"content", "print('hello')\n"}},
                 {{"op", "write"}, {"path", "kept.log"}, {"content", "changed\n"}}}}}};
  EXPECT_EQ(RunOnce(), ExitCode::kDone);
  EXPECT_EQ(core_.finish->outcome, "Completed");
  const std::string asked = core_.model_requests.back().messages.back().content;
  EXPECT_NE(asked.find("edits[1] hello.log: git ignores this file, so that the change would not hold it: "
                       "rule '*.log' in line 1 of .gitignore"),
            std::string::npos)
      << asked;
  EXPECT_EQ(server_.Show("ybis/greet-0123abcd-1", "kept.log"), "changed") << "a tracked file may match";
}

TEST_F(EngineTest, JudgesIgnoredFilesByTheGitignoreOfTheSameAnswer) {
  server_.Commit(".gitignore", "*.log\n");
  edits_ = {{{"edits",
              {{{"op", "write"}, {"path", "hello.gen"}, {"content", "x\n"}},
               {{"op", "write"}, {"path", ".gitignore"}, {"content", "*.gen\n"}}}}}};
  reasked_ = {{{"edits",
                {{{"op", "write"}, {"path", "hello.log"}, {"content", "hello\n"}},
                 {{"op", "write"}, {"path", ".gitignore"}, {"content", "*.log\n!hello.log\n"}}}}}};
  EXPECT_EQ(RunOnce(), ExitCode::kDone);
  EXPECT_EQ(core_.finish->outcome, "Completed");
  const std::string asked = core_.model_requests.back().messages.back().content;
  EXPECT_NE(asked.find("edits[0] hello.gen: git ignores"), std::string::npos) << asked;
  EXPECT_EQ(server_.Show("ybis/greet-0123abcd-1", "hello.log"), "hello");
}

TEST_F(EngineTest, FailsAModelThatAnswersNonsense) {
  core_.model = [](const api::ModelRequest&) { return Fail(ErrorCode::kInvalid, "no JSON after 3 tries"); };
  EXPECT_EQ(RunOnce(), ExitCode::kTaskFailed);
  EXPECT_EQ(core_.finish->failure->reason, "ModelAnswerInvalid");
  EXPECT_EQ(core_.finish->failure->failure_class, api::FailureClass::kAgent);
}

TEST_F(EngineTest, RefusesEditsOutsideTheWorktree) {
  edits_ = {WriteEdit("../escape.txt", "x"), {}};
  EXPECT_EQ(RunOnce(), ExitCode::kTaskFailed);
  EXPECT_EQ(core_.finish->failure->reason, "EditsRejected");
  EXPECT_NE(core_.finish->failure->message.find("../escape.txt"), std::string::npos);
}

TEST_F(EngineTest, GivesAModelOutageToAnotherAttemptThenFails) {
  core_.order.spec.limits.max_infra_retries = 1;
  core_.model = [](const api::ModelRequest&) { return Fail(ErrorCode::kUnavailable, "the model is down"); };
  EXPECT_EQ(RunOnce(), ExitCode::kInfrastructure);
  ASSERT_EQ(core_.releases.size(), 1U);
  EXPECT_NE(core_.releases[0].reason.find("ModelUnavailable"), std::string::npos);
  EXPECT_FALSE(core_.finish);
  EXPECT_EQ(RunOnce(), ExitCode::kTaskFailed);
  EXPECT_EQ(core_.finish->failure->failure_class, api::FailureClass::kInfra);
  EXPECT_EQ(core_.finish->failure->reason, "ModelUnavailable");
}

/// A drained node is nobody's failure.
TEST_F(EngineTest, ARunThatWasGivenBackStillHasItsRetries) {
  core_.order.spec.limits.max_infra_retries = 1;
  commands_.run = [&](const CommandRequest&, std::stop_token) -> Result<CommandResult> {
    terminate_.request_stop();
    return Fail(ErrorCode::kCancelled, "stopped");
  };
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(RunOnce(), ExitCode::kTerminated);
    terminate_ = std::stop_source();
  }
  commands_.run = [](const CommandRequest&, std::stop_token) -> Result<CommandResult> {
    return Fail(ErrorCode::kUnavailable, "no process can be started");
  };
  EXPECT_EQ(RunOnce(), ExitCode::kInfrastructure);
  ASSERT_EQ(core_.releases.size(), 3U);
  EXPECT_FALSE(core_.releases[1].failed);
  EXPECT_TRUE(core_.releases[2].failed);
  EXPECT_EQ(RunOnce(), ExitCode::kTaskFailed);
}

TEST_F(EngineTest, EndsAnExhaustedBudget) {
  core_.model = [](const api::ModelRequest&) {
    return Fail(Error{.code = ErrorCode::kExhausted, .message = "the run's budget is used up"});
  };
  EXPECT_EQ(RunOnce(), ExitCode::kTaskFailed);
  EXPECT_EQ(core_.finish->failure->failure_class, api::FailureClass::kBudget);
  EXPECT_EQ(core_.finish->failure->reason, "BudgetExhausted");
}

TEST_F(EngineTest, NamesAnUnknownRefAndDoesNotRetry) {
  core_.order.spec.repository.ref = "no-such-branch";
  EXPECT_EQ(RunOnce(), ExitCode::kTaskFailed);
  EXPECT_EQ(core_.finish->failure->reason, "RefNotFound") << core_.finish->failure->message;
  EXPECT_EQ(core_.finish->failure->failure_class, api::FailureClass::kInvalid);
}

TEST_F(EngineTest, NamesAMissingRepository) {
  core_.order.spec.repository.url = "file:///nonexistent/repository.git";
  EXPECT_EQ(RunOnce(), ExitCode::kTaskFailed);
  EXPECT_EQ(core_.finish->failure->reason, "RepositoryNotFound") << core_.finish->failure->message;
}

TEST_F(EngineTest, RefusesFileUrlsUnlessThePolicyAllowsThem) {
  core_.order.policy.allow_file_urls = false;
  EXPECT_EQ(RunOnce(), ExitCode::kTaskFailed);
  EXPECT_EQ(core_.finish->failure->reason, "RepositoryInvalid");
}

TEST_F(EngineTest, LeavesAForeignBranchAlone) {
  server_.Git("branch ybis/greet-0123abcd-1 main");
  const std::string before = server_.Branch("ybis/greet-0123abcd-1");
  EXPECT_EQ(RunOnce(), ExitCode::kTaskFailed);
  EXPECT_EQ(core_.finish->failure->reason, "BranchConflict") << core_.finish->failure->message;
  EXPECT_EQ(server_.Branch("ybis/greet-0123abcd-1"), before);
}

TEST_F(EngineTest, CompletesWithoutABranchWhenDeliveryIsNone) {
  core_.order.spec.delivery.mode = api::DeliveryMode::kNone;
  EXPECT_EQ(RunOnce(), ExitCode::kDone);
  EXPECT_EQ(core_.finish->outcome, "Completed");
  EXPECT_EQ(core_.finish->result->commit, "");
  EXPECT_EQ(server_.Branches(), std::vector<std::string>{"main"});
}

TEST_F(EngineTest, BlocksWhatNoCheckCouldVerify) {
  core_.order.spec.verification.commands.clear();
  EXPECT_EQ(RunOnce(), ExitCode::kDone);
  EXPECT_EQ(core_.finish->outcome, "Blocked");
  EXPECT_NE(core_.finish->failure->message.find("spec.verification.commands"), std::string::npos);
}

TEST_F(EngineTest, StopsWhenCancelledWithoutFinishing) {
  core_.heartbeat_seconds = 1;
  commands_.run = [&](const CommandRequest&, std::stop_token stop) -> Result<CommandResult> {
    core_.Cancel();
    for (int i = 0; i < 500 && !stop.stop_requested(); ++i) std::this_thread::sleep_for(10ms);
    return Fail(ErrorCode::kCancelled, "stopped");
  };
  EXPECT_EQ(RunOnce(), ExitCode::kDone);
  EXPECT_FALSE(core_.finish);
  ASSERT_EQ(core_.releases.size(), 1U);
  EXPECT_EQ(core_.releases[0].reason, "cancelled");
}

TEST_F(EngineTest, StopsAtOnceWhenTheLeaseIsLost) {
  commands_.run = [&](const CommandRequest&, std::stop_token) -> Result<CommandResult> {
    core_.Take();
    return CommandResult{.exit_code = 0};
  };
  EXPECT_EQ(RunOnce(), ExitCode::kLeaseLost);
  EXPECT_FALSE(core_.finish);
  EXPECT_TRUE(core_.releases.empty());
  EXPECT_EQ(core_.nodes.size(), 3U);
  EXPECT_EQ(server_.Branches(), std::vector<std::string>{"main"});
}

TEST_F(EngineTest, DoesNotPushWhenTheLeaseWasLostJustBefore) {
  core_.on_reported = [&](const std::string& node) {
    if (node == "done") core_.Take();
  };
  EXPECT_EQ(RunOnce(), ExitCode::kLeaseLost);
  EXPECT_FALSE(core_.finish);
  EXPECT_EQ(server_.Branches(), std::vector<std::string>{"main"});
}

TEST_F(EngineTest, GivesTheRunBackOnSigterm) {
  commands_.run = [&](const CommandRequest&, std::stop_token stop) -> Result<CommandResult> {
    terminate_.request_stop();
    EXPECT_TRUE(stop.stop_requested());
    return Fail(ErrorCode::kCancelled, "stopped");
  };
  EXPECT_EQ(RunOnce(), ExitCode::kTerminated);
  ASSERT_EQ(core_.releases.size(), 1U);
  EXPECT_FALSE(core_.finish);
  terminate_ = std::stop_source();
  commands_.run = PassesWhen("hello.py", "hello");
  EXPECT_EQ(RunOnce(true), ExitCode::kDone);
  EXPECT_EQ(core_.finish->outcome, "Completed");
  EXPECT_EQ(core_.paid_calls, 3);
}

TEST_F(EngineTest, FailsAtItsDeadline) {
  core_.order.deadline = SystemClock().Now() + 1s;
  commands_.run = [&](const CommandRequest&, std::stop_token stop) -> Result<CommandResult> {
    for (int i = 0; i < 500 && !stop.stop_requested(); ++i) std::this_thread::sleep_for(10ms);
    return Fail(ErrorCode::kCancelled, "stopped");
  };
  EXPECT_EQ(RunOnce(), ExitCode::kTaskFailed);
  EXPECT_EQ(core_.finish->failure->failure_class, api::FailureClass::kTimeout);
  EXPECT_EQ(core_.finish->failure->reason, "DeadlineExceeded");
}

TEST_F(EngineTest, FailsANodeAtItsTimeout) {
  core_.order.workflow.nodes[3].timeout_seconds = 1;
  commands_.run = [&](const CommandRequest&, std::stop_token stop) -> Result<CommandResult> {
    for (int i = 0; i < 500 && !stop.stop_requested(); ++i) std::this_thread::sleep_for(10ms);
    return Fail(ErrorCode::kCancelled, "stopped");
  };
  EXPECT_EQ(RunOnce(), ExitCode::kTaskFailed);
  EXPECT_EQ(core_.finish->failure->reason, "NodeTimedOut");
}

TEST_F(EngineTest, SaysWhatAMissingSandboxNeeds) {
  commands_.run = [](const CommandRequest&, std::stop_token) -> Result<CommandResult> {
    return Fail(ErrorCode::kUnsupported, "this kernel has no Landlock");
  };
  EXPECT_EQ(RunOnce(), ExitCode::kTaskFailed);
  EXPECT_EQ(core_.finish->failure->reason, "SandboxUnsupported");
}

TEST_F(EngineTest, RefusesCommandsThatThePolicyDoesNotList) {
  core_.order.policy.exec_allow = {"pytest"};
  EXPECT_EQ(RunOnce(), ExitCode::kTaskFailed);
  EXPECT_EQ(core_.finish->failure->reason, "CommandNotAllowed");
  EXPECT_EQ(commands_.runs, 0);
}

TEST_F(EngineTest, EndsQuietlyWhenTheRunHasEnded) {
  EXPECT_EQ(RunOnce(), ExitCode::kDone);
  const auto nodes = core_.nodes.size();
  EXPECT_EQ(RunOnce(), ExitCode::kDone);
  EXPECT_EQ(core_.nodes.size(), nodes);
}

TEST_F(EngineTest, StartsFromThePinnedBaseAlthoughTheBranchMoved) {
  const std::string base = server_.Branch("main");
  core_.model = [](const api::ModelRequest&) { return Fail(ErrorCode::kUnavailable, "down"); };
  EXPECT_EQ(RunOnce(), ExitCode::kInfrastructure);
  server_.Commit("later.txt", "x\n");
  ASSERT_NE(server_.Branch("main"), base);
  core_.model = GoodModel();
  EXPECT_EQ(RunOnce(true), ExitCode::kDone);
  EXPECT_EQ(core_.finish->result->base_commit, base);
}

}  // namespace
}  // namespace ybis::runner
