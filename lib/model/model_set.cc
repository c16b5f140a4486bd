#include "model/model_set.h"

#include <random>

#include "base/log.h"
#include "http/url.h"
#include "model/openai_provider.h"
#include "model/replay_provider.h"
#include "model/throttle.h"

#include <nlohmann/json.hpp>

namespace ybis::model {
namespace {

using std::chrono::milliseconds;

class SilentObserver final : public ModelObserver {
 public:
  void OnAttempt(std::string_view, std::string_view, milliseconds) override {}
  void OnRetry(std::string_view) override {}
  void OnFallback(std::string_view, std::string_view) override {}
  void OnCircuit(std::string_view, bool) override {}
  void OnReask(std::string_view) override {}
  void OnUsage(std::string_view, const api::Usage&) override {}
  void OnCall(std::string_view, std::string_view) override {}
};

/// Whether the failure says that the endpoint is down, not merely that it refused this.
bool IsOutage(ErrorCode code) { return code == ErrorCode::kUnavailable || code == ErrorCode::kTimeout; }

/// Whether the endpoint may have answered, and counted it, without our having the answer.
bool MayBePaid(ErrorCode code) { return code == ErrorCode::kTimeout || code == ErrorCode::kTooLarge; }

/// Exponential with full jitter above half, so that many callers do not come back at once.
milliseconds Backoff(const ModelSettings& settings, int64_t attempt) {
  thread_local std::minstd_rand random{std::random_device{}()};
  const int64_t base = settings.first_backoff.count() << std::min<int64_t>(attempt - 1, 20);
  const int64_t capped = std::min<int64_t>(base, settings.max_backoff.count());
  return milliseconds(std::uniform_int_distribution<int64_t>(capped / 2, capped)(random));
}

Unexpected Named(const std::string& name, Error error) {
  return FailIn(fmt::format("model '{}'", name), std::move(error));
}

}  // namespace

ModelObserver& NoObserver() {
  static SilentObserver observer;
  return observer;
}

struct Model::State {
  State(const ModelSettings& settings, Clock& clock)
      : bucket(settings.requests_per_minute, clock),
        breaker(settings.circuit_failures, settings.circuit_pause, clock) {}
  TokenBucket bucket;
  CircuitBreaker breaker;
  Sync<int64_t> busy{0};
};

Model::Model(ModelSettings settings, std::unique_ptr<Provider> provider, Clock& clock,
             ModelObserver& observer)
    : settings_(std::move(settings)),
      provider_(std::move(provider)),
      clock_(clock),
      observer_(observer),
      state_(std::make_unique<State>(settings_, clock)) {}

Model::~Model() = default;

double Model::CostUsd(int64_t tokens_in, int64_t tokens_out) const {
  return (static_cast<double>(tokens_in) * settings_.input_usd_per_million_tokens +
          static_cast<double>(tokens_out) * settings_.output_usd_per_million_tokens) /
         1e6;
}

Result<Completion> Model::Complete(const CompletionRequest& request, std::stop_token stop) {
  return CompleteBy(request, clock_.Now() + std::chrono::hours(1), stop);
}

Result<Completion> Model::CompleteBy(const CompletionRequest& request, TimePoint deadline,
                                     std::stop_token stop, const Unanswered& unanswered) {
  for (int64_t attempt = 1;; ++attempt) {
    if (const auto open = state_->breaker.Blocked()) {
      Error error =
          Fail(ErrorCode::kUnavailable, "its endpoint failed repeatedly and is left alone for a while")
              .value();
      error.retry_after = *open;
      return Named(settings_.name, std::move(error));
    }
    bool asked = false;
    auto completion = Attempt(request, deadline, stop, asked);
    if (completion) return completion;
    const Error& error = completion.error();
    const milliseconds wait = std::max(Backoff(settings_, attempt), error.retry_after);
    const bool again = error.retryable && attempt < settings_.max_attempts && clock_.Now() + wait < deadline;
    if (asked && MayBePaid(error.code) && unanswered) YBIS_TRY(unanswered(again));
    if (!again) return Named(settings_.name, error);
    log::Warn(
        "a model call is repeated",
        {{"model", settings_.name}, {"attempt", attempt}, {"waitMs", wait.count()}, {"why", error.message}});
    observer_.OnRetry(settings_.name);
    if (!clock_.SleepFor(wait, stop)) return Fail(ErrorCode::kCancelled, "stopped");
  }
}

namespace {

/// Gives a place back at the end of its life.
class Place {
 public:
  explicit Place(Sync<int64_t>& busy) : busy_(busy) {}
  ~Place() {
    --*busy_.Lock();
    busy_.NotifyOne();
  }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;

