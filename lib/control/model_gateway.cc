#include "control/model_gateway.h"

#include <nlohmann/json.hpp>

#include "base/digest.h"
#include "base/jitter.h"
#include "base/log.h"
#include "base/sync.h"
#include "base/utf8.h"
#include "model/answer.h"
#include "model/openai_wire.h"

namespace ybis::control {
namespace {

using std::chrono::milliseconds;

constexpr size_t kMaxQuotedAnswer = 16 * 1024;
constexpr milliseconds kPoll{500};
constexpr milliseconds kFirstRepeat{200};
constexpr milliseconds kLongestRepeat{5'000};
constexpr milliseconds kLastWords{10'000};

/// The smaller of two limits of which 0 means none.
template <class T>
T Tighter(T a, T b) {
  if (a <= 0) return b;
  return b <= 0 ? a : std::min(a, b);
}

api::Usage Sum(const api::Usage& a, const api::Usage& b) {
  return {a.tokens_in + b.tokens_in, a.tokens_out + b.tokens_out, a.cost_usd + b.cost_usd,
          a.llm_calls + b.llm_calls};
}

/// Of a turn for which `reserved` has just been written down.
LlmSettlement SettlementOf(int64_t turn, const LlmBudget& reserved) {
  return {NewUuid(), turn, {}, reserved.reserve_tokens, reserved.reserve_cost_usd};
}

/// The budget is a final answer: waiting does not bring it back.
Unexpected OverBudget(std::string message) {
  Error error = Fail(ErrorCode::kExhausted, std::move(message)).value();
  error.retryable = false;
  return Fail(std::move(error));
}

Unexpected Unknown(const std::string& model) {
  if (model.empty()) {
    return Fail(ErrorCode::kNotFound,
                "no model is configured: set `models` in the configuration, config.models of the chart "
                "(docs/configuration.md)");
  }
  return Fail(ErrorCode::kNotFound,
              fmt::format("spec.model: '{}' is not a model of the operator's configuration: name one that is",
                          model));
}

/// A model's failure in the words of the run: what is ours to mend (key, name) must not look like the run's
/// own fault.
Error ForRun(Error error) {
  if (error.code == ErrorCode::kDenied || error.code == ErrorCode::kNotFound) {
    error.code = ErrorCode::kUnavailable;
    error.retryable = false;
    error.message += " (the operator's configuration of this model needs attention: key, name or endpoint)";
  } else if (error.code == ErrorCode::kExhausted || error.code == ErrorCode::kTimeout) {
    error.code = ErrorCode::kUnavailable;
    error.retryable = true;
  } else if (error.code == ErrorCode::kTooLarge) {
    error.code = ErrorCode::kInvalid;  // the answer is, not the question
  }
  error.message = log::Redact(error.message);
  return error;
}

/// What is wrong with an answer, in words that go back to the model; empty when it is good. Fills in
/// `answer`.
std::string ProblemOf(const api::ModelRequest& request, const model::Completion& completion,
                      std::shared_ptr<const nlohmann::json>& answer) {
  if (completion.finish == model::FinishReason::kLength) {
    return fmt::format("it was cut off after {} tokens; be shorter", completion.tokens_out);
  }
  if (!request.schema) return {};
  auto value = model::ExtractJson(completion.content);
  if (!value) return value.error().message;
  const Status fits = model::ValidateAgainst(*request.schema, *value);
  if (!fits) return fits.error().message;
  answer = std::make_shared<const nlohmann::json>(std::move(*value));
  return {};
}

api::ModelMessage AskAgain(const api::ModelRequest& request, const std::string& problem) {
  const std::string what = request.schema ? fmt::format("as '{}'", request.schema_name) : std::string();
  return {"user", fmt::format("Your answer cannot be used {}: {}\nAnswer again, whole{}", what, problem,
                              request.schema ? ", with the JSON object alone." : ".")};
}

/// The problem in words, thrown or not; empty when it went well.
template <class Renew>
std::string RenewalProblem(Renew renew) {
  try {
    const Status renewed = renew();
    return renewed ? "" : renewed.error().message;
  } catch (const std::exception& failure) {
    return failure.what();
  }
}

/// Repeats `write` while the record is away: for `patience`, or for kLastWords once we are to stop.
template <class Write>
std::invoke_result_t<Write&> Insist(Clock& clock, milliseconds patience, const std::stop_token& stop,
                                    Write write) {
  TimePoint until = clock.Now() + patience;
  bool is_stopping = false;
  for (milliseconds wait = kFirstRepeat;; wait = std::min(wait * 2, kLongestRepeat)) {
    auto outcome = write();
    if (outcome || !outcome.error().retryable) return outcome;
    if (stop.stop_requested() && !is_stopping) until = std::min<TimePoint>(until, clock.Now() + kLastWords);
    is_stopping = stop.stop_requested();
    if (clock.Now() + wait > until) return outcome;
    log::Warn("the end of a model call could not be recorded, trying again",
              {{"why", outcome.error().message}});
    clock.SleepFor(Jittered(wait), {});
  }
}

}  // namespace

/// One call on its way.
struct ModelGateway::Job {
  std::string run_id;
  const api::ModelRequest& request;
  LlmCallKey key;
  RunModelTerms terms = {};
  std::vector<model::Model*> chain = {};
  LlmBudget budget = {};
  TimePoint deadline = {};
  api::Usage used = {};                    ///< by the run, as recorded
  api::Usage spent = {};                   ///< by this call
  LlmSettlement settlement = {NewUuid()};  ///< of `spent` what is not recorded yet
  bool is_reserved = true;  ///< the record holds room for the next ask; the first has it from Begin
  bool is_final = false;    ///< no other model can help
};

/// Keeps a call ours while it is under way, from a thread of its own. When this process dies the lease runs
/// out soon, and whoever asks again gets through.
class ModelGateway::CallLease {
 public:
  CallLease(CallRecords& records, const Job& job, milliseconds lease)
      : thread_([&records, run_id = job.run_id, key = job.key, turn = job.settlement.turn,
                 lease](std::stop_token stop) {
          Sync<int> wait{0};
          while (true) {
            auto locked = wait.Lock();
            wait.WaitFor(locked, stop, lease / 3, [](int) { return false; });
            if (stop.stop_requested()) return;
            const std::string why =
                RenewalProblem([&] { return records.Renew(run_id, key, turn, lease, stop); });
            if (!why.empty())
              log::Warn("a model call's lease was not renewed", {{"run", run_id}, {"why", why}});
          }
        }) {}

 private:
  std::jthread thread_;
};

ModelGateway::ModelGateway(const model::ModelSet& models, CallRecords& records, RunTerms& terms, Clock& clock,
                           model::ModelObserver& observer, GatewaySettings settings)
    : models_(models),
      records_(records),
      terms_(terms),
      clock_(clock),
      observer_(observer),
      settings_(std::move(settings)) {}

Result<api::ModelResponse> ModelGateway::Call(const std::string& run_id, const api::ModelRequest& request,
                                              std::stop_token stop) {
  YBIS_ASSIGN(Job job, Prepare(run_id, request, stop));
  const std::string& name = job.chain.front()->settings().name;
  auto start = BeginOrWait(job, stop);
  if (!start) {
    if (start.error().code == ErrorCode::kExhausted) observer_.OnCall(name, "refused");
    return Fail(std::move(start).error());
  }
  if (start->state == LlmCallState::kDone) {
    observer_.OnCall(name, "replayed");
    return std::move(*start->recorded);
  }
  job.settlement = SettlementOf(start->turn, job.budget);
  const CallLease lease(records_, job, settings_.call_lease);
  auto outcome = Settle(job, Ask(job, stop), stop);
  observer_.OnCall(name, outcome                                         ? "answered"
                         : outcome.error().code == ErrorCode::kExhausted ? "refused"
                                                                         : "failed");
  return outcome;
}

Result<ModelGateway::Job> ModelGateway::Prepare(const std::string& run_id, const api::ModelRequest& request,
                                                std::stop_token stop) {
  if (request.messages.empty()) return Fail(ErrorCode::kInvalid, "messages: at least one is required");
  if (request.schema) YBIS_TRY(model::CheckSchema(*request.schema));
  Job job{.run_id = run_id,
          .request = request,
          .key = {request.node, request.visit, request.call, request.RequestDigest()}};
  YBIS_ASSIGN(job.terms, terms_.ModelTerms(run_id, stop));
  std::vector<std::string> names = job.terms.model.fallbacks;
  names.insert(names.begin(), job.terms.model.name.empty() ? settings_.default_model : job.terms.model.name);
  for (const std::string& name : names) {
    model::Model* model = models_.Find(name);
    if (model == nullptr) return Unknown(name);
    job.chain.push_back(model);
  }
  job.deadline = clock_.Now() + settings_.call_timeout;
  job.budget.max_tokens = Tighter(settings_.max_tokens_per_run, job.terms.max_tokens);
  job.budget.max_cost_usd = Tighter(settings_.max_cost_usd_per_run, job.terms.max_cost_usd);
  return job;
}

model::CompletionRequest ModelGateway::RequestFor(const Job& job, const model::Model& model) const {
  model::CompletionRequest request;
  request.group = job.run_id;
  request.trace_id = job.terms.trace_id;
  request.messages = job.request.messages;
  request.schema_name = job.request.schema_name;
  request.schema = job.request.schema;
  request.temperature = job.terms.model.temperature;
  request.max_output_tokens = Tighter(model.settings().max_output_tokens, job.terms.model.max_output_tokens);
  request.timeout = model.settings().timeout;
  return request;
}

/// Shortens the answer's allowance to what `used` leaves of the budget; the question itself must fit.
Status ModelGateway::FitBudget(const Job& job, const model::Model& model, const api::Usage& used,
                               model::CompletionRequest& request) const {
  const int64_t question = model::EstimateTokens(request);
  if (job.budget.max_tokens > 0) {
    const int64_t room = job.budget.max_tokens - used.tokens_in - used.tokens_out - question;
    if (room <= 0) {
      return OverBudget(
          fmt::format("the run's budget of {} tokens is used up: {} used, the next question needs about {}",
                      job.budget.max_tokens, used.tokens_in + used.tokens_out, question));
    }
    request.max_output_tokens = Tighter(request.max_output_tokens, room);
  }
  const double price = model.settings().output_usd_per_million_tokens;
  if (job.budget.max_cost_usd > 0) {
    const double room = job.budget.max_cost_usd - used.cost_usd - model.CostUsd(question, 0);
    if (room < 0 || (room == 0 && price > 0)) {
      return OverBudget(fmt::format("the run's budget of ${:.4f} is used up: ${:.4f} spent",
                                    job.budget.max_cost_usd, used.cost_usd));
    }
    if (price > 0) {
      const double affordable = std::min(1e12, room * 1e6 / price);
      request.max_output_tokens = std::max<int64_t>(
          1, Tighter(request.max_output_tokens, std::max<int64_t>(1, static_cast<int64_t>(affordable))));
    }
  }
  return {};
}

Result<LlmCallStart> ModelGateway::BeginOrWait(Job& job, std::stop_token stop) {
  YBIS_ASSIGN(job.used, records_.RunUsage(job.run_id, stop));
  const model::Model& model = *job.chain.front();
  model::CompletionRequest request = RequestFor(job, model);
  // Over budget or not, the record is asked: an answer that is there was paid already.
  const Status fits = FitBudget(job, model, job.used, request);
  const int64_t question = model::EstimateTokens(request);
  job.budget.reserve_tokens = question + request.max_output_tokens;
  job.budget.reserve_cost_usd = model.CostUsd(question, request.max_output_tokens);
  while (true) {
    auto start =
        records_.Begin(job.run_id, job.request.epoch, job.key, job.budget, settings_.call_lease, stop);
    if (!start) {
      const bool refused = start.error().code == ErrorCode::kExhausted && !start.error().retryable;
      return refused && !fits ? Fail(fits.error()) : Fail(std::move(start).error());
    }
    if (start->state != LlmCallState::kInProgress) return start;
    if (clock_.Now() >= job.deadline) {
      return Fail(ErrorCode::kUnavailable, "the same model call is still under way elsewhere");
    }
    const milliseconds wait =
        start->retry_after.count() > 0 ? std::min(start->retry_after, milliseconds(2'000)) : kPoll;
    if (!clock_.SleepFor(wait, stop)) return Fail(ErrorCode::kCancelled, "stopped");
  }
}

Result<api::ModelResponse> ModelGateway::Ask(Job& job, std::stop_token stop) {
  Error last;
  for (size_t i = 0; i < job.chain.size(); ++i) {
    if (i > 0) {
      observer_.OnFallback(job.chain[i - 1]->settings().name, job.chain[i]->settings().name);
      log::Warn("a model call falls back", {{"run", job.run_id},
                                            {"from", job.chain[i - 1]->settings().name},
                                            {"to", job.chain[i]->settings().name},
                                            {"why", last.message}});
    }
    auto response = AskModel(job, *job.chain[i], stop);
    if (response) return response;
    if (job.is_final || response.error().code == ErrorCode::kCancelled) return response;
    last = std::move(response).error();
  }
  return Fail(ForRun(std::move(last)));
}

/// Makes room for one more ask: within what the run has left by now, other calls of it included.
Status ModelGateway::Prepay(Job& job, const model::Model& model, model::CompletionRequest& request,
                            std::stop_token stop) {
  job.is_final = true;
  if (!job.is_reserved) {
    YBIS_ASSIGN(job.used, records_.RunUsage(job.run_id, stop));
  }
  YBIS_TRY(FitBudget(job, model, Sum(job.used, job.settlement.spent), request));
  if (!job.is_reserved) YBIS_TRY(Reserve(job, model, request, stop));
  job.is_reserved = false;
  job.is_final = false;
  return {};
}

Status ModelGateway::Reserve(Job& job, const model::Model& model, const model::CompletionRequest& request,
                             std::stop_token stop) {
  const int64_t question = model::EstimateTokens(request);
  job.budget.reserve_tokens = question + request.max_output_tokens;
  job.budget.reserve_cost_usd = model.CostUsd(question, request.max_output_tokens);
  const Status extended = records_.Extend(job.run_id, job.request.epoch, job.key, job.settlement, job.budget,
                                          settings_.call_lease, stop);
  job.is_final = !extended;
  if (!extended) return extended;
  job.settlement = SettlementOf(job.settlement.turn, job.budget);
  return {};
}

void ModelGateway::Charge(Job& job, const model::Model& model, int64_t tokens_in, int64_t tokens_out) {
  const api::Usage usage{tokens_in, tokens_out, model.CostUsd(tokens_in, tokens_out), 1};
  job.spent = Sum(job.spent, usage);
  job.settlement.spent = Sum(job.settlement.spent, usage);
  observer_.OnUsage(model.settings().name, usage);
}

Result<api::ModelResponse> ModelGateway::AskModel(Job& job, model::Model& model, std::stop_token stop) {
  model::CompletionRequest request = RequestFor(job, model);
  std::string problem;
  for (int ask = 0; ask <= settings_.max_reasks; ++ask) {
    YBIS_TRY(Prepay(job, model, request, stop));
    YBIS_ASSIGN(const model::Completion completion, Exchange(job, model, request, stop));
    if (completion.finish == model::FinishReason::kContentFilter) {
      return Fail(ErrorCode::kInvalid, fmt::format("model '{}' refused to answer: {}", model.settings().name,
                                                   CutAtCharacter(completion.content, 300)));
    }
    api::ModelResponse response{completion.content, nullptr, completion.model, job.spent, false};
    problem = ProblemOf(job.request, completion, response.answer);
    if (problem.empty()) return response;
    log::Info("a model's answer goes back",
              {{"run", job.run_id}, {"node", job.request.node}, {"why", problem}});
    if (ask < settings_.max_reasks) observer_.OnReask(model.settings().name);
    request = RequestFor(job, model);
    request.messages.push_back(
        {"assistant", std::string(CutAtCharacter(completion.content, kMaxQuotedAnswer))});
    request.messages.push_back(AskAgain(job.request, problem));
  }
  job.is_final = true;
  return Fail(
      ErrorCode::kInvalid,
      fmt::format("model '{}' gave {} answers of which none can be used{}; the last: {}",
                  model.settings().name, settings_.max_reasks + 1,
                  job.request.schema_name.empty() ? "" : " as '" + job.request.schema_name + "'", problem));
}

Result<model::Completion> ModelGateway::Exchange(Job& job, model::Model& model,
                                                 const model::CompletionRequest& request,
                                                 std::stop_token stop) {
  // What timed out was probably answered, and paid, all the same: at most this.
  const auto unanswered = [&](bool again) -> Status {
    Charge(job, model, model::EstimateTokens(request), request.max_output_tokens);
    return again ? Reserve(job, model, request, stop) : Status();
  };
  auto completion = model.CompleteBy(request, job.deadline, stop, unanswered);
  if (!completion) return completion;
  Charge(job, model, completion->tokens_in, completion->tokens_out);
  if (completion->model.empty()) completion->model = model.settings().name;
  return completion;
}

/// Records how it ended. A stop does not cut it short at once: what was paid must be written down.
Result<api::ModelResponse> ModelGateway::Settle(const Job& job, Result<api::ModelResponse> outcome,
                                                const std::stop_token& stop) {
  if (outcome) {
    return Insist(clock_, settings_.settle_patience, stop,
                  [&] { return records_.Complete(job.run_id, job.key, job.settlement, *outcome, {}); });
  }
  Error error = std::move(outcome).error();
  if (error.code == ErrorCode::kCancelled) {
    error = Fail(ErrorCode::kUnavailable, "the control core is stopping; ask again").value();
  }
  const Status recorded = Insist(clock_, settings_.settle_patience, stop, [&] {
    return records_.FailCall(job.run_id, job.key, job.settlement, error.message, {});
  });
  if (!recorded) {
    log::Error("a failed model call could not be recorded",
               {{"run", job.run_id}, {"why", recorded.error().message}});
  }
  return Fail(std::move(error));
}

std::vector<model::ModelSettings> ModelSettingsOf(const Config& config) {
  std::vector<model::ModelSettings> out;
  for (const ModelConfig& from : config.models) {
    model::ModelSettings to;
    to.name = from.name;
    to.provider = from.provider;
    to.endpoint = from.endpoint;
    to.model = from.model;
    to.api_key_file = from.api_key_file;
    to.ca_file = from.ca_file;
    to.replay_dir = from.replay_dir;
    to.record_dir = from.record_dir;
    to.timeout = std::chrono::seconds(from.timeout_seconds);
    to.max_attempts = from.max_attempts;
    to.max_output_tokens = from.max_output_tokens;
    to.max_tokens_parameter = from.max_tokens_parameter;
    to.response_format = from.response_format;
    to.max_concurrent = from.max_concurrent;
    to.requests_per_minute = from.requests_per_minute;
    to.input_usd_per_million_tokens = from.input_usd_per_million_tokens;
    to.output_usd_per_million_tokens = from.output_usd_per_million_tokens;
    out.push_back(std::move(to));
  }
  return out;
}

GatewaySettings GatewaySettingsOf(const Config& config) {
  GatewaySettings settings;
  settings.default_model = config.default_model;
  settings.max_tokens_per_run = config.limits.max_tokens_per_run;
  settings.max_cost_usd_per_run = config.limits.max_cost_usd_per_run;
  return settings;
}

}  // namespace ybis::control
