#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/log.h"
#include "model/openai_provider.h"
#include "model/openai_wire.h"
#include "tests/support/temp_dir.h"

namespace ybis::model {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;

CompletionRequest Asking(const std::string& text) {
  CompletionRequest request;
  request.group = "run-1";
  request.messages = {{"system", "be brief"}, {"user", text}};
  return request;
}

TEST(OpenAiWire, AsksWithASchema) {
  CompletionRequest request = Asking("plan it");
  request.schema_name = "plan/v1";
  request.schema = std::make_shared<const json>(json{{"type", "object"}});
  request.temperature = 0.2;
  request.max_output_tokens = 100;
  const json expected = json::parse(R"({
    "model": "large", "stream": false, "temperature": 0.2, "max_tokens": 100,
    "messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "plan it"}],
    "response_format": {"type": "json_schema", "json_schema": {"name": "plan_v1", "schema": {"type": "object"}}}})");
  EXPECT_EQ(ToChatRequest(request, "large"), expected);
  const auto back = ParseChatRequest(expected);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->schema_name, "plan_v1");
  EXPECT_EQ(back->messages.size(), 2u);
}

TEST(OpenAiWire, AsksInTheEndpointsDialect) {
  CompletionRequest request = Asking("plan it");
  request.schema_name = "plan";
  request.schema = std::make_shared<const json>(json{{"type", "object"}});
  request.max_output_tokens = 100;
  const ChatDialect dialect{"max_completion_tokens", "json_object"};
  const json expected = json::parse(R"({
    "model": "large", "stream": false, "max_completion_tokens": 100,
    "messages": [{"role": "system", "content":
                  "be brief\n\nAnswer with one JSON object alone that fits this JSON Schema:\n{\"type\":\"object\"}"},
                 {"role": "user", "content": "plan it"}],
    "response_format": {"type": "json_object"}})");
  EXPECT_EQ(ToChatRequest(request, "large", dialect), expected);
  EXPECT_EQ(ParseChatRequest(expected)->max_output_tokens, 100);
}

TEST(OpenAiWire, TellsTheSchemaWhereThereIsNoSystemMessage) {
  CompletionRequest request = Asking("plan it");
  request.messages.erase(request.messages.begin());
  request.schema = std::make_shared<const json>(json{{"type", "object"}});
  const json body = ToChatRequest(request, "large", {.response_format = "none"});
  EXPECT_FALSE(body.contains("response_format"));
  ASSERT_EQ(body["messages"].size(), 2u);
  EXPECT_EQ(body["messages"][0]["role"], "system");
  EXPECT_THAT(body["messages"][0]["content"].get<std::string>(), HasSubstr(R"({"type":"object"})"));
  request.schema = nullptr;
  EXPECT_EQ(ToChatRequest(request, "large", {.response_format = "none"})["messages"].size(), 1u);
}

TEST(OpenAiWire, ReadsAnswerAndUsage) {
  const auto answer = ParseChatResponse(R"({"model": "large-2", "choices": [{"finish_reason": "length",
      "message": {"role": "assistant", "content": "hi"}}], "usage": {"prompt_tokens": 7, "completion_tokens": 2}})",
                                        Asking("x"));
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->content, "hi");
  EXPECT_EQ(answer->model, "large-2");
  EXPECT_EQ(answer->tokens_in, 7);
  EXPECT_EQ(answer->tokens_out, 2);
  EXPECT_EQ(answer->finish, FinishReason::kLength);
}

TEST(OpenAiWire, EstimatesUsageThatIsNotTold) {
  const auto answer = ParseChatResponse(R"({"choices": [{"message": {"content": "abcdef"}}]})", Asking("x"));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->tokens_out, 2);
  EXPECT_GT(answer->tokens_in, 0);
}

