#pragma once
// What a runner may do to the record of its run, behind the Run API. Every write carries the epoch of the
// claim; one that is not the current one is kStale. Every write may be repeated.
#include <chrono>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "api/run_api.h"
#include "control/run_record.h"
#include "store/database.h"
#include "store/run_store.h"

namespace ybis::control {

struct LedgerSettings {
  std::chrono::seconds lease{300};
  std::chrono::seconds heartbeat{60};
  size_t max_artifact_bytes = 32 * 1024 * 1024;
  size_t max_artifacts = 2'000;                    ///< of one run
  size_t max_checkpoint_bytes = 16 * 1024 * 1024;  ///< state, patch, input and output of one node report
  size_t max_events = 20'000;                      ///< of one run
  /// Nodes of one run, those taken over by a rerun included. A workflow's own limits (100 nodes, 100 visits
  /// each) allow half of it, the visits that people's revisions add left out.
  size_t max_nodes = 20'000;
};

/// Over Postgres; the database's clock decides about leases. Thread-safe.
class RunLedger {
 public:
  RunLedger(store::Pool& pool, LedgerSettings settings = {});

  /// Takes the lease: a new epoch and attempt. `holder` names who holds it as the server knows it (the pod's
  /// UID; local mode: the process), and may take its own lease again; empty means request.host.
  /// kConflict (retryable, retry_after) while another's lease lives or the run is still queued or blocked;
  /// kCancelled, kTimeout or kGone (none retryable) when the run is cancelled, past its deadline or over;
  /// kNotFound.
  Result<api::ClaimResponse> Claim(const std::string& run_id, const std::string& holder,
                                   const api::ClaimRequest& request, std::stop_token stop);
  /// Renews the lease and says whether to stop.
  Result<api::HeartbeatResponse> Heartbeat(const std::string& run_id, const api::HeartbeatRequest& request,
                                           std::stop_token stop);
  /// Records a finished node and the checkpoint after it in one commit, and renews the lease. The seq of a
  /// node that is recorded already is a no-op; a gap is kConflict, not retryable; more than
  /// max_nodes is kExhausted.
  Status ReportNode(const std::string& run_id, const api::NodeReport& report, std::stop_token stop);
  Status RecordEvent(const std::string& run_id, const api::EventReport& report, std::stop_token stop);

  /// Keeps `bytes` under `name` (at most 200 characters of [A-Za-z0-9._-] and single '/', no part starting
  /// with a dot); the same name again replaces what it stands for. kTooLarge past the cap.
  Result<api::ArtifactRef> PutArtifact(const std::string& run_id, int64_t epoch, const std::string& name,
                                       std::string bytes, std::stop_token stop);
  /// `events.jsonl` is the run's journal as it stands, one object a line; it is no stored artifact, so that
  /// it never lags behind.
  Result<std::string> GetArtifact(const std::string& run_id, const std::string& name, std::stop_token stop);
  Result<std::vector<api::ArtifactRef>> ListArtifacts(const std::string& run_id, std::stop_token stop);

  /// Ends the run (or blocks it) and the lease. Usage is summed from the recorded model calls. A repeat with
  /// the same epoch is a no-op.
  Status Finish(const std::string& run_id, const api::FinishReport& report, std::stop_token stop);
  /// Gives the lease back without counting a failure: the run may be claimed again at once. A cancelled run
  /// ends Cancelled.
  Status Release(const std::string& run_id, const api::ReleaseReport& report, std::stop_token stop);

  /// kNotFound when there is no such run.
  Result<RunRecord> GetRun(const std::string& run_id, std::stop_token stop);
  /// Namespace of the run's task, for authorization.
  Result<std::string> RunTaskNamespace(const std::string& run_id, std::stop_token stop);
  /// What the run was ordered to do, as its task said it.
  Result<api::TaskSpec> RunSpec(const std::string& run_id, std::stop_token stop);
  /// Its trace id; "" when there is no such run.
  Result<std::string> RunTrace(const std::string& run_id, std::stop_token stop);
  /// What it was allowed.
  Result<api::RunPolicy> RunPolicy(const std::string& run_id, std::stop_token stop);
  const LedgerSettings& settings() const { return settings_; }

 private:
  Result<store::NewWait> WaitFor(const std::string& run_id, const api::FinishReport& report,
                                 std::stop_token stop);
  Error WhyNoClaim(const std::string& run_id, std::stop_token stop);
  Error WhyFenced(const std::string& run_id, std::stop_token stop);
  Status TellTask(const std::string& run_id, std::stop_token stop);

  store::Pool& pool_;
  LedgerSettings settings_;
};

}  // namespace ybis::control
