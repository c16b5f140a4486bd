// A change that waits for a person, on one machine: approved, rejected, revised, and killed in between.
#include <gtest/gtest.h>
#include <pwd.h>
#include <signal.h>
#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/file.h"
#include "tests/integration/local/machine.h"

namespace ybis::testing {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;

constexpr char kTask[] = "protected-path";

std::string Me() {
  const passwd* user = ::getpwuid(::geteuid());
  return "local:" + (user != nullptr ? std::string(user->pw_name) : std::to_string(::geteuid()));
}

class LocalApprovals : public ::testing::Test {
 protected:
  /// The example task, run until it waits.
  void Block(const std::vector<std::string>& more = {}) {
    repository_ = machine_.Repository("shop");
    std::vector<std::string> words = {"run", Example(kTask), "--repo", repository_};
    words.insert(words.end(), more.begin(), more.end());
    const auto run = machine_.Ybis(words);
    ASSERT_EQ(run.exit_code, 4) << run.output << run.error_output;
    blocked_ = run.output;
  }
  std::string Subject() {
    const std::string text = machine_.Ybis({"task", "status", kTask}).output;
    const size_t at = text.find("Subject   ");
    return at == std::string::npos ? "" : text.substr(at + 10, text.find('\n', at) - at - 10);
  }
  std::string Delivered() {
    return machine_.Git(repository_,
                        {"show", machine_.Branches(repository_).at(0) + ":deploy/production.yaml"});
  }
  json Gate() { return json::parse(machine_.Ybis({"artifacts", kTask, "get", "gate.json"}).output); }