TEST(OpenAiWire, TakesAnAnswerWhoseUsageIsOdd) {
  const auto read = [](const std::string& usage) {
    return ParseChatResponse(R"({"choices": [{"message": {"content": "abcdef"}}], "usage": )" + usage + "}",
                             Asking("x"));
  };
  EXPECT_EQ(read(R"({"prompt_tokens": 12.0, "completion_tokens": 7})")->tokens_in, 12);
  for (const char* usage : {R"({"completion_tokens": -5})", R"({"completion_tokens": 1e300})",
                            R"({"completion_tokens": "7"})", "[]", "3"}) {
    const auto answer = read(usage);
    ASSERT_TRUE(answer) << usage;
    EXPECT_EQ(answer->tokens_out, 2) << usage;
  }
}

TEST(OpenAiWire, KnowsARefusal) {
  const auto answer = ParseChatResponse(
      R"({"choices": [{"message": {"content": null, "refusal": "I cannot"}}]})", Asking("x"));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->finish, FinishReason::kContentFilter);
}

TEST(OpenAiWire, RefusesWhatIsNotOfTheProtocol) {
  for (const std::string text : {"", "not json", "[]", "{}", R"({"choices": []})", R"({"choices": [{}]})",
                                 R"({"choices": "x"})", R"({"choices": [{"message": {"content": 3}}]})"}) {
    const auto answer = ParseChatResponse(text, Asking("x"));
    ASSERT_FALSE(answer) << text;
    EXPECT_EQ(answer.error().code, ErrorCode::kInvalid) << text;
    EXPECT_FALSE(answer.error().retryable) << text;
  }
}

TEST(OpenAiWire, SortsStatusCodes) {
  const std::vector<std::pair<int, ErrorCode>> cases = {
      {400, ErrorCode::kUnsupported}, {401, ErrorCode::kDenied},      {403, ErrorCode::kDenied},
      {404, ErrorCode::kNotFound},    {408, ErrorCode::kTimeout},     {413, ErrorCode::kUnsupported},
      {422, ErrorCode::kUnsupported}, {429, ErrorCode::kExhausted},   {500, ErrorCode::kUnavailable},
      {502, ErrorCode::kUnavailable}, {503, ErrorCode::kUnavailable}, {504, ErrorCode::kUnavailable},
      {302, ErrorCode::kUnsupported}};
  for (const auto& [status, code] : cases) {
    http::ClientResponse response;
    response.status = status;
    response.headers["retry-after"] = "3";
    response.body = R"({"error": {"message": "the reason"}})";
    const Error error = ChatError(response);
    EXPECT_EQ(error.code, code) << status;
    EXPECT_THAT(error.message, HasSubstr("the reason"));
    EXPECT_EQ(error.retry_after, std::chrono::seconds(3));
  }
}

TEST(OpenAiWire, SaysWhatMayMendARefusal) {
  const auto message = [](int status, const std::string& text) {
    http::ClientResponse response;
    response.status = status;
    response.body = json{{"error", {{"message", text}}}}.dump();
    const Error error = ChatError(response);
    EXPECT_EQ(error.retryable, status >= 500);
    return error.message;
  };
  EXPECT_EQ(message(400, "Unsupported parameter: 'max_tokens'"),
            "HTTP 400: Unsupported parameter: 'max_tokens'; set this model's maxTokensParameter to what its "
            "endpoint takes (max_tokens or max_completion_tokens), or lower its maxOutputTokens");
  EXPECT_THAT(message(422, "response_format: json_schema is unknown"), HasSubstr("responseFormat"));
  EXPECT_EQ(message(400, "maximum context length is 8192, see context_length"),
            "HTTP 400: maximum context length is 8192, see context_length; narrow the objective, or choose a "
            "model with a larger context");
  EXPECT_THAT(message(413, "no"), HasSubstr("larger context"));
  EXPECT_EQ(message(400, "no"), "HTTP 400: no");
  EXPECT_THAT(message(500, "max_tokens"), Not(HasSubstr("maxTokensParameter"))) << "that is no refusal";
}

