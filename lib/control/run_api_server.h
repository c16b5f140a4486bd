#pragma once
// The Run API (api/run_api.h) as routes of an HTTP server: authentication, strict parsing with caps, the
// ledger behind it.
#include <functional>
#include <stop_token>
#include <string>

#include "api/run_api.h"
#include "control/model_gateway.h"
#include "control/run_ledger.h"
#include "control/token_auth.h"
#include "http/server_router.h"

namespace ybis::control {

/// What the routes need of the run's record; RunLedger over Postgres, a fake in tests. See RunLedger for the
/// meaning.
class RunService {
 public:
  virtual ~RunService() = default;
  virtual Result<api::ClaimResponse> Claim(const std::string& run_id, const std::string& holder,
                                           const api::ClaimRequest& request, std::stop_token stop) = 0;
  virtual Result<api::HeartbeatResponse> Heartbeat(const std::string& run_id,
                                                   const api::HeartbeatRequest& request,
                                                   std::stop_token stop) = 0;
  virtual Status ReportNode(const std::string& run_id, const api::NodeReport& report,
                            std::stop_token stop) = 0;
  virtual Status RecordEvent(const std::string& run_id, const api::EventReport& report,
                             std::stop_token stop) = 0;
  virtual Result<api::ArtifactRef> PutArtifact(const std::string& run_id, int64_t epoch,
                                               const std::string& name, std::string bytes,
                                               std::stop_token stop) = 0;
  virtual Result<std::string> GetArtifact(const std::string& run_id, const std::string& name,
                                          std::stop_token stop) = 0;
  virtual Status Finish(const std::string& run_id, const api::FinishReport& report, std::stop_token stop) = 0;
  virtual Status Release(const std::string& run_id, const api::ReleaseReport& report,
                         std::stop_token stop) = 0;
};

/// RunService over Postgres.
class StoredRunService final : public RunService {
 public:
  explicit StoredRunService(RunLedger& ledger) : ledger_(ledger) {}
  Result<api::ClaimResponse> Claim(const std::string& run_id, const std::string& holder,
                                   const api::ClaimRequest& request, std::stop_token stop) override;
  Result<api::HeartbeatResponse> Heartbeat(const std::string& run_id, const api::HeartbeatRequest& request,
                                           std::stop_token stop) override;
  Status ReportNode(const std::string& run_id, const api::NodeReport& report, std::stop_token stop) override;
  Status RecordEvent(const std::string& run_id, const api::EventReport& report,
                     std::stop_token stop) override;
  Result<api::ArtifactRef> PutArtifact(const std::string& run_id, int64_t epoch, const std::string& name,
                                       std::string bytes, std::stop_token stop) override;
  Result<std::string> GetArtifact(const std::string& run_id, const std::string& name,
                                  std::stop_token stop) override;
  Status Finish(const std::string& run_id, const api::FinishReport& report, std::stop_token stop) override;
  Status Release(const std::string& run_id, const api::ReleaseReport& report, std::stop_token stop) override;

 private:
  RunLedger& ledger_;
};

/// What the routes stand on; it must outlive the server.
struct RunApi {
  RunService& runs;
  ModelCalls& models;
  RunAuthenticator& auth;
};

/// Adds the Run API's routes. Every one authenticates before it reads a body.
void AddRunApi(http::Router& router, const RunApi& api);

}  // namespace ybis::control
