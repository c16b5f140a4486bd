#include "model/openai_wire.h"

#include <nlohmann/json.hpp>

#include "base/json.h"
#include "base/log.h"
#include "base/utf8.h"

namespace ybis::model {
namespace {

using nlohmann::json;

constexpr size_t kMaxResponse = 16 * 1024 * 1024;
constexpr size_t kMaxQuote = 400;

/// The protocol allows letters, digits, '_' and '-' in a schema's name, 64 at most.
std::string SchemaName(const std::string& name) {
  std::string out = name.substr(0, 64);
  for (char& c : out) {
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '_' && c != '-') c = '_';
  }
  return out.empty() ? "answer" : out;
}

FinishReason FinishFromName(const std::string& name) {
  if (name == "stop" || name.empty()) return FinishReason::kStop;
  if (name == "length") return FinishReason::kLength;
  if (name == "content_filter") return FinishReason::kContentFilter;
  return FinishReason::kOther;
}

const char* NameOf(FinishReason finish) {
  switch (finish) {
    case FinishReason::kStop:
    case FinishReason::kOther:
      return "stop";
    case FinishReason::kLength:
      return "length";
    case FinishReason::kContentFilter:
      return "content_filter";
  }
  return "stop";
}

Unexpected Malformed(const std::string& what) {
  return Fail(ErrorCode::kInvalid, "the model's answer is not of the chat completions protocol: " + what);
}

Status ReadMessage(const json& message, Completion& completion) {
  ObjectReader reader(message, "choices[0].message");
  completion.content = reader.String("content");
  const std::string refusal = reader.String("refusal");
  YBIS_TRY(reader.Finish(false));
  if (!refusal.empty() && completion.content.empty()) {
    completion.finish = FinishReason::kContentFilter;
    completion.content = refusal;
  }
  return {};
}

/// Every number of tokens that makes sense, 12.0 among them; else the estimate. The answer was paid, so what
/// is odd about its bill is no reason to drop it.
int64_t ReadTokens(const json* usage, const char* key, int64_t estimate) {
  constexpr double kMost = 1e9;
  if (usage == nullptr || !usage->is_object()) return estimate;
  const auto found = usage->find(key);
  if (found == usage->end() || !found->is_number()) return estimate;
  const double tokens = found->get<double>();
  return tokens >= 0 && tokens <= kMost ? static_cast<int64_t>(tokens) : estimate;
}

/// {"error":{"message":…}} or the text itself, short and without secrets.
std::string QuoteError(const std::string& body) {
  std::string message = body;
  const auto parsed = ParseJson(body, "error");
  if (parsed && parsed->is_object()) {
    const auto error = parsed->find("error");
    if (error != parsed->end() && error->is_object() && error->contains("message") &&
        error->at("message").is_string()) {
      message = error->at("message").get<std::string>();
    } else if (error != parsed->end() && error->is_string()) {
      message = error->get<std::string>();
    }
  }
  message = ValidUtf8(log::Redact(message));
  if (message.size() > kMaxQuote) message = std::string(CutAtCharacter(message, kMaxQuote)) + "…";
  return message;
}

ErrorCode CodeOf(int status) {
  if (status == 401 || status == 403) return ErrorCode::kDenied;
  if (status == 404) return ErrorCode::kNotFound;
  if (status == 408) return ErrorCode::kTimeout;
  if (status == 429) return ErrorCode::kExhausted;
  if (status == 500 || status == 502 || status == 503 || status == 504 || status == 529)
    return ErrorCode::kUnavailable;
  return ErrorCode::kUnsupported;
}

/// What a refusal speaks of, and what may mend it.
struct Hint {
  std::string_view text;
  std::string_view advice;
};
constexpr std::string_view kTooLong = "narrow the objective, or choose a model with a larger context";
constexpr Hint kHints[] = {
    {"context_length", kTooLong},
    {"context length", kTooLong},
    {"context window", kTooLong},
    {"max_tokens",
     "set this model's maxTokensParameter to what its endpoint takes (max_tokens or "
     "max_completion_tokens), or lower its maxOutputTokens"},
    {"response_format", "set this model's responseFormat to json_object or none"},
    {"temperature", "leave spec.model.temperature out"},
};

/// "; advice" for each hint that a refusal's text gives.
std::string AdviceOn(int status, const std::string& body) {
  std::string advice = status == 413 ? fmt::format("; {}", kTooLong) : "";
  for (const Hint& hint : kHints) {
    const bool is_new = advice.find(hint.advice) == std::string::npos;
    if (is_new && body.find(hint.text) != std::string::npos) advice += fmt::format("; {}", hint.advice);
  }
  return advice;
}

json ResponseFormat(const CompletionRequest& request, const ChatDialect& dialect) {
  if (dialect.response_format != "json_schema") return {{"type", dialect.response_format}};
  return {{"type", "json_schema"},
          {"json_schema", {{"name", SchemaName(request.schema_name)}, {"schema", *request.schema}}}};
}

/// The schema as words, for endpoints that take none beside the messages.
void TellSchema(const json& schema, json& messages) {
  const std::string text =
      "Answer with one JSON object alone that fits this JSON Schema:\n" + DumpJson(schema);
  if (!messages.empty() && messages.front()["role"] == "system") {
    messages.front()["content"] = messages.front()["content"].get<std::string>() + "\n\n" + text;
  } else {
    messages.insert(messages.begin(), json{{"role", "system"}, {"content", text}});
  }
}

}  // namespace