TEST(OpenAiWire, QuotesErrorPagesAsUtf8) {
  http::ClientResponse response;
  response.status = 500;
  response.body = "caf\xE9 closed";
  EXPECT_THAT(ChatError(response).message, HasSubstr("caf\xEF\xBF\xBD closed"));
  response.body = "";
  for (int i = 0; i < 200; ++i) response.body += "€";
  EXPECT_THAT(ChatError(response).message, ::testing::EndsWith("€…"));
}

class FakeTransport final : public http::Transport {
 public:
  Result<http::ClientResponse> Send(const http::ClientRequest& request, std::stop_token) override {
    sent.push_back(request);
    return answer;
  }
  Status Stream(const http::ClientRequest&, const http::StreamHandler&, std::stop_token) override {
    return Fail(ErrorCode::kUnsupported, "no streams");
  }
  std::vector<http::ClientRequest> sent;
  Result<http::ClientResponse> answer = Fail(ErrorCode::kUnavailable, "down");
};

TEST(OpenAiProvider, ReadsItsKeyForEachCall) {
  const ybis::testing::TempDir dir;
  const std::string file = dir.Write("key", "  first-secret-key\n");
  FakeTransport transport;
  OpenAiProvider provider(transport,
                          {.endpoint = "https://models.test/v1", .model = "large", .api_key_file = file});
  EXPECT_FALSE(provider.Complete(Asking("x"), {}));
  dir.Write("key", "second-secret-key");
  EXPECT_FALSE(provider.Complete(Asking("x"), {}));
  ASSERT_EQ(transport.sent.size(), 2u);
  EXPECT_EQ(transport.sent[0].headers.at("Authorization"), "Bearer first-secret-key");
  EXPECT_EQ(transport.sent[1].headers.at("Authorization"), "Bearer second-secret-key");
  EXPECT_EQ(transport.sent[0].url, "https://models.test/v1/chat/completions");
  EXPECT_EQ(transport.sent[0].headers.at(kGroupHeader), "run-1");
  EXPECT_FALSE(transport.sent[0].pooled);
  EXPECT_EQ(log::Redact("got first-secret-key"), "got ***");
}

TEST(OpenAiProvider, KeepsItsKeyOutOfErrors) {
  const ybis::testing::TempDir dir;
  const std::string file = dir.Write("key", "echoed-secret-key");
  FakeTransport transport;
  http::ClientResponse echo;
  echo.status = 401;
  echo.body = R"({"error": {"message": "the key echoed-secret-key is wrong"}})";
  transport.answer = echo;
  OpenAiProvider provider(transport,
                          {.endpoint = "https://models.test/v1/", .model = "m", .api_key_file = file});
  const auto refused = provider.Complete(Asking("x"), {});
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, Not(HasSubstr("echoed-secret-key")));
  EXPECT_EQ(transport.sent[0].url, "https://models.test/v1/chat/completions");
  transport.answer = Fail(ErrorCode::kUnavailable, "header echoed-secret-key");
  EXPECT_THAT(provider.Complete(Asking("x"), {}).error().message, Not(HasSubstr("echoed-secret-key")));
}

TEST(OpenAiProvider, SpeaksItsDialect) {
  FakeTransport transport;
  OpenAiProvider provider(
      transport,
      {.endpoint = "https://m.test/v1", .model = "m", .dialect = {"max_completion_tokens", "none"}});
  CompletionRequest request = Asking("x");
  request.max_output_tokens = 7;
  EXPECT_FALSE(provider.Complete(request, {}));
  EXPECT_THAT(transport.sent.at(0).body, HasSubstr(R"("max_completion_tokens":7)"));
}

TEST(OpenAiProvider, NamesAKeyFileThatIsNotThere) {
  FakeTransport transport;
  OpenAiProvider provider(transport,
                          {.endpoint = "https://m.test/v1", .model = "m", .api_key_file = "/no/such/key"});
  const auto answer = provider.Complete(Asking("x"), {});
  ASSERT_FALSE(answer);
  EXPECT_THAT(answer.error().message, HasSubstr("/no/such/key"));
  EXPECT_TRUE(transport.sent.empty());
}

}  // namespace
}  // namespace ybis::model
