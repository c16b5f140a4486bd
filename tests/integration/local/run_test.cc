// The example tasks on one machine: real database, real runner, recorded answers.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "base/file.h"
#include "base/unique_fd.h"
#include "http/client.h"
#include "store/database.h"
#include "tests/integration/local/machine.h"
#include "tests/support/source_dir.h"

namespace ybis::testing {
namespace {

using nlohmann::json;

class LocalRun : public ::testing::Test {
 protected:
  Machine machine_;
};

TEST_F(LocalRun, HelloBecomesABranchInTheSourceRepositoryAndNothingElseChangesThere) {
  const std::string repository = machine_.Repository("hello");
  const std::string before = machine_.Git(repository, {"rev-parse", "HEAD"});
  const auto run = machine_.Ybis({"run", Example("hello"), "--repo", repository});
  ASSERT_EQ(run.exit_code, 0) << run.output << run.error_output;
  EXPECT_NE(run.output.find("Result    Completed"), std::string::npos) << run.output;
  const std::string branch = machine_.Task("hello")["status"]["result"]["branch"];
  EXPECT_TRUE(branch.starts_with("ybis/hello-")) << branch;
  EXPECT_NE(run.output.find("Branch    " + branch), std::string::npos) << run.output;
  EXPECT_EQ(machine_.Git(repository, {"log", "--format=%s", "-1", branch}), "Add hello.py");
  EXPECT_EQ(machine_.Git(repository, {"rev-parse", branch + "^"}), before);
  EXPECT_EQ(machine_.Git(repository, {"rev-parse", "HEAD"}), before);
  EXPECT_EQ(machine_.Git(repository, {"status", "--porcelain", "--ignored"}), "");
  EXPECT_EQ(run.output.find('\x1b'), std::string::npos) << "no colour when it is no terminal";
  const std::string run_id = machine_.Task("hello")["status"]["run"]["id"];
  const auto run_folder = machine_.path() / "data" / "runs" / run_id;
  EXPECT_TRUE(std::filesystem::exists(run_folder / "runs" / run_id / "artifacts"));
  EXPECT_FALSE(std::filesystem::exists(run_folder / "runs" / run_id / "tmp")) << "what its commands left";
  EXPECT_FALSE(std::filesystem::exists(run_folder / "repo.git"));
}

TEST_F(LocalRun, RingIsMendedInARepairRound) {
  const std::string repository = machine_.Repository("ring");
  const auto run = machine_.Ybis({"run", Example("ring"), "--repo", repository});
  ASSERT_EQ(run.exit_code, 0) << run.output << run.error_output;
  EXPECT_NE(run.output.find("repair"), std::string::npos) << run.output;
  const json task = machine_.Task("ring");
  EXPECT_EQ(task["status"]["phase"], "Completed");
  EXPECT_EQ(task["status"]["verification"]["failed"], 0);
}

TEST_F(LocalRun, AProtectedPathBlocksAndPushesNothing) {
  const std::string repository = machine_.Repository("shop");
  const auto run = machine_.Ybis({"run", Example("protected-path"), "--repo", repository});
  ASSERT_EQ(run.exit_code, 4) << run.output << run.error_output;
  EXPECT_NE(run.output.find("deploy/production.yaml"), std::string::npos) << run.output;
  EXPECT_TRUE(machine_.Branches(repository).empty());
  const auto diff = machine_.Ybis({"diff", "protected-path"});
  EXPECT_NE(diff.output.find("deploy/production.yaml"), std::string::npos) << diff.output;
  EXPECT_EQ(machine_.Ybis({"cancel", "protected-path"}).exit_code, 0);
  EXPECT_EQ(machine_.Phase("protected-path"), "Cancelled");
}

TEST_F(LocalRun, AFileWhoseTaskIsUnderWayStartsNoSecondRun) {
  const std::string repository = machine_.Repository("hello");
  ASSERT_EQ(machine_.Ybis({"task", "create", "-f", Example("hello"), "--repo", repository}).exit_code, 0);
  const auto refused = machine_.Ybis({"run", Example("hello"), "--repo", repository});
  EXPECT_EQ(refused.exit_code, 1) << refused.output;
  EXPECT_NE(refused.error_output.find("is under way (Queued); `ybis run hello` follows it"),
            std::string::npos)
      << refused.error_output;
  EXPECT_EQ(machine_.Ybis({"run", "hello"}).exit_code, 0);
  const auto again = machine_.Ybis({"run", Example("hello"), "--repo", repository});
  EXPECT_EQ(again.exit_code, 0) << "what is over is run again: " << again.error_output;
  EXPECT_EQ(machine_.Task("hello")["status"]["run"]["number"], 2) << machine_.Task("hello").dump(2);
}

TEST_F(LocalRun, AFileWhoseTaskWaitsGivesTheWaitUp) {
  const std::string repository = machine_.Repository("shop");
  ASSERT_EQ(machine_.Ybis({"run", Example("protected-path"), "--repo", repository}).exit_code, 4);
  const std::string first = machine_.Task("protected-path")["status"]["run"]["id"];
  ASSERT_EQ(machine_.Ybis({"run", Example("protected-path"), "--repo", repository}).exit_code, 4);
  EXPECT_NE(machine_.Task("protected-path")["status"]["run"]["id"], first);
  store::Pool pool({.url = machine_.DatabaseUrl(), .size = 1});
  const auto states = pool.Execute("SELECT state FROM runs ORDER BY number", {}, {});
  ASSERT_TRUE(states) << states.error().message;
  ASSERT_EQ(states->size(), 2U);
  EXPECT_EQ((*states)[0].Text(0), "Cancelled");
  EXPECT_EQ((*states)[1].Text(0), "Blocked");
}

TEST_F(LocalRun, ARunThatCannotBeFollowedIsStopped) {
  const std::string repository = machine_.Repository("hello");
  Background run(machine_.Command({"run", Example("hello"), "--repo", repository, "--verify", "sleep 100"}),
                 machine_.env(), machine_.path() / "run.log");
  ASSERT_TRUE(machine_.WaitNode("hello", "verify"));
  store::Pool pool({.url = machine_.DatabaseUrl(), .size = 1});
  ASSERT_TRUE(pool.Execute("ALTER TABLE node_executions RENAME TO away", {}, {}));
  EXPECT_EQ(run.Wait(std::chrono::seconds(60)), 1);
  ASSERT_TRUE(pool.Execute("ALTER TABLE away RENAME TO node_executions", {}, {}));
  const std::string said = ReadFile(machine_.path() / "run.log").value_or("nothing");
  EXPECT_NE(said.find("stopping the run; `ybis run hello` goes on"), std::string::npos) << said;
}

TEST_F(LocalRun, ADataFolderThatOneMayEnterAsOfAGroupWillDo) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can be somebody with another group";
  constexpr unsigned kNobody = 65534, kTeam = 54321;
  const auto team = machine_.path() / "team";
  std::filesystem::create_directory(team);
  ASSERT_EQ(::chown(team.c_str(), 0, kTeam), 0);
  ASSERT_EQ(::chmod(team.c_str(), 0770), 0);
  // The checkout may lie where only root can go.
  const auto program = machine_.path() / "ybis";
  std::filesystem::copy_file(machine_.Command({}).front(), program);
  machine_.Set("YBIS_DATA_DIR", team / "data");
  machine_.Set("HOME", "/nonexistent");
  machine_.Set("YBIS_CONFIG_DIR", "/nonexistent");
  for (const char* action : {"start", "stop"}) {
    ProcessSpec spec;
    spec.argv = machine_.Command({"db", action});
    spec.argv.front() = program;
    spec.env = machine_.env();
    spec.directory = "/";
    spec.timeout = std::chrono::minutes(3);
    spec.before_exec = [] {
      const gid_t team_alone = kTeam;
      const bool done = ::syscall(SYS_setgroups, 1, &team_alone) == 0 &&
                        ::syscall(SYS_setgid, kNobody) == 0 && ::syscall(SYS_setuid, kNobody) == 0;
      return done ? 0 : errno;
    };
    const auto done = RunProcess(spec, {});
    ASSERT_TRUE(done) << done.error().message;
    EXPECT_EQ(done->exit_code, 0) << done->error_output;
  }
}

TEST_F(LocalRun, WatchEndsWhenItsOutputIsLost) {
  const std::string repository = machine_.Repository("hello");
  ASSERT_EQ(machine_.Ybis({"task", "create", "-f", Example("hello"), "--repo", repository}).exit_code, 0);
  for (const std::string words : {"watch", "watch hello", "events hello -f"}) {
    Background watch({"/bin/sh", "-c", "exec " YBIS_BIN_DIR "/ybis " + words + " >/dev/full"}, machine_.env(),
                     machine_.path() / "watch.log");
    EXPECT_EQ(watch.Wait(std::chrono::seconds(30)), 1) << words;
  }
}

TEST_F(LocalRun, AWorkerOutlivesTheReaderOfItsLog) {
  const std::string repository = machine_.Repository("hello");
  const auto log = machine_.path() / "log.fifo";
  ASSERT_EQ(::mkfifo(log.c_str(), 0600), 0);
  UniqueFd reader(::open(log.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  Background worker(machine_.Worker(), machine_.env(), log);
  pollfd ready{reader.get(), POLLIN, 0};
  ASSERT_EQ(::poll(&ready, 1, 60'000), 1) << "it says that it is ready";
  reader = UniqueFd();
  ASSERT_EQ(machine_.Ybis({"task", "create", "-f", Example("hello"), "--repo", repository}).exit_code, 0);
  EXPECT_TRUE(machine_.WaitPhase("hello", "Completed")) << machine_.Task("hello").dump(2);
  worker.Signal(SIGTERM);
  EXPECT_EQ(worker.Wait(std::chrono::seconds(30)), 0);
}

std::string ExampleWorkflow(const std::string& name) {
  return testing::SourceDir() + "/examples/workflows/" + name + ".yaml";
}

/// The nodes a run went through, as `ybis watch -o json` tells them.
std::vector<std::string> NodesOf(const Machine& machine, const std::string& task) {
  std::vector<std::string> nodes;
  std::istringstream lines(machine.Ybis({"watch", task, "-o", "json"}).output);
  for (std::string line; std::getline(lines, line);) {
    const json object = json::parse(line);
    if (object["type"] == "node") nodes.push_back(object["node"]);
  }
  return nodes;
}

TEST_F(LocalRun, AFlagIsAddedByAWorkflowThatChecksTwice) {
  const std::string repository = machine_.Repository("tally");
  const auto run = machine_.Ybis(
      {"run", Example("min-count"), "--workflow", ExampleWorkflow("checked-twice"), "--repo", repository});
  ASSERT_EQ(run.exit_code, 0) << run.output << run.error_output;
  EXPECT_EQ(NodesOf(machine_, "min-count"),
            (std::vector<std::string>{"before", "spec", "plan", "execute", "after", "gate"}));
  const std::string branch = machine_.Branches(repository).at(0);
  EXPECT_NE(machine_.Git(repository, {"show", branch + ":README.md"}).find("`--min-count N`"),
            std::string::npos);
}

TEST_F(LocalRun, ARepositoryThatIsBrokenAlreadyIsMendedFirst) {
  const std::string repository = machine_.Repository("ring");
  const auto run = machine_.Ybis(
      {"run", Example("ring"), "--workflow", ExampleWorkflow("checked-twice"), "--repo", repository});
  ASSERT_EQ(run.exit_code, 1) << run.output << run.error_output;
  // No recording answers a repair without a change before it; that it was asked for is the edge that counts.
  EXPECT_EQ(machine_.Task("ring")["status"]["run"]["node"], "repair") << run.output;
}

TEST_F(LocalRun, ACodemodsMistakeIsMendedByAModel) {
  const std::string repository = machine_.Repository("labels");
  const auto run = machine_.Ybis(
      {"run", Example("bounded-copies"), "--workflow", ExampleWorkflow("codemod"), "--repo", repository});
  ASSERT_EQ(run.exit_code, 0) << run.output << run.error_output;
  EXPECT_EQ(NodesOf(machine_, "bounded-copies"),
            (std::vector<std::string>{"codemod", "verify", "repair", "verify", "gate"}));
  const std::string source =
      machine_.Git(repository, {"show", machine_.Branches(repository).at(0) + ":label.c"});
  EXPECT_EQ(source.find("strcpy"), std::string::npos) << source;
  EXPECT_NE(source.find("snprintf(out, size, "), std::string::npos) << source;
}

TEST_F(LocalRun, ExampleWorkflowsAreValid) {
  for (const char* name : {"codemod", "checked-twice"}) {
    const auto lint = machine_.Ybis({"workflow", "lint", ExampleWorkflow(name)});
    EXPECT_EQ(lint.exit_code, 0) << lint.output << lint.error_output;
  }
}

TEST_F(LocalRun, WatchEndsWithTheRunsExitCode) {
  const std::string repository = machine_.Repository("shop");
  ASSERT_EQ(
      machine_.Ybis({"task", "create", "-f", Example("protected-path"), "--repo", repository}).exit_code, 0);
  Background watch(machine_.Command({"watch", "protected-path"}), machine_.env(),
                   machine_.path() / "watch.log");
  Background all(machine_.Command({"watch", "-o", "json"}), machine_.env(), machine_.path() / "all.log");
  EXPECT_EQ(machine_.Ybis({"run", "protected-path"}).exit_code, 4);
  EXPECT_EQ(watch.Wait(std::chrono::seconds(60)), 4);
  all.Signal(SIGINT);
  EXPECT_EQ(all.Wait(std::chrono::seconds(60)), 0);
  const auto text = ReadFile(machine_.path() / "watch.log");
  ASSERT_TRUE(text);
  EXPECT_NE(text->find("Queued"), std::string::npos) << *text;
  EXPECT_NE(text->find("gate"), std::string::npos) << *text;
  EXPECT_EQ(text->find('\x1b'), std::string::npos) << "nothing is redrawn where there is no terminal";
  const auto lines = ReadFile(machine_.path() / "all.log");
  EXPECT_NE(lines->find("\"status\":\"Blocked\""), std::string::npos) << *lines;
  EXPECT_EQ(machine_.Ybis({"watch", "nobody"}).exit_code, 3);
}

TEST_F(LocalRun, AWorkerServesProbesAndMetrics) {
  Background worker(machine_.Command({"worker", "start", "--health-address", "127.0.0.1:0"}), machine_.env(),
                    machine_.path() / "worker.log");
  std::string port;
  for (int i = 0; i < 600 && port.empty(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    const std::string text = ReadFile(machine_.path() / "worker.log").value_or("");
    const size_t at = text.find("port=", text.find("serving metrics"));
    if (at != std::string::npos && text.find('\n', at) != std::string::npos)
      port = text.substr(at + 5, text.find_first_not_of("0123456789", at + 5) - at - 5);
  }
  ASSERT_FALSE(port.empty()) << ReadFile(machine_.path() / "worker.log").value_or("");
  http::Client client({});
  const auto get = [&](const std::string& path) {
    http::ClientRequest request;
    request.url = "http://127.0.0.1:" + port + path;
    return client.Send(request, {});
  };
  EXPECT_EQ(get("/livez")->status, 200);
  EXPECT_EQ(get("/readyz")->status, 200);
  EXPECT_TRUE(get("/readyz")->body.starts_with("[+] database ok\n"));
  const std::string metrics = get("/metrics")->body;
  EXPECT_NE(metrics.find("ybis_active_workers 0"), std::string::npos) << metrics;
  for (int i = 0; i < 100 && get("/metrics")->body.find("ybis_health_check") == std::string::npos; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  EXPECT_NE(get("/metrics")->body.find("ybis_health_check{check=\"database\"} 0"), std::string::npos)
      << get("/metrics")->body;
  worker.Signal(SIGTERM);
  EXPECT_EQ(worker.Wait(std::chrono::seconds(30)), 0);
}

TEST_F(LocalRun, TellsEverythingAboutATask) {
  const std::string repository = machine_.Repository("hello");
  ASSERT_EQ(machine_.Ybis({"run", Example("hello"), "--repo", repository}).exit_code, 0);
  const json task = machine_.Task("hello");
  const std::string uid = task["metadata"]["uid"];
  EXPECT_EQ(machine_.Ybis({"task", "status", uid.substr(0, 8), "-o", "name"}).output, "hello\n");
  EXPECT_EQ(machine_.Ybis({"task", "list", "-o", "name", "--status", "Completed"}).output, "hello\n");
  EXPECT_EQ(machine_.Ybis({"task", "list", "-o", "name", "--status", "Failed"}).output, "");
  const auto names = machine_.Ybis({"artifacts", "hello", "-o", "name"}).output;
  for (const char* name :
       {"spec.json", "plan.json", "patch.diff", "verifier.json", "gate.json", "logs.jsonl"}) {
    EXPECT_NE(names.find(name), std::string::npos) << names;
  }
  const auto gate = machine_.Ybis({"artifacts", "hello", "get", "gate.json"});
  EXPECT_EQ(json::parse(gate.output)["decision"], "approved");
  EXPECT_EQ(machine_.Ybis({"artifacts", "hello", "get", "none"}).exit_code, 3);
  const std::string events = machine_.Events("hello");
  for (const char* type : {"RUN_CLAIMED", "BRANCH_PUSHED", "RUN_COMPLETED"}) {
    EXPECT_NE(events.find(type), std::string::npos) << events;
  }
  EXPECT_NE(machine_.Ybis({"logs", "hello"}).output.find("node finished"), std::string::npos);
  const std::string run_id = task["status"]["run"]["id"];
  const auto log = machine_.path() / "data/runs" / run_id / "runner.log";
  ASSERT_TRUE(WriteFileAtomic(log, "of an attempt that was given back\n"));
  const std::string recorded = machine_.Ybis({"artifacts", "hello", "get", "logs.jsonl"}).output;
  EXPECT_EQ(machine_.Ybis({"logs", "hello"}).output, recorded) << "the rest was another machine's";
  ASSERT_TRUE(WriteFileAtomic(log, "{\"msg\":\"run claimed\"}\nheard: \x1b[2J\nno end \x1b["));
  ProcessSpec terminal;  // script(1) gives the command a terminal
  terminal.argv = {"/usr/bin/script", "-qec", YBIS_BIN_DIR "/ybis logs hello", "/dev/null"};
  terminal.env = machine_.env();
  const std::string shown = RunProcess(terminal, {})->output;
  EXPECT_NE(shown.find("heard: ^[[2J\r\nno end ^[["), std::string::npos) << shown;
  EXPECT_EQ(shown.find('\x1b'), std::string::npos) << shown;
  std::filesystem::remove(log);
  EXPECT_EQ(machine_.Ybis({"logs", "hello", "-f"}).output, recorded) << "all of it was";
  EXPECT_EQ(machine_.Ybis({"task", "status", "nobody"}).exit_code, 3);
  const auto health = machine_.Ybis({"health"});
  EXPECT_EQ(health.exit_code, 0) << health.output;
  EXPECT_NE(health.output.find("[OK] database"), std::string::npos) << health.output;
}

TEST_F(LocalRun, RetryAndRunAgainMakeNewRunsOfTheSameTask) {
  const std::string repository = machine_.Repository("hello");
  ASSERT_EQ(machine_.Ybis({"run", Example("hello"), "--repo", repository}).exit_code, 0);
  const auto over = machine_.Ybis({"run", "hello"});
  EXPECT_EQ(over.exit_code, 2);
  EXPECT_NE(over.error_output.find("ybis retry hello"), std::string::npos) << over.error_output;
  EXPECT_EQ(machine_.Ybis({"task", "create", "-f", Example("hello"), "--repo", repository}).exit_code, 1);
  ASSERT_EQ(machine_.Ybis({"retry", "hello"}).exit_code, 0);
  EXPECT_EQ(machine_.Phase("hello"), "Queued");
  const auto again = machine_.Ybis({"run", "hello"});
  EXPECT_EQ(again.exit_code, 0) << again.output << again.error_output;
  EXPECT_EQ(machine_.Task("hello")["status"]["run"]["number"], 2);
  EXPECT_EQ(machine_.Branches(repository).size(), 2U);
}

TEST_F(LocalRun, AMissingSecretIsNamedBeforeAnythingStarts) {
  const auto run = machine_.Ybis({"run", Example("hello")});
  EXPECT_EQ(run.exit_code, 3);
  EXPECT_NE(run.error_output.find("secrets/git-credentials"), std::string::npos) << run.error_output;
}

TEST_F(LocalRun, AnUnknownRefFailsWithItsReason) {
  const std::string repository = machine_.Repository("hello");
  const auto run = machine_.Ybis({"run", Example("hello"), "--repo", repository, "--ref", "nowhere"});
  EXPECT_EQ(run.exit_code, 1);
  EXPECT_NE(run.output.find("RefNotFound"), std::string::npos) << run.output;
}

}  // namespace
}  // namespace ybis::testing
