// ybis-operator.
#include <malloc.h>

#include <cstdio>
#include <nlohmann/json.hpp>
#include <stop_token>

#include "base/log.h"
#include "base/stop_signals.h"
#include "base/version.h"
#include "http/client.h"
#include "kube/config.h"
#include "operator/options.h"
#include "operator/wiring.h"

namespace {

using namespace ybis;

Status RunOperator(op::Options options, std::stop_token stop) {
  kube::KubeconfigOptions kubeconfig;
  if (!options.kubeconfig.empty()) kubeconfig.files = {options.kubeconfig};
  kubeconfig.context = options.context;
  YBIS_ASSIGN(auto connection,
              options.kubeconfig.empty()
                  ? kube::FindConnection(kubeconfig, SystemClock(), stop)
                  : kube::KubeconfigConnection(kubeconfig, kube::ProcessEnvironment(), SystemClock(), stop));
  log::Info("starting",
            {{"version", kYbisVersion}, {"server", connection.server}, {"profile", options.config.profile}});
  YBIS_ASSIGN(const auto made, op::Operator::Make(std::move(options), std::move(connection), SystemClock()));
  return made->Run(stop);
}

}  // namespace

int main(int argc, char** argv) {
  // Many threads that each do little: two arenas hold a third of the memory that one a thread would.
  mallopt(M_ARENA_MAX, 2);
  const StopOnSignals signals({.second_ends = true, .ignore_sigpipe = true});
  auto options = op::ReadOptions(argc, argv, kube::ProcessEnvironment());
  if (const auto* ending = std::get_if<op::ExitNow>(&options)) return ending->code;
  http::InitThreads();
  auto& given = std::get<op::Options>(options);
  log::Init(log::LevelFromName(given.config.log_level),
            given.config.log_format == "json" ? log::Format::kJson : log::Format::kText);
  const Status status = RunOperator(std::move(given), signals.token());
  if (status || signals.token().stop_requested()) {
    log::Info("stopped", nlohmann::json::object());
    return 0;
  }
  std::fprintf(stderr, "ybis-operator: %s\n", log::Redact(status.error().message).c_str());
  return 1;
}