 private:
  Sync<int64_t>& busy_;
};

}  // namespace

Result<Completion> Model::Attempt(const CompletionRequest& request, TimePoint deadline, std::stop_token stop,
                                  bool& asked) {
  const auto skip = [this](ErrorCode code, std::string message) {
    state_->breaker.Skipped();
    return Fail(code, std::move(message));
  };
  const auto left = [&] { return std::chrono::duration_cast<milliseconds>(deadline - clock_.Now()); };
  {
    auto busy = state_->busy.Lock();
    const bool placed = state_->busy.WaitFor(busy, stop, std::max(left(), milliseconds(0)),
                                             [this](int64_t now) { return now < settings_.max_concurrent; });
    if (!placed)
      return skip(stop.stop_requested() ? ErrorCode::kCancelled : ErrorCode::kTimeout,
                  "all its places are busy");
    ++*busy;
  }
  const Place place(state_->busy);
  const milliseconds turn = state_->bucket.Take();
  const bool too_late = turn >= left();
  if (too_late || (turn.count() > 0 && !clock_.SleepFor(turn, stop))) {
    state_->bucket.GiveBack();
    if (!too_late) return skip(ErrorCode::kCancelled, "stopped");
    return skip(ErrorCode::kExhausted, "its rate limit leaves no room before the deadline");
  }

  CompletionRequest bounded = request;
  bounded.timeout = std::min(settings_.timeout, left());
  const TimePoint began = clock_.Now();
  asked = true;
  auto completion = provider_->Complete(bounded, stop);
  const auto took = std::chrono::duration_cast<milliseconds>(clock_.Now() - began);
  observer_.OnAttempt(settings_.name, completion ? "ok" : ToString(completion.error().code), took);
  if (completion || !IsOutage(completion.error().code)) {
    const bool cancelled = !completion && completion.error().code == ErrorCode::kCancelled;
    if (cancelled)
      state_->breaker.Skipped();
    else if (state_->breaker.Succeeded())
      observer_.OnCircuit(settings_.name, false);
  } else if (state_->breaker.Failed()) {
    observer_.OnCircuit(settings_.name, true);
  }
  return completion;
}

namespace {

Result<std::unique_ptr<Provider>> MakeProvider(const ModelSettings& settings, Clock& clock,
                                               std::vector<std::unique_ptr<http::Client>>& clients) {
  if (settings.provider == "replay") {
    YBIS_ASSIGN(auto recordings, LoadRecordings(settings.replay_dir));
    return std::make_unique<ReplayProvider>(std::move(recordings), clock);
  }
  if (settings.provider != "openai") {
    return Fail(ErrorCode::kInvalid,
                fmt::format("provider '{}' is not one of openai, replay", settings.provider));
  }
  YBIS_TRY(http::ParseUrl(settings.endpoint));
  http::ClientSettings client;
  client.tls.system_roots = settings.ca_file.empty();
  client.tls.ca_file = settings.ca_file;
  clients.push_back(std::make_unique<http::Client>(client));
  OpenAiSettings openai;
  openai.endpoint = settings.endpoint;
  openai.model = settings.model.empty() ? settings.name : settings.model;
  openai.api_key_file = settings.api_key_file;
  openai.dialect = {settings.max_tokens_parameter, settings.response_format};
  return std::make_unique<OpenAiProvider>(*clients.back(), openai);
}

}  // namespace

Result<std::unique_ptr<ModelSet>> ModelSet::Make(const std::vector<ModelSettings>& settings, Clock& clock,
                                                 ModelObserver& observer) {
  auto set = std::make_unique<ModelSet>(std::vector<std::unique_ptr<Model>>());
  for (const ModelSettings& one : settings) {
    auto provider = MakeProvider(one, clock, set->clients_);
    if (!provider) return Named(one.name, std::move(provider).error());
    if (!one.record_dir.empty())
      provider = std::make_unique<RecordProvider>(std::move(*provider), one.record_dir);
    const bool is_new =
        set->models_.emplace(one.name, std::make_unique<Model>(one, std::move(*provider), clock, observer))
            .second;
    if (!is_new) return Fail(ErrorCode::kInvalid, fmt::format("model '{}' is configured twice", one.name));
  }
  return set;
}

ModelSet::ModelSet(std::vector<std::unique_ptr<Model>> models) {
  for (auto& model : models) {
    std::string name = model->settings().name;
    models_.emplace(std::move(name), std::move(model));
  }
}

Model* ModelSet::Find(const std::string& name) const {
  const auto it = models_.find(name);
  return it == models_.end() ? nullptr : it->second.get();
}

}  // namespace ybis::model
