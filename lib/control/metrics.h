#pragma once
// What the process counts, in the form Prometheus reads. One object a process; everybody who counts gets a
// reference.
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "api/task.h"
#include "base/sync.h"

namespace prometheus {
class Counter;
class Gauge;
class Histogram;
class Registry;
}  // namespace prometheus

namespace ybis::control {

using Labels = std::map<std::string, std::string>;
using Seconds = std::chrono::duration<double>;

/// The registry and the product's own metrics. Thread-safe. Metrics live as long as this does, so whoever
/// counts often keeps the reference that CounterOf, GaugeOf and HistogramOf give.
class Metrics {
 public:
  Metrics();
  ~Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  /// All of it in Prometheus' text format 0.0.4, after the OnCollect callbacks ran.
  std::string Serialize();
  /// Called before each Serialize, to bring gauges up to date; must be quick.
  void OnCollect(std::function<void()> callback);

  /// The metric of that name and labels, made on first use. Names of one metric always come with the same
  /// help.
  prometheus::Counter& CounterOf(const std::string& name, const std::string& help, const Labels& labels = {});
  prometheus::Gauge& GaugeOf(const std::string& name, const std::string& help, const Labels& labels = {});
  /// `bounds` are the upper bounds of the buckets, rising.
  prometheus::Histogram& HistogramOf(const std::string& name, const std::string& help, const Labels& labels,
                                     const std::vector<double>& bounds);

  void TaskCreated();
  /// A run ended well; `duration` from its first claim.
  void TaskCompleted(Seconds duration);
  /// A run ended otherwise (cancelled ones too, with class Cancelled).
  void TaskFailed(api::FailureClass failure_class, Seconds duration);
  void SetActiveWorkers(int64_t workers);
  void SetQueueDepth(int64_t runs);
  /// A node of a run ended. `type` must be a known node type, since it becomes a label.
  void NodeFinished(std::string_view type, Seconds duration);
  /// Commands that nodes ran ended ok, failed or timedOut.
  void ToolCalls(std::string_view result, int64_t calls);
  /// A call of a run to a model ended: answered, replayed (from the record), failed or refused. `model` is a
  /// name of the configuration.
  void ModelCall(std::string_view model, std::string_view result);
  /// What a model was paid for.
  void ModelUsage(std::string_view model, const api::Usage& usage);
  /// `decision` as the gate gave it; what is no known decision counts as "other".
  void GateOutcome(std::string_view decision);
  /// A wait for a person ended: Approve, Reject, Revise or Expired.
  void ApprovalEnded(std::string_view how, Seconds waited);
  void SetWaitingRuns(int64_t runs);
  void LeasesExpired(int64_t leases);
  /// Contents of artifacts that no run named any more.
  void BlobsDeleted(int64_t blobs, int64_t bytes);
  void RestRequest(std::string_view method, std::string_view host, std::string_view code);
  void SetLeader(std::string_view name, bool leading);

 private:
  void RegisterFixed();

  std::shared_ptr<prometheus::Registry> registry_;
  Sync<std::vector<std::function<void()>>> collectors_;
};

/// `count` bounds from `start`, each `factor` times the one before.
std::vector<double> ExponentialBounds(double start, double factor, int count);

}  // namespace ybis::control
