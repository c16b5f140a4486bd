#pragma once
// Whether everything that runs need is there: one line a thing, for `ybis health`, /readyz and metrics.
#include <chrono>
#include <functional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "base/sync.h"

namespace ybis::control {

class Metrics;

/// kWarning: works, but look at it. kBroken: runs will fail or wait.
enum class HealthGrade { kOk, kWarning, kBroken };
std::string_view ToString(HealthGrade grade);  ///< ok, warning, broken

/// What one look at one thing found.
struct HealthFinding {
  std::string check;  ///< database, migrations, disk, model, …: few and fixed, since it becomes a label
  std::string name;   ///< which one of several, e.g. of a model; may be empty
  HealthGrade grade = HealthGrade::kOk;
  std::string message;  ///< how it stands
  std::string remedy;   ///< what to do about it; empty when it is well
};

/// Looks at one thing; must end within a few seconds, or when asked to stop.
using HealthCheck = std::function<HealthFinding(std::stop_token)>;

/// All of them at once, each in a thread of its own; the answers are in the order of the checks.
std::vector<HealthFinding> RunHealthChecks(const std::vector<HealthCheck>& checks, std::stop_token stop);

/// Looks again and again and keeps the newest findings; each becomes the gauge
/// ybis_health_check{check,name} (0 ok, 1 warning, 2 broken), and a change of grade a line in the log.
/// Thread-safe; what the checks refer to must outlive it.
class HealthMonitor {
 public:
  HealthMonitor(std::vector<HealthCheck> checks, std::chrono::milliseconds interval, Metrics& metrics);
  ~HealthMonitor() = default;
  HealthMonitor(const HealthMonitor&) = delete;
  HealthMonitor& operator=(const HealthMonitor&) = delete;

  /// Empty until the first look has ended.
  std::vector<HealthFinding> Latest();

 private:
  void Look(std::stop_token stop);
  void Tell(const std::vector<HealthFinding>& before, const std::vector<HealthFinding>& now);

  std::vector<HealthCheck> checks_;
  std::chrono::milliseconds interval_;
  Metrics& metrics_;
  Sync<std::vector<HealthFinding>> latest_;
  std::jthread thread_;
};

}  // namespace ybis::control
