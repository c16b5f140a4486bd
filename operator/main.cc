// ybis-operator.
#include <malloc.h>

#include <csignal>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <stop_token>
#include <thread>

#include "base/log.h"
#include "base/version.h"
#include "http/client.h"
#include "kube/config.h"
#include "operator/options.h"
#include "operator/wiring.h"

namespace {

using namespace ybis;

/// Signals are taken by one thread that waits for them; all others have them blocked from the start.
sigset_t BlockSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  return signals;
}

/// Requests the stop on the first signal; a second one ends the process.
void WatchSignals(const sigset_t& signals, std::stop_source source, std::stop_token ending) {
  while (!ending.stop_requested()) {
    const timespec wait{0, 100'000'000};
    const int signal = sigtimedwait(&signals, nullptr, &wait);
    if (signal < 0) continue;
    if (source.stop_requested()) std::_Exit(128 + signal);
    source.request_stop();
  }
}

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
  const sigset_t signals = BlockSignals();
  auto options = op::ReadOptions(argc, argv, kube::ProcessEnvironment());
  if (const auto* ending = std::get_if<op::ExitNow>(&options)) return ending->code;
  http::InitThreads();
  auto& given = std::get<op::Options>(options);
  log::Init(log::LevelFromName(given.config.log_level),
            given.config.log_format == "json" ? log::Format::kJson : log::Format::kText);
  std::stop_source source;
  std::jthread watcher([&](std::stop_token ending) { WatchSignals(signals, source, ending); });
  const Status status = RunOperator(std::move(given), source.get_token());
  if (status || source.stop_requested()) {
    log::Info("stopped", nlohmann::json::object());
    return 0;
  }
  std::fprintf(stderr, "ybis-operator: %s\n", log::Redact(status.error().message).c_str());
  return 1;
}
