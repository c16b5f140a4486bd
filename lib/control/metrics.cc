#include "control/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include "control/process_metrics.h"

namespace ybis::control {
namespace {

constexpr char kTasksFailed[] = "ybis_tasks_failed_total";
constexpr char kTasksFailedHelp[] = "Runs that ended without a result that the gate approved, by class.";
constexpr char kWorkflowSeconds[] = "ybis_workflow_duration_seconds";
constexpr char kWorkflowSecondsHelp[] = "Time from a run's first claim to its end.";
constexpr char kGateOutcomes[] = "ybis_gate_outcomes_total";
constexpr char kGateOutcomesHelp[] = "Decisions of the gate.";
constexpr char kToolCalls[] = "ybis_tool_calls_total";
constexpr char kToolCallsHelp[] = "Commands that nodes of runs ran (checks, tools, codemods), by result.";

constexpr char kApprovalSeconds[] = "ybis_approval_wait_seconds";
constexpr char kApprovalSecondsHelp[] = "Time that runs waited for a person, by what ended the wait.";

/// From seconds to weeks.
std::vector<double> ApprovalBounds() { return ExponentialBounds(5, 3, 12); }

std::vector<double> RunBounds() { return ExponentialBounds(1, 2, 15); }

void Raise(prometheus::Counter& counter, double by) {
  if (by > 0) counter.Increment(by);
}

}  // namespace

std::vector<double> ExponentialBounds(double start, double factor, int count) {
  std::vector<double> bounds;
  for (double bound = start; count > 0; --count, bound *= factor) bounds.push_back(bound);
  return bounds;
}

Metrics::Metrics() : registry_(std::make_shared<prometheus::Registry>()) { RegisterFixed(); }
Metrics::~Metrics() = default;

void Metrics::RegisterFixed() {
  // A rate over a counter that is not there until its first event misses that event: show zeros from the
  // start.
  CounterOf("ybis_tasks_created_total", "Tasks whose first run was recorded.");
  CounterOf("ybis_tasks_completed_total", "Runs that ended with an approved result.");
  for (const api::FailureClass failure_class :
       {api::FailureClass::kInfra, api::FailureClass::kAgent, api::FailureClass::kVerify,
        api::FailureClass::kPolicy, api::FailureClass::kRejected, api::FailureClass::kExpired,
        api::FailureClass::kBudget, api::FailureClass::kTimeout, api::FailureClass::kCancelled,
        api::FailureClass::kInvalid}) {
    CounterOf(kTasksFailed, kTasksFailedHelp, {{"class", std::string(ToString(failure_class))}});
  }
  for (const char* decision : {"approved", "repair", "blocked", "rejected"}) {
    CounterOf(kGateOutcomes, kGateOutcomesHelp, {{"decision", decision}});
  }
  for (const char* result : {"ok", "failed", "timedOut"}) ToolCalls(result, 0);
  CounterOf("ybis_llm_cost_usd_total", "What model calls cost, in US dollars, by the configured prices.");
  LeasesExpired(0);
  BlobsDeleted(0, 0);
  SetActiveWorkers(0);
  SetQueueDepth(0);
  SetWaitingRuns(0);
  for (const char* how : {"Approve", "Reject", "Revise", "Expired"}) {
    HistogramOf(kApprovalSeconds, kApprovalSecondsHelp, {{"decision", how}}, ApprovalBounds());
  }
  HistogramOf(kWorkflowSeconds, kWorkflowSecondsHelp, {}, RunBounds());
}

std::string Metrics::Serialize() {
  const auto collectors = *collectors_.Lock();
  for (const auto& collect : collectors) collect();
  auto families = registry_->Collect();
  AppendProcessMetrics(families);
  return prometheus::TextSerializer().Serialize(families);
}

void Metrics::OnCollect(std::function<void()> callback) {
  collectors_.Lock()->push_back(std::move(callback));
}

prometheus::Counter& Metrics::CounterOf(const std::string& name, const std::string& help,
                                        const Labels& labels) {
  return prometheus::BuildCounter().Name(name).Help(help).Register(*registry_).Add(labels);
}

prometheus::Gauge& Metrics::GaugeOf(const std::string& name, const std::string& help, const Labels& labels) {
  return prometheus::BuildGauge().Name(name).Help(help).Register(*registry_).Add(labels);
}

prometheus::Histogram& Metrics::HistogramOf(const std::string& name, const std::string& help,
                                            const Labels& labels, const std::vector<double>& bounds) {
  return prometheus::BuildHistogram().Name(name).Help(help).Register(*registry_).Add(labels, bounds);
}

void Metrics::TaskCreated() {
  CounterOf("ybis_tasks_created_total", "Tasks whose first run was recorded.").Increment();
}

void Metrics::TaskCompleted(Seconds duration) {
  CounterOf("ybis_tasks_completed_total", "Runs that ended with an approved result.").Increment();
  HistogramOf(kWorkflowSeconds, kWorkflowSecondsHelp, {}, RunBounds()).Observe(duration.count());
}

void Metrics::TaskFailed(api::FailureClass failure_class, Seconds duration) {
  CounterOf(kTasksFailed, kTasksFailedHelp, {{"class", std::string(ToString(failure_class))}}).Increment();
  HistogramOf(kWorkflowSeconds, kWorkflowSecondsHelp, {}, RunBounds()).Observe(duration.count());
}

void Metrics::SetActiveWorkers(int64_t workers) {
  GaugeOf("ybis_active_workers", "Runs whose Job is active.").Set(static_cast<double>(workers));
}

void Metrics::SetQueueDepth(int64_t runs) {
  GaugeOf("ybis_queue_depth", "Runs that wait for their turn.").Set(static_cast<double>(runs));
}

void Metrics::NodeFinished(std::string_view type, Seconds duration) {
  HistogramOf("ybis_node_duration_seconds", "Time that nodes of runs took, by type.",
              {{"type", std::string(type)}}, ExponentialBounds(0.05, 2, 15))
      .Observe(duration.count());
}

void Metrics::ToolCalls(std::string_view result, int64_t calls) {
  Raise(CounterOf(kToolCalls, kToolCallsHelp, {{"result", std::string(result)}}), static_cast<double>(calls));
}

void Metrics::ModelCall(std::string_view model, std::string_view result) {
  CounterOf("ybis_llm_calls_total", "Calls of runs to models, by result.",
            {{"model", std::string(model)}, {"result", std::string(result)}})
      .Increment();
}

void Metrics::ModelUsage(std::string_view model, const api::Usage& usage) {
  const std::string name(model);
  const std::string help = "Tokens that models read (in) and wrote (out).";
  Raise(CounterOf("ybis_llm_tokens_total", help, {{"model", name}, {"direction", "in"}}),
        static_cast<double>(usage.tokens_in));
  Raise(CounterOf("ybis_llm_tokens_total", help, {{"model", name}, {"direction", "out"}}),
        static_cast<double>(usage.tokens_out));
  Raise(
      CounterOf("ybis_llm_cost_usd_total", "What model calls cost, in US dollars, by the configured prices."),
      usage.cost_usd);
}

void Metrics::GateOutcome(std::string_view decision) {
  const bool known =
      decision == "approved" || decision == "repair" || decision == "blocked" || decision == "rejected";
  CounterOf(kGateOutcomes, kGateOutcomesHelp, {{"decision", known ? std::string(decision) : "other"}})
      .Increment();
}

void Metrics::ApprovalEnded(std::string_view how, Seconds waited) {
  HistogramOf(kApprovalSeconds, kApprovalSecondsHelp, {{"decision", std::string(how)}}, ApprovalBounds())
      .Observe(waited.count());
}

void Metrics::SetWaitingRuns(int64_t runs) {
  GaugeOf("ybis_waiting_runs", "Runs that wait for a person.").Set(static_cast<double>(runs));
}

void Metrics::LeasesExpired(int64_t leases) {
  Raise(CounterOf("ybis_lease_expirations_total", "Leases of runners that ended without a renewal."),
        static_cast<double>(leases));
}

void Metrics::BlobsDeleted(int64_t blobs, int64_t bytes) {
  Raise(CounterOf("ybis_blobs_deleted_total", "Contents deleted since no run named them any more."),
        static_cast<double>(blobs));
  Raise(CounterOf("ybis_blob_bytes_deleted_total", "Bytes of contents that no run named any more."),
        static_cast<double>(bytes));
}

void Metrics::RestRequest(std::string_view method, std::string_view host, std::string_view code) {
  CounterOf("rest_client_requests_total",
            "Number of HTTP requests, partitioned by status code, method, and host.",
            {{"code", std::string(code)}, {"method", std::string(method)}, {"host", std::string(host)}})
      .Increment();
}

void Metrics::SetLeader(std::string_view name, bool leading) {
  GaugeOf("leader_election_master_status",
          "Gauge of if the reporting system is master of the relevant lease, 0 indicates backup, 1 indicates "
          "master.",
          {{"name", std::string(name)}})
      .Set(leading ? 1 : 0);
}

}  // namespace ybis::control
