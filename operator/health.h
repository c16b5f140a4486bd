#pragma once
// /metrics, /livez and /readyz.
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "control/metrics.h"
#include "http/server_router.h"

namespace ybis::op {

/// One thing that must hold before this replica can be of use.
struct ReadyCheck {
  std::string name;
  std::function<Status(std::stop_token)> check;  ///< quick; called for each probe
};

/// Adds the routes; what they refer to must outlive the server. /readyz answers 503 and names what is
/// missing.
void AddHealthRoutes(http::Router& router, control::Metrics& metrics, std::vector<ReadyCheck> checks);

}  // namespace ybis::op
