#include "runner/nodes/model_caller.h"

#include <nlohmann/json.hpp>

#include "base/json.h"
#include "base/utf8.h"

namespace ybis::runner {

using nlohmann::json;

namespace {

// The model knows its own answer's beginning again; all of it, round after round, would fill its context.
constexpr size_t kMaxEcho = 32 * 1024;
constexpr size_t kMaxProblem = 20 * 1024;

/// The head of a text where it is longer than `bytes`, cut at a character's start.
std::string Shortened(std::string text, size_t bytes) {
  if (text.size() <= bytes) return text;
  const size_t whole = text.size();
  text.resize(CutAtCharacter(text, bytes).size());
  return text + fmt::format("… ({} bytes more)", whole - text.size());
}

}  // namespace

Outcome<api::ModelResponse> ModelCaller::Call(const PreparedPrompt& prompt, const AnswerSchema& schema,
                                              const std::vector<api::ModelMessage>& messages,
                                              std::stop_token stop) {
  const api::ModelRequest request{.epoch = epoch_,
                                  .node = node_,
                                  .visit = visit_,
                                  .call = calls_++,
                                  .prompt = prompt.name,
                                  .prompt_version = prompt.version,
                                  .messages = messages,
                                  .schema_name = schema.name,
                                  .schema = schema.schema};
  YBIS_ASSIGN_FAULT(FaultSource::kModel, api::ModelResponse answer, api_.CallModel(request, std::move(stop)));
  usage_.tokens_in += answer.usage.tokens_in;
  usage_.tokens_out += answer.usage.tokens_out;
  usage_.cost_usd += answer.usage.cost_usd;
  usage_.llm_calls += 1;
  replayed_ = replayed_ || answer.replayed;
  model_ = answer.model;
  return answer;
}

Outcome<json> ModelCaller::Ask(const PreparedPrompt& prompt, const AnswerSchema& schema, int max_reasks,
                               const std::string& reason,
                               const std::function<Outcome<std::string>(const json&)>& check,
                               std::stop_token stop) {
  std::vector<api::ModelMessage> messages = {{"system", prompt.system}, {"user", prompt.user}};
  for (int round = 0;; ++round) {
    YBIS_TAKE(const api::ModelResponse response, Call(prompt, schema, messages, stop));
    json answer = response.answer ? *response.answer : json();
    if (!response.answer) {
      if (auto parsed = ParseJson(response.content, "the model's answer")) answer = std::move(*parsed);
    }
    std::string problem = "the answer is not a JSON object";
    if (answer.is_object()) {
      YBIS_TAKE(problem, check(answer));
    }
    if (problem.empty()) return answer;
    if (round == max_reasks) {
      return FaultUnexpected(
          TaskFault(api::FailureClass::kAgent, reason,
                    fmt::format("after {} tries the model's answer is still wrong: {}", round + 1, problem)));
    }
    messages.push_back({"assistant", Shortened(DumpJson(answer), kMaxEcho)});
    messages.push_back(
        {"user", "Your answer cannot be used:\n" + Shortened(problem, kMaxProblem) +
                     "\nAnswer again, in the same form, with this corrected and all else kept."});
  }
}

}  // namespace ybis::runner
