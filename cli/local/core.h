#pragma once
// The control core in this process: record, model gateway and the Run API on a Unix socket.
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "cli/local/session.h"
#include "control/llm_calls.h"
#include "control/metrics_hooks.h"
#include "control/model_gateway.h"
#include "control/run_api_server.h"
#include "control/run_ledger.h"
#include "control/token_auth.h"
#include "http/server.h"
#include "model/model_set.h"

namespace ybis::cli {

/// Runners prove themselves by their run's token; whoever does holds the lease in this process' name, so that
/// others can see whether it still lives. Thread-safe.
class ProcessTokens final : public control::RunAuthenticator {
 public:
  explicit ProcessTokens(std::string holder) : holder_(std::move(holder)) {}
  std::string Issue(const std::string& run_id) { return tokens_.Issue(run_id); }
  void Revoke(const std::string& run_id) { tokens_.Revoke(run_id); }
  Result<control::AuthVerdict> Authenticate(std::string_view token, const std::string& run_id,
                                            const std::string& peer, std::stop_token stop) override;

 private:
  std::string holder_;
  control::LocalTokens tokens_;
};

/// Serves from Start until destroyed; session and metrics must outlive it. Thread-safe.
class ControlCore {
 public:
  /// `name` makes the socket's file unique: "<data>/sockets/<name>.sock", mode 0600.
  static Result<std::unique_ptr<ControlCore>> Start(Session& session, const control::Config& config,
                                                    const std::string& holder, const std::string& name,
                                                    control::Metrics& metrics);
  ~ControlCore();

  std::string api_url() const { return "unix:" + socket_.string(); }
  control::RunLedger& ledger() { return ledger_; }
  ProcessTokens& tokens() { return tokens_; }

 private:
  ControlCore(Session& session, const control::Config& config, const std::string& holder,
              control::Metrics& metrics);

  std::filesystem::path socket_;
  control::RunLedger ledger_;
  control::StoredRunService stored_runs_;
  control::CountingRunService runs_;
  control::ModelMetrics model_metrics_;
  control::LlmCalls calls_;
  control::StoredCallRecords records_;
  control::StoredRunTerms terms_;
  std::unique_ptr<model::ModelSet> models_;
  std::optional<control::ModelGateway> gateway_;
  ProcessTokens tokens_;
  std::unique_ptr<http::Server> server_;
};

}  // namespace ybis::cli
