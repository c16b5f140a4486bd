#include "operator/runtime/controller.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>

#include <nlohmann/json.hpp>

#include "base/log.h"

namespace ybis::op {
namespace {

constexpr char kReconciles[] = "controller_runtime_reconcile_total";
constexpr char kReconcilesHelp[] = "Total number of reconciliations per controller";

WorkQueueSettings Named(WorkQueueSettings queue, const std::string& name) {
  queue.name = name;
  return queue;
}

const std::vector<double>& ReconcileBounds() {
  static const std::vector<double> bounds = {0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3,  0.35,
                                             0.4,   0.45, 0.5,   0.6,  0.7, 0.8,  0.9, 1,    1.25, 1.5,
                                             2,     2.5,  3,     4,    5,   10,   20,  30,   60};
  return bounds;
}

}  // namespace

/// Names and help texts are controller-runtime's, so that existing dashboards fit.
struct Controller::Instruments {
  Instruments(control::Metrics& metrics, const ControllerSettings& settings)
      : success(metrics.CounterOf(kReconciles, kReconcilesHelp, Labels(settings, "success"))),
        error(metrics.CounterOf(kReconciles, kReconcilesHelp, Labels(settings, "error"))),
        requeue_after(metrics.CounterOf(kReconciles, kReconcilesHelp, Labels(settings, "requeue_after"))),
        errors(metrics.CounterOf("controller_runtime_reconcile_errors_total",
                                 "Total number of reconciliation errors per controller",
                                 {{"controller", settings.name}})),
        seconds(metrics.HistogramOf("controller_runtime_reconcile_time_seconds",
                                    "Length of time per reconciliation per controller",
                                    {{"controller", settings.name}}, ReconcileBounds())),
        active(metrics.GaugeOf("controller_runtime_active_workers",
                               "Number of currently used workers per controller",
                               {{"controller", settings.name}})) {
    metrics
        .GaugeOf("controller_runtime_max_concurrent_reconciles",
                 "Maximum number of concurrent reconciles per controller", {{"controller", settings.name}})
        .Set(settings.workers);
  }

  static control::Labels Labels(const ControllerSettings& settings, const char* result) {
    return {{"controller", settings.name}, {"result", result}};
  }

  prometheus::Counter& success;
  prometheus::Counter& error;
  prometheus::Counter& requeue_after;
  prometheus::Counter& errors;
  prometheus::Histogram& seconds;
  prometheus::Gauge& active;
};

Controller::Controller(ControllerSettings settings, Reconciler& reconciler, control::Metrics& metrics)
    : settings_(std::move(settings)),
      reconciler_(reconciler),
      instruments_(std::make_unique<Instruments>(metrics, settings_)),
      queue_(Named(settings_.queue, settings_.name), metrics) {}

Controller::~Controller() { Stop(std::chrono::milliseconds(0)); }

void Controller::Start() {
  for (int i = 0; i < settings_.workers; ++i) {
    workers_.emplace_back([this](std::stop_token stop) { Work(stop); });
  }
}

void Controller::Stop(std::chrono::milliseconds drain) {
  queue_.ShutDown();
  queue_.WaitIdle(drain);
  for (auto& worker : workers_) worker.request_stop();
  workers_.clear();
}

void Controller::Work(std::stop_token stop) {
  while (const auto key = queue_.Get(stop)) {
    ReconcileOne(*key, stop);
    queue_.Done(*key);
  }
}

void Controller::ReconcileOne(const kube::Key& key, std::stop_token stop) {
  instruments_->active.Increment();
  const auto started = std::chrono::steady_clock::now();
  const auto result = Guarded(key, stop);
  instruments_->seconds.Observe(
      std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count());
  instruments_->active.Decrement();
  Settle(key, result);
}

/// The one catch-all of a worker: an exception is a bug, but one object's bug must not stop the others' work.
Result<ReconcileResult> Controller::Guarded(const kube::Key& key, std::stop_token stop) {
  try {
    return reconciler_.Reconcile(key, stop);
  } catch (const std::exception& exception) {
    return Fail(ErrorCode::kInternal, fmt::format("unexpected: {}", exception.what()));
  }
}

void Controller::Settle(const kube::Key& key, const Result<ReconcileResult>& result) {
  if (!result) {
    if (result.error().code == ErrorCode::kCancelled) return;
    instruments_->error.Increment();
    instruments_->errors.Increment();
    // A lost race is everyday business: the newer state comes by the watch.
    const bool lost_race = result.error().code == ErrorCode::kConflict;
    (lost_race ? log::Debug : log::Warn)("reconcile failed", {{"controller", settings_.name},
                                                              {"key", key.ToString()},
                                                              {"code", ToString(result.error().code)},
                                                              {"error", result.error().message},
                                                              {"failures", queue_.Failures(key) + 1}});
    queue_.AddRateLimited(key, result.error().retry_after);
    return;
  }
  queue_.Forget(key);
  if (result->requeue_after) {
    instruments_->requeue_after.Increment();
    queue_.AddAfter(key, *result->requeue_after);
  } else {
    instruments_->success.Increment();
  }
}

void StopTogether(const std::vector<Controller*>& controllers, std::chrono::milliseconds drain,
                  const std::function<void()>& interrupt) {
  for (Controller* controller : controllers) controller->Queue().ShutDown();
  const auto until = std::chrono::steady_clock::now() + drain;
  for (Controller* controller : controllers) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
    controller->Queue().WaitIdle(std::max(left, std::chrono::milliseconds(0)));
  }
  interrupt();
  for (Controller* controller : controllers) controller->Stop(std::chrono::milliseconds(0));
}

}  // namespace ybis::op
