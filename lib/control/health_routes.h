#pragma once
// /metrics, /livez and /readyz, as the operator and local workers serve them.
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "control/metrics.h"
#include "http/server.h"
#include "http/server_router.h"

namespace ybis::control {

class HealthMonitor;

/// One thing that must hold before this process can be of use.
struct ReadyCheck {
  std::string name;
  /// Called for each probe; stopped when it has no answer within 1 s.
  std::function<Status(std::stop_token)> check;
};

/// Adds the routes; what they refer to must outlive the server. /readyz answers 503 and names what is
/// missing. What `monitor` (may be null) has found stands below as "[!]" lines, and decides nothing: a model
/// endpoint or a full disk elsewhere is no reason to take the Run API away from runs under way.
void AddHealthRoutes(http::Router& router, Metrics& metrics, std::vector<ReadyCheck> checks,
                     HealthMonitor* monitor = nullptr);

/// A small server of these routes alone.
Result<std::unique_ptr<http::Server>> ServeHealth(const http::ListenAddress& listen, http::Router router);

}  // namespace ybis::control
