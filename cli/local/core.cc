#include "cli/local/core.h"

#include <unistd.h>

#include <nlohmann/json.hpp>

namespace ybis::cli {

using namespace std::chrono_literals;

Result<control::AuthVerdict> ProcessTokens::Authenticate(std::string_view token, const std::string& run_id,
                                                         std::stop_token stop) {
  YBIS_ASSIGN(control::AuthVerdict verdict, tokens_.Authenticate(token, run_id, std::move(stop)));
  if (verdict.kind == control::AuthVerdict::Kind::kAllowed) verdict.holder = holder_;
  return verdict;
}

ControlCore::ControlCore(Session& session, const control::Config& config, const std::string& holder,
                         std::unique_ptr<model::ModelSet> models)
    : ledger_(session.pool(), {.lease = std::chrono::seconds(config.lease.lease_seconds),
                               .heartbeat = std::chrono::seconds(config.lease.heartbeat_seconds)}),
      runs_(ledger_),
      calls_(session.pool()),
      records_(calls_, session.pool()),
      terms_(ledger_),
      models_(std::move(models)),
      gateway_(*models_, records_, terms_, SystemClock(), model::NoObserver(),
               control::GatewaySettingsOf(config)),
      tokens_(holder),
      api_{runs_, gateway_, tokens_} {}

ControlCore::~ControlCore() {
  if (server_) server_->Stop(2s);
  std::error_code ignored;
  std::filesystem::remove(socket_, ignored);
}

Result<std::unique_ptr<ControlCore>> ControlCore::Start(Session& session, const control::Config& config,
                                                        const std::string& holder, const std::string& name) {
  YBIS_ASSIGN(auto models,
              model::ModelSet::Make(control::ModelSettingsOf(config), SystemClock(), model::NoObserver()));
  std::unique_ptr<ControlCore> core(new ControlCore(session, config, holder, std::move(models)));
  core->socket_ = session.folders().Sockets() / (name + ".sock");
  http::Router router;
  control::AddRunApi(router, core->api_);
  YBIS_ASSIGN(core->server_,
              http::Server::Start({.listen = {{.unix_path = core->socket_}}}, std::move(router)));
  return core;
}

}  // namespace ybis::cli
