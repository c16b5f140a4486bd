#pragma once
// Counts what passes through the model gateway and the Run API.
#include "control/metrics.h"
#include "control/run_api_server.h"
#include "model/provider.h"

namespace ybis::control {

/// Thread-safe; the metrics must outlive it.
class ModelMetrics final : public model::ModelObserver {
 public:
  explicit ModelMetrics(Metrics& metrics) : metrics_(metrics) {}
  void OnAttempt(std::string_view model, std::string_view outcome, std::chrono::milliseconds took) override;
  void OnRetry(std::string_view model) override;
  void OnFallback(std::string_view from, std::string_view to) override;
  void OnCircuit(std::string_view model, bool open) override;
  void OnReask(std::string_view model) override;
  void OnUsage(std::string_view model, const api::Usage& usage) override;
  void OnCall(std::string_view model, std::string_view outcome) override;

 private:
  Metrics& metrics_;
};

/// Passes everything on and counts finished nodes, their commands and the gate's decisions. Thread-safe; the
/// references must outlive it.
class CountingRunService final : public RunService {
 public:
  CountingRunService(RunService& next, Metrics& metrics) : next_(next), metrics_(metrics) {}
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
  RunService& next_;
  Metrics& metrics_;
};

}  // namespace ybis::control