  Machine machine_;
  std::string repository_;
  std::string blocked_;
};

TEST_F(LocalApprovals, AnApprovedChangeIsDelivered) {
  Block();
  EXPECT_NE(blocked_.find("Next      ybis approve protected-path"), std::string::npos) << blocked_;
  const auto status = machine_.Ybis({"task", "status", kTask});
  EXPECT_NE(status.output.find("Approvals 0 of 1"), std::string::npos) << status.output;
  EXPECT_NE(status.output.find("Waits     at gate since"), std::string::npos) << status.output;
  const auto again = machine_.Ybis({"run", kTask});
  EXPECT_EQ(again.exit_code, 2);
  EXPECT_NE(again.error_output.find("ybis approve protected-path"), std::string::npos) << again.error_output;
  const auto approved = machine_.Ybis({"approve", kTask, "--yes", "--reason", "agreed with operations"});
  ASSERT_EQ(approved.exit_code, 0) << approved.error_output;
  EXPECT_NE(approved.output.find("approved by " + Me() + " (1 of 1): the run goes on"), std::string::npos)
      << approved.output;
  EXPECT_EQ(machine_.Phase(kTask), "Queued");
  EXPECT_TRUE(machine_.Branches(repository_).empty()) << "nothing is delivered before its turn";
  const auto run = machine_.Ybis({"run", kTask});
  ASSERT_EQ(run.exit_code, 0) << run.output << run.error_output;
  EXPECT_NE(Delivered().find("replicas: 4"), std::string::npos);
  EXPECT_EQ(Gate()["decision"], "blocked");
  EXPECT_EQ(Gate()["approval"]["approvers"], json({Me()}));
  const std::string branch = machine_.Branches(repository_).at(0);
  EXPECT_NE(machine_.Git(repository_, {"log", "-1", "--format=%B", branch}).find("Ybis-Approved-By: " + Me()),
            std::string::npos);
  const std::string events = machine_.Events(kTask);
  for (const char* type : {"APPROVAL_REQUESTED", "APPROVAL_GRANTED", "RUN_COMPLETED"}) {
    EXPECT_NE(events.find(type), std::string::npos) << events;
  }
  EXPECT_EQ(machine_.Task(kTask)["status"]["usage"]["llmCalls"], 3) << "no model was asked again";
  const auto late = machine_.Ybis({"approve", kTask, "--yes"});
  EXPECT_EQ(late.exit_code, 5);
  EXPECT_NE(late.error_output.find("is Completed: it waits for nobody"), std::string::npos)
      << late.error_output;
}

TEST_F(LocalApprovals, ARejectedChangeFailsAndPushesNothing) {
  Block();
  EXPECT_EQ(machine_.Ybis({"reject", kTask, "--yes"}).exit_code, 2) << "a reason is needed";
  const auto rejected = machine_.Ybis({"reject", kTask, "--yes", "--reason", "not before the release"});
  ASSERT_EQ(rejected.exit_code, 0) << rejected.error_output;
  const json status = machine_.Task(kTask)["status"];
  EXPECT_EQ(status["phase"], "Failed");
  EXPECT_EQ(status["failure"]["class"], "Rejected");
  EXPECT_EQ(status["failure"]["message"], "rejected by " + Me() + ": not before the release");
  EXPECT_TRUE(machine_.Branches(repository_).empty());
  EXPECT_EQ(machine_.Ybis({"approve", kTask, "--yes"}).exit_code, 5);
}

TEST_F(LocalApprovals, ARevisedChangeIsMadeAnewAndWaitsAgain) {
  Block();
  const std::string first = Subject();
  EXPECT_EQ(machine_.Ybis({"revise", kTask, "--yes"}).exit_code, 2) << "feedback is needed";
  const auto revised = machine_.Ybis({"revise", kTask, "--yes", "--reason", "Three replicas are enough."});
  ASSERT_EQ(revised.exit_code, 0) << revised.error_output;
  const auto run = machine_.Ybis({"run", kTask});
  ASSERT_EQ(run.exit_code, 4) << run.output << run.error_output;
  EXPECT_NE(run.output.find("repair"), std::string::npos) << run.output;
  EXPECT_NE(Subject(), first);
  EXPECT_NE(machine_.Ybis({"diff", kTask}).output.find("+  replicas: 3"), std::string::npos);
  ASSERT_EQ(machine_.Ybis({"approve", kTask, "--yes"}).exit_code, 0);
  ASSERT_EQ(machine_.Ybis({"run", kTask}).exit_code, 0);
  EXPECT_NE(Delivered().find("replicas: 3"), std::string::npos);
}

TEST_F(LocalApprovals, WithoutATerminalNothingIsDecidedUnasked) {
  Block();
  const auto asked = machine_.Ybis({"approve", kTask});
  EXPECT_EQ(asked.exit_code, 2);
  EXPECT_NE(asked.error_output.find("--yes"), std::string::npos) << asked.error_output;
  EXPECT_EQ(machine_.Phase(kTask), "Blocked");
  EXPECT_EQ(machine_.Ybis({"approve", "nobody", "--yes"}).exit_code, 3);
}

TEST_F(LocalApprovals, OnATerminalThePersonSeesWhatItIsAboutBeforeTheQuestion) {
  Block();
  // script(1) gives the command a terminal.
  const auto on_terminal = [&](const std::string& answer) {
    std::string command;
    for (const std::string& word : machine_.Command({"approve", kTask})) command += "'" + word + "' ";
    ProcessSpec request;
    request.argv = {"/bin/sh", "-c", "echo " + answer + " | script -qec \"" + command + "\" /dev/null"};
    request.env = machine_.env();
    request.env["TERM"] = "xterm";
    request.timeout = 60s;
    return RunProcess(request, {});
  };
  const auto no = on_terminal("n");
  ASSERT_TRUE(no) << no.error().message;
  EXPECT_EQ(no->exit_code, 1) << no->output;
  const std::string subject = Subject();
  for (const std::string& text :
       {std::string("protected-paths"), std::string("deploy/production.yaml"), std::string("replicas: 4"),
        std::string("python3 -m pytest -q"), std::string("0 of 1"), std::string("PolicyBlocked"), subject,
        std::string("nothing was decided")}) {
    EXPECT_NE(no->output.find(text), std::string::npos) << text << " in " << no->output;
  }
  EXPECT_NE(no->output.find("\x1b[32m+  replicas: 4"), std::string::npos) << "coloured on a terminal";
  EXPECT_EQ(machine_.Phase(kTask), "Blocked");
  const auto yes = on_terminal("y");
  ASSERT_TRUE(yes) << yes.error().message;
  EXPECT_EQ(yes->exit_code, 0) << yes->output;
  EXPECT_EQ(machine_.Phase(kTask), "Queued");
}

TEST_F(LocalApprovals, ARunningWorkerTakesAnApprovedRunUpAtOnce) {
  Block();
  Background worker(machine_.Worker(), machine_.env(), machine_.path() / "worker.log");
  std::this_thread::sleep_for(1s);
  EXPECT_EQ(machine_.Phase(kTask), "Blocked") << "a worker does not touch what waits";
  ASSERT_EQ(machine_.Ybis({"approve", kTask, "--yes"}).exit_code, 0);
  ASSERT_TRUE(machine_.WaitPhase(kTask, "Completed")) << machine_.Task(kTask).dump(2);
  EXPECT_NE(Delivered().find("replicas: 4"), std::string::npos);
}

TEST_F(LocalApprovals, WorkersKilledAroundTheDecisionDeliverOnceAllTheSame) {
  repository_ = machine_.Repository("shop");
  ASSERT_EQ(machine_.Ybis({"task", "create", "-f", Example(kTask), "--repo", repository_}).exit_code, 0);
  {
    Background worker(machine_.Worker(), machine_.env(), machine_.path() / "worker.log");
    ASSERT_TRUE(machine_.WaitPhase(kTask, "Blocked")) << machine_.Task(kTask).dump(2);
    worker.Signal(SIGKILL);
    worker.Wait(5s);
  }
  ASSERT_EQ(machine_.Ybis({"approve", kTask, "--yes"}).exit_code, 0);
  for (int i = 0; i < 4 && machine_.Phase(kTask) != "Completed"; ++i) {
    Background worker(machine_.Worker(), machine_.env(), machine_.path() / "worker.log");
    std::this_thread::sleep_for(150ms * (i + 1));
    worker.Signal(SIGKILL);
    worker.Wait(5s);
  }
  Background last(machine_.Worker(), machine_.env(), machine_.path() / "worker.log");
  ASSERT_TRUE(machine_.WaitPhase(kTask, "Completed")) << machine_.Task(kTask).dump(2);
  EXPECT_EQ(machine_.Branches(repository_).size(), 1U);
  EXPECT_EQ(
      machine_.Git(repository_, {"rev-list", "--count", "main.." + machine_.Branches(repository_).at(0)}),
      "1");
  EXPECT_EQ(machine_.Task(kTask)["status"]["usage"]["llmCalls"], 3) << "no model was asked again";
}

TEST_F(LocalApprovals, ARunThatEndedWhileItWaitedIsClearedUpByTheNextCommandThatRuns) {
  Block();
  const std::string run_id = machine_.Task(kTask)["status"]["run"]["id"];
  const auto folder = machine_.path() / "data/runs" / run_id;
  const auto journal = folder / "runs" / run_id / "artifacts/events.jsonl";
  ASSERT_EQ(machine_.Ybis({"reject", kTask, "--yes", "--reason", "not before the release"}).exit_code, 0);
  EXPECT_TRUE(std::filesystem::exists(folder / "worktrees"));
  EXPECT_EQ(ReadFile(journal).value_or("").find("RUN_FAILED"), std::string::npos);
  const std::string hello = machine_.Repository("hello");
  ASSERT_EQ(machine_.Ybis({"run", Example("hello"), "--repo", hello}).exit_code, 0);
  EXPECT_FALSE(std::filesystem::exists(folder / "worktrees"));
  EXPECT_EQ(ReadFile(journal).value_or("none"),
            machine_.Ybis({"artifacts", kTask, "get", "events.jsonl"}).output);
  EXPECT_NE(ReadFile(journal).value_or("none").find("RUN_FAILED"), std::string::npos);
}

TEST_F(LocalApprovals, AnOlderRunIsReadButNeverTakenForTheNewest) {
  Block();
  const std::string first = machine_.Task(kTask)["status"]["run"]["id"];
  ASSERT_EQ(machine_.Ybis({"retry", kTask}).exit_code, 0);
  ASSERT_EQ(machine_.Ybis({"run", kTask}).exit_code, 4);
  const std::string second = machine_.Task(kTask)["status"]["run"]["id"];
  ASSERT_NE(first, second);
  const std::vector<std::pair<std::vector<std::string>, int>> refused = {
      {{"approve", first, "--yes"}, 5},
      {{"reject", first, "--yes", "--reason", "x"}, 5},
      {{"revise", first, "--yes", "--feedback", "x"}, 5},
      {{"cancel", first}, 2},
      {{"retry", first}, 2},
      {{"run", first}, 2},
      {{"watch", first}, 2}};
  for (const auto& [words, code] : refused) {
    const auto outcome = machine_.Ybis(words);
    EXPECT_EQ(outcome.exit_code, code) << words.at(0) << outcome.error_output;
    EXPECT_NE(outcome.error_output.find(second), std::string::npos) << outcome.error_output;
  }
  EXPECT_EQ(machine_.Phase(kTask), "Blocked");
  EXPECT_NE(machine_.Events(first).find("superseded by a retry"), std::string::npos)
      << machine_.Events(first);
  EXPECT_NE(machine_.Ybis({"logs", first}).output.find(first), std::string::npos);
  EXPECT_NE(machine_.Ybis({"diff", first}).output.find("replicas: 4"), std::string::npos);
  const std::string status = machine_.Ybis({"task", "status", first}).output;
  EXPECT_NE(status.find("Nodes of run " + first), std::string::npos) << status;
  EXPECT_NE(status.find("Approvals 0 of 1"), std::string::npos) << status;
  EXPECT_EQ(machine_.Ybis({"approve", second, "--yes"}).exit_code, 0);
}

TEST_F(LocalApprovals, ACancelledRunCanBeDecidedNoMore) {
  Block();
  ASSERT_EQ(machine_.Ybis({"cancel", kTask}).exit_code, 0);
  EXPECT_EQ(machine_.Ybis({"approve", kTask, "--yes"}).exit_code, 5);
  EXPECT_EQ(machine_.Phase(kTask), "Cancelled");
}

}  // namespace
}  // namespace ybis::testing
