#pragma once
// A provider that says what it was told to, in order.
#include <functional>
#include <vector>

#include "base/sync.h"
#include "model/provider.h"

namespace ybis::testing {

inline model::Completion Says(std::string content, int64_t tokens_in = 10, int64_t tokens_out = 5) {
  return {std::move(content), "fake", tokens_in, tokens_out, model::FinishReason::kStop};
}

class FakeProvider final : public model::Provider {
 public:
  struct State {
    std::vector<Result<model::Completion>> script;  ///< the last one is repeated
    std::vector<model::CompletionRequest> asked;
    std::function<void()> before_answer;
  };
  explicit FakeProvider(std::vector<Result<model::Completion>> script) {
    state_.Lock()->script = std::move(script);
  }

  Result<model::Completion> Complete(const model::CompletionRequest& request, std::stop_token) override {
    std::function<void()> hook = state_.Lock()->before_answer;
    if (hook) hook();
    auto state = state_.Lock();
    state->asked.push_back(request);
    return state->script[std::min(state->asked.size(), state->script.size()) - 1];
  }
  std::vector<model::CompletionRequest> asked() { return state_.Lock()->asked; }
  void BeforeAnswer(std::function<void()> hook) { state_.Lock()->before_answer = std::move(hook); }

 private:
  Sync<State> state_;
};

}  // namespace ybis::testing
