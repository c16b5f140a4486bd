#pragma once
// Any endpoint that speaks the OpenAI chat completions protocol.
#include <string>

#include "http/client.h"
#include "model/openai_wire.h"
#include "model/provider.h"

namespace ybis::model {

struct OpenAiSettings {
  std::string endpoint;      ///< base URL, e.g. https://models.example.com/v1
  std::string model;         ///< the endpoint's name for it
  std::string api_key_file;  ///< read anew for each call; empty = none is sent
  ChatDialect dialect = {};
  size_t max_response_bytes = 8 * 1024 * 1024;
};

/// Thread-safe; the transport must outlive it. Each call has a connection of its own, since a reused one may
/// send a paid request twice.
class OpenAiProvider final : public Provider {
 public:
  OpenAiProvider(http::Transport& transport, OpenAiSettings settings)
      : transport_(transport), settings_(std::move(settings)) {}
  Result<Completion> Complete(const CompletionRequest& request, std::stop_token stop) override;

 private:
  Result<http::ClientRequest> Prepare(const CompletionRequest& request) const;

  http::Transport& transport_;
  OpenAiSettings settings_;
};

}  // namespace ybis::model
