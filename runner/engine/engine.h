#pragma once
// One run from claim to finish.
#include <stop_token>
#include <string>

#include "base/clock.h"
#include "runner/engine/conclusion.h"
#include "runner/engine/exit_code.h"
#include "runner/engine/fault.h"
#include "runner/engine/journal.h"
#include "runner/engine/run_stop.h"
#include "runner/engine/workspace.h"
#include "runner/nodes/command_runner.h"
#include "runner/report/heartbeat.h"
#include "runner/report/run_api.h"

namespace ybis::runner {

struct EngineSettings {
  std::string run_id;
  std::string runner_version;
  std::string host;  ///< pod or machine, for people
  WorkspaceSettings workspace;
  Duration wait_when_blocked{
      0};  ///< after a finish with Blocked, for SIGTERM; then the exit code is kBlocked
  Duration goodbye_timeout{std::chrono::seconds(10)};  ///< for giving the lease back after a stop
};

/// Claims a run, walks its workflow, delivers and finishes. It may be killed at any instruction: whatever it
/// does is keyed, and another Engine for the same run goes on from the last checkpoint. Runs once; lives on
/// one thread; all that it is given must outlive it.
class Engine {
 public:
  Engine(EngineSettings settings, RunApi& api, CommandRunner& commands, Clock& clock);

  /// `terminate` is SIGTERM. Returns the process' exit code.
  ExitCode Run(std::stop_token terminate);

 private:
  ExitCode WaitWhenBlocked(ExitCode code, const std::stop_token& terminate) const;
  ExitCode ClaimFailed(const Error& error) const;
  ExitCode RunClaimed(api::ClaimResponse claim);
  Outcome<api::FinishReport> WalkAndDeliver(const api::ClaimResponse& claim, Heartbeat& heartbeat);
  /// From the state after the last node to the report, with the delivery on the way.
  Outcome<api::FinishReport> Close(const api::RunOrder& order, const api::Checkpoint& checkpoint,
                                   git::Worktree* tree, Journal& journal);
  ExitCode FinishRun(api::FinishReport report, std::stop_token stop);
  ExitCode FinishFailed(const api::Failure& failure);
  ExitCode GiveUp(const api::RunOrder& order, const Fault& fault);
  ExitCode Release(const std::string& reason, ExitCode code, bool failed = false);

  EngineSettings settings_;
  RunApi& api_;
  CommandRunner& commands_;
  Clock& clock_;
  RunStop stop_;
  RunLease lease_;
  bool blocked_ = false;                    ///< the finish said so
  std::optional<api::FinishReport> known_;  ///< what the last checkpoint tells, for a failed run's report
};

}  // namespace ybis::runner
