#include "control/health_routes.h"

#include <fmt/format.h>

#include "base/log.h"
#include "control/health.h"
#include "kube/deadline_stop.h"

namespace ybis::control {
namespace {

// A probe gives up after a second or two: an answer that comes later helps nobody and holds a worker.
constexpr std::chrono::milliseconds kReadyWithin{1000};

/// What is amiss but decides nothing.
std::string Remarks(HealthMonitor* monitor) {
  std::string text;
  if (monitor == nullptr) return text;
  for (const HealthFinding& finding : monitor->Latest()) {
    if (finding.grade == HealthGrade::kOk) continue;
    text += fmt::format("[!] {}{}{}: {}\n", finding.check, finding.name.empty() ? "" : " ", finding.name,
                        finding.message);
  }
  return text;
}

std::string Why(const Error& error) {
  return error.code == ErrorCode::kCancelled ? "no answer in time" : error.message;
}

http::Response Ready(const std::vector<ReadyCheck>& checks, HealthMonitor* monitor, std::stop_token stop) {
  const kube::DeadlineStop deadline(std::move(stop), kReadyWithin);
  std::string text;
  bool ready = true;
  for (const ReadyCheck& check : checks) {
    const Status status = check.check(deadline.Token());
    ready = ready && status.has_value();
    text += fmt::format("[{}] {}{}\n", status ? "+" : "-", check.name,
                        status ? " ok" : ": " + Why(status.error()));
  }
  return http::TextResponse(log::Redact(text + Remarks(monitor)), ready ? 200 : 503);
}

}  // namespace

void AddHealthRoutes(http::Router& router, Metrics& metrics, std::vector<ReadyCheck> checks,
                     HealthMonitor* monitor) {
  router.Add("GET", "/livez",
             [](const http::Request&, std::stop_token) { return http::TextResponse("ok\n"); });
  // On workers of its own: a database that hangs must not keep /livez waiting, which would end every replica.
  http::RouteOptions waits;
  waits.long_running = true;
  router.Add(
      "GET", "/readyz",
      [checks = std::move(checks), monitor](const http::Request&, std::stop_token stop) {
        return Ready(checks, monitor, std::move(stop));
      },
      std::move(waits));
  router.Add("GET", "/metrics", [&metrics](const http::Request&, std::stop_token) {
    http::Response response;
    response.headers["Content-Type"] = "text/plain; version=0.0.4; charset=utf-8";
    response.body = metrics.Serialize();
    return response;
  });
}

Result<std::unique_ptr<http::Server>> ServeHealth(const http::ListenAddress& listen, http::Router router) {
  http::ServerSettings settings;
  settings.listen = {listen};
  settings.workers = 4;
  settings.long_workers = 4;
  settings.max_connections = 64;
  return http::Server::Start(std::move(settings), std::move(router));
}

}  // namespace ybis::control