json ToChatRequest(const CompletionRequest& request, const std::string& model, const ChatDialect& dialect) {
  json body = {{"model", model}, {"stream", false}, {"messages", json::array()}};
  for (const auto& message : request.messages) {
    body["messages"].push_back({{"role", message.role}, {"content", message.content}});
  }
  if (request.temperature) body["temperature"] = *request.temperature;
  if (request.max_output_tokens > 0) body[dialect.max_tokens_parameter] = request.max_output_tokens;
  if (!request.schema) return body;
  if (dialect.response_format != "none") body["response_format"] = ResponseFormat(request, dialect);
  if (dialect.response_format != "json_schema") TellSchema(*request.schema, body["messages"]);
  return body;
}

Result<CompletionRequest> ParseChatRequest(const json& body) {
  CompletionRequest request;
  ObjectReader reader(body, "");
  if (const json* messages = reader.Array("messages")) {
    for (size_t i = 0; i < messages->size(); ++i) {
      ObjectReader message((*messages)[i], fmt::format("messages[{}]", i));
      request.messages.push_back({message.RequiredString("role"), message.String("content")});
      reader.Adopt(message.Finish(false));
    }
  }
  if (request.messages.empty()) reader.Problem("messages: at least one is required");
  request.max_output_tokens =
      reader.Int("max_completion_tokens", reader.Int("max_tokens", 0, 0, 100'000'000), 0, 100'000'000);
  if (const json* format = reader.Object("response_format")) {
    ObjectReader outer(*format, "response_format");
    if (const json* inner = outer.Object("json_schema")) {
      ObjectReader schema(*inner, "response_format.json_schema");
      request.schema_name = schema.RequiredString("name");
      if (const json* value = schema.Object("schema")) request.schema = std::make_shared<const json>(*value);
      reader.Adopt(schema.Finish(false));
    }
    reader.Adopt(outer.Finish(false));
  }
  YBIS_TRY(reader.Finish(false));
  return request;
}

json ToChatResponse(const Completion& completion) {
  return {{"id", "chatcmpl-recorded"},
          {"object", "chat.completion"},
          {"model", completion.model},
          {"choices",
           {{{"index", 0},
             {"finish_reason", NameOf(completion.finish)},
             {"message", {{"role", "assistant"}, {"content", completion.content}}}}}},
          {"usage",
           {{"prompt_tokens", completion.tokens_in},
            {"completion_tokens", completion.tokens_out},
            {"total_tokens", completion.tokens_in + completion.tokens_out}}}};
}

Result<Completion> ParseChatResponse(std::string_view text, const CompletionRequest& request) {
  const auto body = ParseJson(text, "body", {.max_bytes = kMaxResponse, .max_depth = 64});
  if (!body) return Malformed(body.error().message);
  Completion completion;
  ObjectReader reader(*body, "");
  completion.model = reader.String("model");
  const json* choices = reader.Array("choices");
  if (choices == nullptr || choices->empty()) return Malformed("choices: at least one is required");
  ObjectReader choice(choices->front(), "choices[0]");
  completion.finish = FinishFromName(choice.String("finish_reason"));
  const json* message = choice.Object("message");
  if (message == nullptr) return Malformed("choices[0].message: is required");
  reader.Adopt(ReadMessage(*message, completion));
  reader.Adopt(choice.Finish(false));
  const json* usage = reader.Member("usage");
  completion.tokens_in = ReadTokens(usage, "prompt_tokens", EstimateTokens(request));
  completion.tokens_out = ReadTokens(usage, "completion_tokens", EstimateTokens(completion.content));
  const Status status = reader.Finish(false);
  if (!status) return Malformed(status.error().message);
  return completion;
}

Error ChatError(const http::ClientResponse& response) {
  Error error =
      Fail(CodeOf(response.status), fmt::format("HTTP {}: {}", response.status, QuoteError(response.body)))
          .value();
  if (error.code == ErrorCode::kUnsupported) error.message += AdviceOn(response.status, response.body);
  error.retry_after = response.RetryAfter();
  return error;
}

int64_t EstimateTokens(std::string_view text) { return static_cast<int64_t>(text.size() + 2) / 3; }

int64_t EstimateTokens(const CompletionRequest& request) {
  int64_t total = request.schema ? EstimateTokens(DumpJson(*request.schema)) : 0;
  for (const auto& message : request.messages) total += EstimateTokens(message.content) + 4;
  return total;
}

}  // namespace ybis::model
