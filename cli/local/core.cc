#include "cli/local/core.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>

#include <nlohmann/json.hpp>

#include "base/unique_fd.h"

namespace ybis::cli {

using namespace std::chrono_literals;

namespace {

constexpr auto kYoung = 5s;  // from making a socket to listening on it

bool Answers(const std::string& path) {
  sockaddr_un to{};
  to.sun_family = AF_UNIX;
  if (path.size() >= sizeof(to.sun_path)) return true;
  std::memcpy(to.sun_path, path.data(), path.size());
  const UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  return ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&to), sizeof(to)) == 0;
}

/// Killed workers leave theirs behind. Young ones stay: they may be about to listen.
void RemoveDeadSockets(const std::filesystem::path& folder) {
  std::error_code ignored;
  const auto young = std::filesystem::file_time_type::clock::now() - kYoung;
  for (const auto& entry : std::filesystem::directory_iterator(folder, ignored)) {
    if (entry.is_socket(ignored) && entry.last_write_time(ignored) < young && !Answers(entry.path())) {
      std::filesystem::remove(entry.path(), ignored);
    }
  }
}

}  // namespace

Result<control::AuthVerdict> ProcessTokens::Authenticate(std::string_view token, const std::string& run_id,
                                                         const std::string& peer, std::stop_token stop) {
  YBIS_ASSIGN(control::AuthVerdict verdict, tokens_.Authenticate(token, run_id, peer, std::move(stop)));
  if (verdict.kind == control::AuthVerdict::Kind::kAllowed) verdict.holder = holder_;
  return verdict;
}

ControlCore::ControlCore(Session& session, const control::Config& config, const std::string& holder,
                         control::Metrics& metrics)
    : ledger_(session.pool(), {.lease = std::chrono::seconds(config.lease.lease_seconds),
                               .heartbeat = std::chrono::seconds(config.lease.heartbeat_seconds)}),
      stored_runs_(ledger_),
      runs_(stored_runs_, metrics),
      model_metrics_(metrics),
      calls_(session.pool()),
      records_(calls_),
      terms_(ledger_),
      tokens_(holder) {}

ControlCore::~ControlCore() {
  if (server_) server_->Stop(2s);
  std::error_code ignored;
  std::filesystem::remove(socket_, ignored);
}

Result<std::unique_ptr<ControlCore>> ControlCore::Start(Session& session, const control::Config& config,
                                                        const std::string& holder, const std::string& name,
                                                        control::Metrics& metrics) {
  std::unique_ptr<ControlCore> core(new ControlCore(session, config, holder, metrics));
  YBIS_ASSIGN(core->models_,
              model::ModelSet::Make(control::ModelSettingsOf(config), SystemClock(), core->model_metrics_));
  core->gateway_.emplace(*core->models_, core->records_, core->terms_, SystemClock(), core->model_metrics_,
                         control::GatewaySettingsOf(config));
  RemoveDeadSockets(session.folders().Sockets());
  core->socket_ = session.folders().Sockets() / (name + ".sock");
  http::Router router;
  control::AddRunApi(router, {core->runs_, *core->gateway_, core->tokens_});
  YBIS_ASSIGN(core->server_,
              http::Server::Start({.listen = {{.unix_path = core->socket_}}}, std::move(router)));
  return core;
}

}  // namespace ybis::cli
