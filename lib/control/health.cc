#include "control/health.h"

#include <fmt/format.h>
#include <prometheus/gauge.h>

#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "base/log.h"
#include "control/metrics.h"

namespace ybis::control {

std::string_view ToString(HealthGrade grade) {
  if (grade == HealthGrade::kOk) return "ok";
  return grade == HealthGrade::kWarning ? "warning" : "broken";
}

namespace {

/// A check that throws is a bug of the check, and no reason to end the process that it watches.
HealthFinding Looked(const HealthCheck& check, const std::stop_token& stop) {
  try {
    return check(stop);
  } catch (const std::exception& failure) {
    return {"check", "", HealthGrade::kBroken,
            fmt::format("a health check failed itself: {}", failure.what()), "report this as a bug"};
  }
}

}  // namespace

std::vector<HealthFinding> RunHealthChecks(const std::vector<HealthCheck>& checks, std::stop_token stop) {
  std::vector<HealthFinding> findings(checks.size());
  std::vector<std::jthread> threads;
  for (size_t i = 0; i < checks.size(); ++i) {
    threads.emplace_back([&, i] { findings[i] = Looked(checks[i], stop); });
  }
  threads.clear();
  return findings;
}

HealthMonitor::HealthMonitor(std::vector<HealthCheck> checks, std::chrono::milliseconds interval,
                             Metrics& metrics)
    : checks_(std::move(checks)), interval_(interval), metrics_(metrics) {
  thread_ = std::jthread([this](std::stop_token stop) { Look(std::move(stop)); });
}

std::vector<HealthFinding> HealthMonitor::Latest() { return *latest_.Lock(); }

void HealthMonitor::Look(std::stop_token stop) {
  while (!stop.stop_requested()) {
    std::vector<HealthFinding> now = RunHealthChecks(checks_, stop);
    if (stop.stop_requested()) return;
    const std::vector<HealthFinding> before = std::exchange(*latest_.Lock(), now);
    Tell(before, now);
    if (!SystemClock().SleepFor(interval_, stop)) return;
  }
}

void HealthMonitor::Tell(const std::vector<HealthFinding>& before, const std::vector<HealthFinding>& now) {
  for (size_t i = 0; i < now.size(); ++i) {
    const HealthFinding& found = now[i];
    Labels labels = {{"check", found.check}};
    if (!found.name.empty()) labels["name"] = found.name;
    metrics_.GaugeOf("ybis_health_check", "The newest look at each thing: 0 ok, 1 warning, 2 broken.", labels)
        .Set(static_cast<double>(found.grade));
    const HealthGrade last = before.empty() ? HealthGrade::kOk : before[i].grade;
    if (last == found.grade) continue;
    const nlohmann::json fields = {{"check", found.check},
                                   {"name", found.name},
                                   {"grade", std::string(ToString(found.grade))},
                                   {"message", found.message},
                                   {"remedy", found.remedy}};
    if (found.grade == HealthGrade::kOk) {
      log::Info("health check recovered", fields);
    } else {
      log::Warn("health check", fields);
    }
  }
}

}  // namespace ybis::control
