#include "operator/health.h"

#include "base/log.h"

namespace ybis::op {
namespace {

http::Response Ready(const std::vector<ReadyCheck>& checks, std::stop_token stop) {
  std::string text;
  bool ready = true;
  for (const ReadyCheck& check : checks) {
    const Status status = check.check(stop);
    ready = ready && status.has_value();
    text += fmt::format("[{}] {}{}\n", status ? "+" : "-", check.name,
                        status ? " ok" : ": " + status.error().message);
  }
  return http::TextResponse(log::Redact(text), ready ? 200 : 503);
}

}  // namespace

void AddHealthRoutes(http::Router& router, control::Metrics& metrics, std::vector<ReadyCheck> checks) {
  router.Add("GET", "/livez",
             [](const http::Request&, std::stop_token) { return http::TextResponse("ok\n"); });
  router.Add("GET", "/readyz", [checks = std::move(checks)](const http::Request&, std::stop_token stop) {
    return Ready(checks, std::move(stop));
  });
  router.Add("GET", "/metrics", [&metrics](const http::Request&, std::stop_token) {
    http::Response response;
    response.headers["Content-Type"] = "text/plain; version=0.0.4; charset=utf-8";
    response.body = metrics.Serialize();
    return response;
  });
}

}  // namespace ybis::op
