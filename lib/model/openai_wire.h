#pragma once
// The OpenAI chat completions protocol as JSON: what is sent, and what comes back.
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "http/client.h"
#include "model/provider.h"

namespace ybis::model {

/// The header that carries CompletionRequest::group.
inline constexpr const char* kGroupHeader = "X-Ybis-Run";

/// What endpoints of the protocol differ in.
struct ChatDialect {
  std::string max_tokens_parameter = "max_tokens";  ///< or max_completion_tokens
  /// json_schema, json_object or none; without json_schema the schema stands in the system message.
  std::string response_format = "json_schema";
};

/// The body of POST /chat/completions; `model` is the endpoint's name for it.
nlohmann::json ToChatRequest(const CompletionRequest& request, const std::string& model,
                             const ChatDialect& dialect = {});
/// The other direction, for servers of the protocol; problems name the field.
Result<CompletionRequest> ParseChatRequest(const nlohmann::json& body);

/// The body of an answer.
nlohmann::json ToChatResponse(const Completion& completion);
/// `text` is the body of a 200. Where the endpoint tells no usage that makes
/// sense, it is estimated from the texts' lengths.
Result<Completion> ParseChatResponse(std::string_view text, const CompletionRequest& request);

/// An answer that is not a 200 as an Error (see Provider); the endpoint's own message is quoted, shortened,
/// and a refusal followed by the settings that may mend it.
Error ChatError(const http::ClientResponse& response);

/// About how many tokens a text has: three bytes each, which rather overstates.
int64_t EstimateTokens(std::string_view text);
int64_t EstimateTokens(const CompletionRequest& request);

}  // namespace ybis::model
