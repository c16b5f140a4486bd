#pragma once
// The runner's side of the Run API, as the engine sees it.
#include <stop_token>
#include <string>

#include "api/run_api.h"
#include "base/result.h"

namespace ybis::runner {

/// One method a message, for one run. Every call may be repeated. kStale means that another runner holds the
/// run now: stop at once, without any further side effect. Implementations are thread-safe.
class RunApi {
 public:
  virtual ~RunApi() = default;
  virtual Result<api::ClaimResponse> Claim(const api::ClaimRequest& request, std::stop_token stop) = 0;
  /// One try: the caller has the next beat to try again.
  virtual Result<api::HeartbeatResponse> Heartbeat(const api::HeartbeatRequest& request,
                                                   std::stop_token stop) = 0;
  virtual Status ReportNode(const api::NodeReport& report, std::stop_token stop) = 0;
  virtual Status RecordEvent(const api::EventReport& report, std::stop_token stop) = 0;
  virtual Result<api::ArtifactRef> PutArtifact(int64_t epoch, const std::string& name,
                                               const std::string& bytes, std::stop_token stop) = 0;
  /// kNotFound when no attempt of the run has put it.
  virtual Result<std::string> GetArtifact(const std::string& name, std::stop_token stop) = 0;
  virtual Result<api::ModelResponse> CallModel(const api::ModelRequest& request, std::stop_token stop) = 0;
  virtual Status Finish(const api::FinishReport& report, std::stop_token stop) = 0;
  virtual Status Release(const api::ReleaseReport& report, std::stop_token stop) = 0;
};

}  // namespace ybis::runner
