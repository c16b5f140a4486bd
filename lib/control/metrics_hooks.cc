#include "control/metrics_hooks.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>

#include <nlohmann/json.hpp>

#include "workflow/graph.h"

namespace ybis::control {
namespace {

std::string DecisionOf(const api::NodeReport& report) {
  if (!report.output || !report.output->is_object()) return {};
  const auto found = report.output->find("decision");
  return found != report.output->end() && found->is_string() ? found->get<std::string>() : std::string();
}

/// What a runner claims beyond any node's doing is not counted.
int64_t CommandsOf(const api::NodeReport& report, const char* result) {
  constexpr int64_t kMost = 1000;
  if (!report.output || !report.output->is_object()) return 0;
  const nlohmann::json calls =
      report.output->value(nlohmann::json::json_pointer("/commands") / result, nlohmann::json());
  return calls.is_number_integer() ? std::clamp<int64_t>(calls.get<int64_t>(), 0, kMost) : 0;
}

}  // namespace

void ModelMetrics::OnAttempt(std::string_view model, std::string_view outcome,
                             std::chrono::milliseconds took) {
  metrics_
      .HistogramOf(
          "ybis_llm_attempt_duration_seconds", "Time of single attempts at model endpoints, by result.",
          {{"model", std::string(model)}, {"result", std::string(outcome)}}, ExponentialBounds(0.1, 2, 12))
      .Observe(Seconds(took).count());
}

void ModelMetrics::OnRetry(std::string_view model) {
  metrics_
      .CounterOf("ybis_llm_retries_total", "Attempts at models that were made again.",
                 {{"model", std::string(model)}})
      .Increment();
}

void ModelMetrics::OnFallback(std::string_view from, std::string_view to) {
  metrics_
      .CounterOf("ybis_llm_fallbacks_total", "Calls that went on to another model.",
                 {{"from", std::string(from)}, {"to", std::string(to)}})
      .Increment();
}

void ModelMetrics::OnCircuit(std::string_view model, bool open) {
  metrics_
      .GaugeOf("ybis_llm_circuit_open", "Whether a model's endpoint is being left alone.",
               {{"model", std::string(model)}})
      .Set(open ? 1 : 0);
}

void ModelMetrics::OnReask(std::string_view model) {
  metrics_
      .CounterOf("ybis_llm_reasks_total", "Answers that did not fit and were sent back.",
                 {{"model", std::string(model)}})
      .Increment();
}

void ModelMetrics::OnUsage(std::string_view model, const api::Usage& usage) {
  metrics_.ModelUsage(model, usage);
}

void ModelMetrics::OnCall(std::string_view model, std::string_view outcome) {
  metrics_.ModelCall(model, outcome);
}

Result<api::ClaimResponse> CountingRunService::Claim(const std::string& run_id, const std::string& holder,
                                                     const api::ClaimRequest& request, std::stop_token stop) {
  return next_.Claim(run_id, holder, request, stop);
}

Result<api::HeartbeatResponse> CountingRunService::Heartbeat(const std::string& run_id,
                                                             const api::HeartbeatRequest& request,
                                                             std::stop_token stop) {
  return next_.Heartbeat(run_id, request, stop);
}

Status CountingRunService::ReportNode(const std::string& run_id, const api::NodeReport& report,
                                      std::stop_token stop) {
  YBIS_TRY(next_.ReportNode(run_id, report, stop));
  // The runner names the type; only names of our own may become labels.
  const std::string type = workflow::KnownNodeTypes().contains(report.type) ? report.type : "other";
  metrics_.NodeFinished(type, std::max(Seconds(0), Seconds(report.finished - report.started)));
  for (const char* result : {"ok", "failed", "timedOut"})
    metrics_.ToolCalls(result, CommandsOf(report, result));
  if (const std::string decision = DecisionOf(report); type == "gate" && !decision.empty())
    metrics_.GateOutcome(decision);
  return {};
}

Status CountingRunService::RecordEvent(const std::string& run_id, const api::EventReport& report,
                                       std::stop_token stop) {
  return next_.RecordEvent(run_id, report, stop);
}

Result<api::ArtifactRef> CountingRunService::PutArtifact(const std::string& run_id, int64_t epoch,
                                                         const std::string& name, std::string bytes,
                                                         std::stop_token stop) {
  return next_.PutArtifact(run_id, epoch, name, std::move(bytes), stop);
}

Result<std::string> CountingRunService::GetArtifact(const std::string& run_id, const std::string& name,
                                                    std::stop_token stop) {
  return next_.GetArtifact(run_id, name, stop);
}

Status CountingRunService::Finish(const std::string& run_id, const api::FinishReport& report,
                                  std::stop_token stop) {
  return next_.Finish(run_id, report, stop);
}

Status CountingRunService::Release(const std::string& run_id, const api::ReleaseReport& report,
                                   std::stop_token stop) {
  return next_.Release(run_id, report, stop);
}

}  // namespace ybis::control
