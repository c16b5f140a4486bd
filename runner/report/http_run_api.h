#pragma once
// The Run API over HTTP.
#include <filesystem>

#include "http/client.h"
#include "runner/report/retry.h"
#include "runner/report/run_api.h"

namespace ybis::runner {

struct RunApiSettings {
  std::string base_url;  ///< e.g. https://ybis-operator.ybis.svc:8443
  std::string run_id;
  std::filesystem::path token_file;  ///< read again for each request, since it is rotated
  /// How long a call is repeated while the control core cannot be reached: it may be restarting.
  RetrySettings retry;
  /// How long a call is repeated that the control core itself answers with "try later" (its database is
  /// away).
  Duration answered_bound{std::chrono::minutes(3)};
  /// The same of a model call: the gateway has tried for long already, so it is asked once more when the
  /// pause of an endpoint that failed repeatedly is over. Then the run is given back, and its next attempt
  /// comes later.
  Duration model_answered_bound{std::chrono::minutes(1)};
  Duration call_timeout{std::chrono::seconds(30)};
  Duration model_timeout{
      std::chrono::minutes(10)};  ///< of one model call, the gateway's own retries included
};

/// RunApi over a Transport. Repeats whatever may succeed later; a 409 Stale is returned at once. Thread-safe;
/// the transport and the clock must outlive it.
class HttpRunApi final : public RunApi {
 public:
  HttpRunApi(RunApiSettings settings, http::Transport& transport, Clock& clock);

  Result<api::ClaimResponse> Claim(const api::ClaimRequest& request, std::stop_token stop) override;
  Result<api::HeartbeatResponse> Heartbeat(const api::HeartbeatRequest& request,
                                           std::stop_token stop) override;
  Status ReportNode(const api::NodeReport& report, std::stop_token stop) override;
  Status RecordEvent(const api::EventReport& report, std::stop_token stop) override;
  Result<api::ArtifactRef> PutArtifact(int64_t epoch, const std::string& name, const std::string& bytes,
                                       std::stop_token stop) override;
  Result<std::string> GetArtifact(const std::string& name, std::stop_token stop) override;
  Result<api::ModelResponse> CallModel(const api::ModelRequest& request, std::stop_token stop) override;
  Status Finish(const api::FinishReport& report, std::stop_token stop) override;
  Status Release(const api::ReleaseReport& report, std::stop_token stop) override;

 private:
  struct Call {
    std::string method = "POST";
    std::string path;  ///< below /v1/runs/{id}/
    std::string body;
    std::string content_type = "application/json";
    Duration timeout{0};
    Duration bound{0};           ///< while nobody answers
    Duration answered_bound{0};  ///< while the answer is "later"
    bool pooled = true;
  };

  Call Post(std::string path, const nlohmann::json& body) const;
  /// One try: the body of a 2xx answer, or the error that the answer tells.
  Result<std::string> Once(const Call& call, std::stop_token stop, bool& answered);
  Result<std::string> Send(const Call& call, std::stop_token stop);
  Result<nlohmann::json> SendJson(const Call& call, std::stop_token stop);

  RunApiSettings settings_;
  http::Transport& transport_;
  Clock& clock_;
};

}  // namespace ybis::runner
