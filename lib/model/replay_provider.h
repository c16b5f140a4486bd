#pragma once
// Models without a model: recorded exchanges played back, and a wrapper that records them.
#include <filesystem>
#include <memory>
#include <string>

#include "base/clock.h"
#include "model/recording.h"

namespace ybis::model {

/// Answers from recordings; their faults become the errors that the same fault causes over HTTP. Thread-safe.
class ReplayProvider final : public Provider {
 public:
  ReplayProvider(std::vector<Recording> recordings, Clock& clock)
      : recordings_(std::move(recordings)), clock_(clock) {}
  Result<Completion> Complete(const CompletionRequest& request, std::stop_token stop) override;

 private:
  RecordingSet recordings_;
  Clock& clock_;
};

/// Passes requests on and writes every answered exchange into a folder, in the form that ReplayProvider
/// reads. What cannot be written is logged; the answer is given all the same. Thread-safe.
class RecordProvider final : public Provider {
 public:
  RecordProvider(std::unique_ptr<Provider> inner, std::filesystem::path dir)
      : inner_(std::move(inner)), dir_(std::move(dir)) {}
  Result<Completion> Complete(const CompletionRequest& request, std::stop_token stop) override;

 private:
  void Write(const CompletionRequest& request, const Completion& completion);

  std::unique_ptr<Provider> inner_;
  std::filesystem::path dir_;
  Sync<std::map<std::string, int64_t>> counts_;
};

}  // namespace ybis::model
