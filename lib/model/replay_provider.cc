#include "model/replay_provider.h"

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "model/openai_wire.h"

namespace ybis::model {
namespace {

Error FaultError(const RecordedFault& fault) {
  http::ClientResponse response;
  response.status = fault.status;
  response.body = fault.message;
  Error error = ChatError(response);
  error.retry_after = fault.retry_after;
  return error;
}

std::string FileName(const CompletionRequest& request, int64_t number) {
  std::string name = request.schema_name.empty() ? "text" : request.schema_name;
  for (char& c : name) {
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '-';
  }
  // The digest keeps two processes that record into one folder apart.
  return fmt::format("{}-{:04}-{}.json", name.substr(0, 60), number, CompletionDigest(request).substr(7, 12));
}

}  // namespace

Result<Completion> ReplayProvider::Complete(const CompletionRequest& request, std::stop_token stop) {
  YBIS_ASSIGN(Recording recording, recordings_.Find(request));
  if (recording.fault.stall.count() > 0) {
    const auto wait = std::min(recording.fault.stall, request.timeout);
    if (!clock_.SleepFor(wait, stop)) return Fail(ErrorCode::kCancelled, "stopped");
    if (recording.fault.stall >= request.timeout)
      return Fail(ErrorCode::kTimeout, "the model did not answer in time");
  }
  if (recording.fault.IsError()) return Fail(FaultError(recording.fault));
  recording.response.model = "recorded:" + std::filesystem::path(recording.source).stem().string();
  return recording.response;
}

Result<Completion> RecordProvider::Complete(const CompletionRequest& request, std::stop_token stop) {
  auto completion = inner_->Complete(request, stop);
  if (completion) Write(request, *completion);
  return completion;
}

void RecordProvider::Write(const CompletionRequest& request, const Completion& completion) {
  const auto recording = [&](int64_t number) { return MakeRecording(request, completion, number); };
  nlohmann::json match = recording(0)["match"];
  match.erase("occurrence");
  auto counts = counts_.Lock();
  const int64_t occurrence = ++(*counts)[request.group + DumpJson(match)];
  const int64_t number = ++(*counts)[""];
  std::error_code failed;
  std::filesystem::create_directories(dir_, failed);
  const Status written =
      WriteFileAtomic(dir_ / FileName(request, number), DumpJsonPretty(recording(occurrence)), 0600);
  if (!written) log::Warn("the exchange was not recorded", {{"why", written.error().message}});
}

}  // namespace ybis::model
