// What is killed at any moment goes on: worker, runner, database.
#include <gtest/gtest.h>
#include <signal.h>

#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <regex>
#include <thread>

#include "base/file.h"
#include "store/database.h"
#include "tests/integration/local/machine.h"

namespace ybis::testing {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;

class LocalCrash : public ::testing::Test {
 protected:
  /// Queues the hello task with a check that takes a while, so that there is a middle to be killed in.
  std::string CreateSlow(const std::string& name) {
    const std::string repository = machine_.Repository("hello");
    const auto created =
        machine_.Ybis({"task", "create", "-f", Example("hello"), "--name", name, "--repo", repository,
                       "--verify", "sleep 4", "--verify", "python3 -m pytest -q"});
    EXPECT_EQ(created.exit_code, 0) << created.error_output;
    return repository;
  }
  std::string RunId(const std::string& name) { return machine_.Task(name)["status"]["run"]["id"]; }
  std::string WorkerLog() {
    const auto text = ReadFile(machine_.path() / "worker.log");
    return text ? *text : std::string();
  }
  void ExpectDelivered(const std::string& name, const std::string& repository) {
    ASSERT_TRUE(machine_.WaitPhase(name, "Completed")) << machine_.Task(name).dump(2) << WorkerLog();
    const std::string branch = machine_.Task(name)["status"]["result"]["branch"];
    EXPECT_EQ(machine_.Branches(repository), std::vector<std::string>{branch});
    EXPECT_EQ(machine_.Git(repository, {"rev-list", "--count", "main.." + branch}), "1");
  }

