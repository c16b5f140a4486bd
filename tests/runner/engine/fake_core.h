#pragma once
// The control core in memory: leases, checkpoints, recorded model calls, and a kill at any call.
#include <functional>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "runner/report/run_api.h"

namespace ybis::runner {

/// Thrown out of a call to stand for kill -9 at that instruction.
struct Killed {};

/// Keeps one run's record by the rules of the real one. Thread-safe.
class FakeCore final : public RunApi {
 public:
  using Model = std::function<Result<nlohmann::json>(const api::ModelRequest&)>;

  // What the test sets up.
  api::RunOrder order;
  Model model = [](const api::ModelRequest&) { return Fail(ErrorCode::kInvalid, "no model in this test"); };
  int64_t heartbeat_seconds = 60;
  std::function<void(const std::string& node)> on_reported;  ///< after each node's report

  /// Dies at the n-th call that is no heartbeat (from 0): before its effect or after. -1 = never.
  void KillAt(int call, bool after) {
    kill_at_ = call;
    kill_after_ = after;
    calls_ = 0;
    call_names.clear();
  }
  int64_t Take() {
    const std::lock_guard lock(mutex_);
    return ++epoch_;
  }
  /// Ends the wait of a run that has blocked: it may be claimed again, with this decision until the next
  /// checkpoint.
  void Decide(api::DecisionKind kind, const std::string& feedback = {}) {
    decision = api::ApprovalDecision{.decision = kind,
                                     .approvers = {"ada", "bob"},
                                     .reason = "it is fine",
                                     .feedback = feedback,
                                     .subject_digest = finish.value().subject_digest,
                                     .seq = checkpoint.value().seq,
                                     .decided = TimePoint(std::chrono::seconds(1'769'860'800))};
    finish.reset();
  }
  void Cancel() { cancel_ = true; }
  void FailHeartbeats(int times) { failing_heartbeats_ = times; }

  // What the test looks at.
  int Heartbeats() const { return heartbeats_; }
  std::string LastNode() {
    const std::lock_guard lock(mutex_);
    return last_node_;
  }
  std::vector<std::string> call_names;  ///< all but heartbeats, in order
  std::optional<api::Checkpoint> checkpoint;
  std::optional<api::ApprovalDecision> decision;
  std::vector<api::NodeReport> nodes;
  std::map<std::string, std::string> artifacts;
  std::map<std::string, api::EventReport> events;  ///< by key
  std::optional<api::FinishReport> finish;
  std::vector<api::ReleaseReport> releases;
  std::map<std::string, nlohmann::json> model_record;  ///< by idempotency key
  int paid_calls = 0;
  int replayed_calls = 0;
  std::vector<api::ModelRequest> model_requests;

  Result<api::ClaimResponse> Claim(const api::ClaimRequest&, std::stop_token) override {
    return Call<api::ClaimResponse>("claim", [&]() -> Result<api::ClaimResponse> {
      if (finish) return Fail(ErrorCode::kGone, "the run has ended");
      const bool about_it = decision && checkpoint && decision->seq == checkpoint->seq;
      return api::ClaimResponse{.epoch = ++epoch_,
                                .attempt = ++attempt_,
                                .infra_failures = infra_failures_,
                                .heartbeat_seconds = heartbeat_seconds,
                                .order = order,
                                .checkpoint = checkpoint,
                                .decision = about_it ? decision : std::nullopt};
    });
  }
  Result<api::HeartbeatResponse> Heartbeat(const api::HeartbeatRequest& request, std::stop_token) override {
    const std::lock_guard lock(mutex_);
    if (failing_heartbeats_ > 0) {
      --failing_heartbeats_;
      return Fail(ErrorCode::kUnavailable, "connection refused");
    }
    if (request.epoch != epoch_) return Stale();
    ++heartbeats_;
    last_node_ = request.node;
    return api::HeartbeatResponse{.cancel = cancel_};
  }
  Status ReportNode(const api::NodeReport& report, std::stop_token) override {
    Status status = Write("node " + report.node, report.epoch, [&] {
      nodes.push_back(report);
      checkpoint = report.checkpoint;
    });
    if (status && on_reported) on_reported(report.node);
    return status;
  }
  Status RecordEvent(const api::EventReport& report, std::stop_token) override {
    return Write("event", report.epoch, [&] { events.try_emplace(report.key, report); });
  }
  Result<api::ArtifactRef> PutArtifact(int64_t epoch, const std::string& name, const std::string& bytes,
                                       std::stop_token) override {
    const Status status = Write("artifact " + name, epoch, [&] { artifacts[name] = bytes; });
    if (!status) return Fail(status.error());
    return api::ArtifactRef{.name = name, .size = static_cast<int64_t>(bytes.size())};
  }
  Result<std::string> GetArtifact(const std::string& name, std::stop_token) override {
    return Call<std::string>("get artifact", [&]() -> Result<std::string> {
      const auto it = artifacts.find(name);
      if (it == artifacts.end()) return Fail(ErrorCode::kNotFound, "no artifact " + name);
      return it->second;
    });
  }
  Result<api::ModelResponse> CallModel(const api::ModelRequest& request, std::stop_token stop) override {
    return Call<api::ModelResponse>("model", [&]() -> Result<api::ModelResponse> {
      if (stop.stop_requested()) return Fail(ErrorCode::kCancelled, "stopped");
      if (request.epoch != epoch_) return Stale();
      model_requests.push_back(request);
      const std::string key =
          fmt::format("{}/{}/{}/{}", request.node, request.visit, request.call, request.RequestDigest());
      const bool known = model_record.contains(key);
      if (!known) {
        auto answer = model(request);
        if (!answer) return Fail(answer.error());
        model_record[key] = std::move(*answer);
      }
      ++(known ? replayed_calls : paid_calls);
      const nlohmann::json& answer = model_record[key];
      return api::ModelResponse{
          .content = answer.dump(),
          .answer = std::make_shared<const nlohmann::json>(answer),
          .model = "fake",
          .usage = {.tokens_in = 10, .tokens_out = 5, .cost_usd = 0.001, .llm_calls = 1},
          .replayed = known};
    });
  }
  Status Finish(const api::FinishReport& report, std::stop_token) override {
    return Write("finish", report.epoch, [&] { finish = report; });
  }
  Status Release(const api::ReleaseReport& report, std::stop_token) override {
    return Write("release", report.epoch, [&] {
      releases.push_back(report);
      infra_failures_ += report.failed ? 1 : 0;
    });
  }

 private:
  static Unexpected Stale() { return Fail(Error{.code = ErrorCode::kStale, .message = "another epoch"}); }

  template <class T, class Body>
  Result<T> Call(const std::string& name, Body body) {
    const int call = calls_++;
    call_names.push_back(name);
    if (call == kill_at_ && !kill_after_) throw Killed();
    Result<T> result = [&] {
      const std::lock_guard lock(mutex_);
      return body();
    }();
    if (call == kill_at_ && kill_after_) throw Killed();
    return result;
  }
  template <class Body>
  Status Write(const std::string& name, int64_t epoch, Body body) {
    return Call<void>(name, [&]() -> Status {
      if (epoch != epoch_) return Stale();
      body();
      return {};
    });
  }

  std::mutex mutex_;
  int64_t epoch_ = 0;
  int64_t attempt_ = 0;
  int64_t infra_failures_ = 0;
  std::atomic<int> calls_ = 0;
  int kill_at_ = -1;
  bool kill_after_ = false;
  std::atomic<int> heartbeats_ = 0;
  std::atomic<int> failing_heartbeats_ = 0;
  std::atomic<bool> cancel_ = false;
  std::string last_node_;
};

}  // namespace ybis::runner