  Machine machine_;
};

TEST_F(LocalCrash, AWorkerTakesUpWhatIsQueued) {
  const std::string repository = CreateSlow("queued");
  EXPECT_EQ(machine_.Phase("queued"), "Queued");
  Background worker(machine_.Worker(), machine_.env(), machine_.path() / "worker.log");
  ExpectDelivered("queued", repository);
  worker.Signal(SIGTERM);
  EXPECT_EQ(worker.Wait(30s), 0) << WorkerLog();
}

TEST_F(LocalCrash, AWorkerFindsWhatNobodyToldItOf) {
  const std::string repository = CreateSlow("untold");
  store::Pool pool({.url = machine_.DatabaseUrl(), .size = 1});
  ASSERT_TRUE(pool.Execute("CREATE TABLE aside AS SELECT * FROM queue", {}, {}));
  ASSERT_TRUE(pool.Execute("DELETE FROM queue", {}, {}));
  Background worker(machine_.Worker(), machine_.env(), machine_.path() / "worker.log");
  const auto listens = [&pool] {
    const auto rows =
        pool.Execute("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN %'", {}, {});
    return rows && (*rows)[0].Int(0) > 0;
  };
  for (int i = 0; i < 600 && !listens(); ++i) std::this_thread::sleep_for(50ms);
  ASSERT_TRUE(listens()) << WorkerLog();
  std::this_thread::sleep_for(500ms);  // it looks once more when it begins to listen
  ASSERT_TRUE(pool.Execute("INSERT INTO queue SELECT * FROM aside", {}, {})) << "without a notification";
  ExpectDelivered("untold", repository);
}

TEST_F(LocalCrash, AKilledWorkersRunIsTakenUpByTheNextFromItsCheckpoint) {
  const std::string repository = CreateSlow("worker");
  {
    Background worker(machine_.Worker(), machine_.env(), machine_.path() / "worker.log");
    ASSERT_TRUE(machine_.WaitNode("worker", "verify")) << machine_.Task("worker").dump(2) << WorkerLog();
    worker.Signal(SIGKILL);
    worker.Wait(5s);
  }
  const std::string run_id = RunId("worker");
  for (int i = 0; i < 100 && machine_.RunnerOf(run_id) != 0; ++i) std::this_thread::sleep_for(50ms);
  EXPECT_EQ(machine_.RunnerOf(run_id), 0) << "a runner does not outlive its worker";
  Background next(machine_.Worker(), machine_.env(), machine_.path() / "worker.log");
  ExpectDelivered("worker", repository);
  const json status = machine_.Task("worker")["status"];
  EXPECT_EQ(status["run"]["attempt"], 2);
  EXPECT_EQ(status["usage"]["llmCalls"], 3) << "nothing was asked twice";
}

TEST_F(LocalCrash, WorkerStatusTellsWhoHoldsARunAndWhetherItLives) {
  CreateSlow("held");
  const auto line = [&] {
    const std::string table = machine_.Ybis({"worker", "status"}).output;
    const size_t at = table.find(RunId("held"));
    return at == std::string::npos ? table : table.substr(at, table.find('\n', at) - at);
  };
  {
    Background worker(machine_.Worker(), machine_.env(), machine_.path() / "worker.log");
    ASSERT_TRUE(machine_.WaitNode("held", "verify")) << machine_.Task("held").dump(2) << WorkerLog();
    // RUN TASK STATE NODE ATTEMPT HELD LEASE-LEFT HOLDER: a lease lasts 20 s here.
    const std::regex held(R"(\S+ +held +Running +verify +1 +\d+s +(1\d|20)s +\S+/\d+)");
    EXPECT_TRUE(std::regex_match(line(), held)) << line();
    worker.Signal(SIGKILL);
    worker.Wait(5s);
  }
  EXPECT_TRUE(line().ends_with(" (dead)")) << line();
  const auto health = machine_.Ybis({"health"});
  EXPECT_NE(health.output.find("1 of 1 runs have lost their worker"), std::string::npos) << health.output;
}

TEST_F(LocalCrash, AKilledRunnerIsStartedAgain) {
  const std::string repository = CreateSlow("runner");
  Background worker(machine_.Worker(), machine_.env(), machine_.path() / "worker.log");
  ASSERT_TRUE(machine_.WaitNode("runner", "verify")) << machine_.Task("runner").dump(2) << WorkerLog();
  const pid_t runner = machine_.RunnerOf(RunId("runner"));
  ASSERT_GT(runner, 0);
  ASSERT_EQ(::kill(runner, SIGKILL), 0);
  ExpectDelivered("runner", repository);
  EXPECT_EQ(machine_.Task("runner")["status"]["run"]["attempt"], 2);
}

TEST_F(LocalCrash, ATerminatedWorkerGivesItsRunBackAtOnce) {
  const std::string repository = CreateSlow("term");
  Background worker(machine_.Worker(), machine_.env(), machine_.path() / "worker.log");
  ASSERT_TRUE(machine_.WaitNode("term", "verify")) << machine_.Task("term").dump(2) << WorkerLog();
  worker.Signal(SIGTERM);
  EXPECT_EQ(worker.Wait(30s), 0) << WorkerLog();
  EXPECT_EQ(machine_.Phase("term"), "Queued");
  EXPECT_NE(machine_.Events("term").find("RUN_RELEASED"), std::string::npos) << machine_.Events("term");
  const auto run = machine_.Ybis({"run", "term"});
  EXPECT_EQ(run.exit_code, 0) << run.output << run.error_output;
  ExpectDelivered("term", repository);
}

TEST_F(LocalCrash, AStoppedRunMakesWayAndGoesOnWhereItStood) {
  const std::string repository = CreateSlow("stopped");
  {
    Background run(machine_.Command({"run", "stopped"}), machine_.env(), machine_.path() / "run.log");
    ASSERT_TRUE(machine_.WaitNode("stopped", "verify")) << machine_.Task("stopped").dump(2);
    run.Signal(SIGINT);
    EXPECT_EQ(run.Wait(30s), 130);
  }
  EXPECT_EQ(machine_.Ybis({"worker", "status", "-o", "name"}).output, "") << "it holds no place";
  const auto other = machine_.Ybis({"run", Example("hello"), "--name", "other", "--repo", repository});
  EXPECT_EQ(other.exit_code, 0) << other.output << other.error_output;
  EXPECT_EQ(other.error_output.find("waiting"), std::string::npos) << other.error_output;
  const auto again = machine_.Ybis({"run", "stopped"});
  EXPECT_EQ(again.exit_code, 0) << again.output << again.error_output;
  const json status = machine_.Task("stopped")["status"];
  EXPECT_EQ(status["run"]["attempt"], 2);
  EXPECT_EQ(status["usage"]["llmCalls"], 3) << "nothing was asked twice";
}

TEST_F(LocalCrash, AStoppedCommandsRunIsALivingWorkersAtOnce) {
  const std::string repository = CreateSlow("handed");
  Background run(machine_.Command({"run", "handed"}), machine_.env(), machine_.path() / "run.log");
  ASSERT_TRUE(machine_.WaitNode("handed", "verify")) << machine_.Task("handed").dump(2);
  Background worker(machine_.Worker(), machine_.env(), machine_.path() / "worker.log");
  run.Signal(SIGINT);
  EXPECT_EQ(run.Wait(30s), 130);
  ExpectDelivered("handed", repository);
  EXPECT_EQ(machine_.Task("handed")["status"]["run"]["attempt"], 2);
}

TEST_F(LocalCrash, AKilledCommandsRunMakesWayForTheNext) {
  const std::string repository = CreateSlow("killed");
  {
    Background run(machine_.Command({"run", "killed"}), machine_.env(), machine_.path() / "run.log");
    ASSERT_TRUE(machine_.WaitNode("killed", "verify")) << machine_.Task("killed").dump(2);
    run.Signal(SIGKILL);
    run.Wait(5s);
  }
  const auto other = machine_.Ybis({"run", Example("hello"), "--name", "other", "--repo", repository});
  EXPECT_EQ(other.exit_code, 0) << other.output << other.error_output;
  EXPECT_NE(other.error_output.find("waiting for " + RunId("killed") + ":"), std::string::npos)
      << other.error_output;
  const auto again = machine_.Ybis({"run", "killed"});
  EXPECT_EQ(again.exit_code, 0) << again.output << again.error_output;
  EXPECT_EQ(machine_.Task("killed")["status"]["usage"]["llmCalls"], 3) << "nothing was asked twice";
}

TEST_F(LocalCrash, CancelReachesARunThatIsUnderWay) {
  CreateSlow("cancel");
  Background worker(machine_.Worker(), machine_.env(), machine_.path() / "worker.log");
  ASSERT_TRUE(machine_.WaitNode("cancel", "verify")) << WorkerLog();
  EXPECT_EQ(machine_.Ybis({"cancel", "cancel"}).exit_code, 0);
  EXPECT_TRUE(machine_.WaitPhase("cancel", "Cancelled")) << machine_.Task("cancel").dump(2) << WorkerLog();
}

TEST_F(LocalCrash, TwoWorkersAndManyTasksRunEachOnce) {
  std::vector<std::string> repositories;
  for (int i = 0; i < 4; ++i) {
    repositories.push_back(machine_.Repository("hello"));
    const std::string name = "many-" + std::to_string(i);
    ASSERT_EQ(
        machine_
            .Ybis({"task", "create", "-f", Example("hello"), "--name", name, "--repo", repositories.back()})
            .exit_code,
        0);
  }
  Background one(machine_.Worker(), machine_.env(), machine_.path() / "worker.log");
  Background two(machine_.Worker(), machine_.env(), machine_.path() / "worker.log");
  for (int i = 0; i < 4; ++i) {
    const std::string name = "many-" + std::to_string(i);
    ExpectDelivered(name, repositories.at(static_cast<size_t>(i)));
    EXPECT_EQ(machine_.Task(name)["status"]["run"]["attempt"], 1);
  }
}

TEST_F(LocalCrash, TwoCommandsAtOnceOnAFreshFolderMakeOneDatabase) {
  std::vector<ProcessResult> results(4);
  {
    std::vector<std::jthread> threads;
    for (auto& result : results) {
      threads.emplace_back([this, &result] { result = machine_.Ybis({"task", "list"}); });
    }
  }
  for (const auto& result : results) EXPECT_EQ(result.exit_code, 0) << result.error_output;
  const auto status = machine_.Ybis({"db", "status"});
  EXPECT_NE(status.output.find("database: running"), std::string::npos) << status.output;
  EXPECT_EQ(status.output.find("pending"), std::string::npos) << status.output;
}

TEST_F(LocalCrash, AKilledDatabaseRecovers) {
  CreateSlow("kept");
  std::ifstream file(machine_.path() / "data/postgres/data/postmaster.pid");
  pid_t postmaster = 0;
  file >> postmaster;
  ASSERT_GT(postmaster, 1);
  ASSERT_EQ(::kill(postmaster, SIGKILL), 0);
  std::this_thread::sleep_for(300ms);
  EXPECT_EQ(machine_.Phase("kept"), "Queued");
}

TEST_F(LocalCrash, StopAndStartKeepWhatIsThere) {
  CreateSlow("stays");
  EXPECT_EQ(machine_.Ybis({"db", "stop"}).output, "database: stopped\n");
  EXPECT_EQ(machine_.Ybis({"db", "stop"}).output, "database: was not running\n");
  EXPECT_NE(machine_.Ybis({"db", "status"}).output.find("database: stopped"), std::string::npos);
  EXPECT_EQ(machine_.Phase("stays"), "Queued");
}

}  // namespace
}  // namespace ybis::testing
