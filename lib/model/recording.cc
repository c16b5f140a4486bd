#include "model/recording.h"

#include <nlohmann/json.hpp>
#include <set>

#include "base/digest.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "model/openai_wire.h"

namespace ybis::model {
namespace {

using nlohmann::json;

constexpr size_t kMaxFiles = 10'000;
constexpr size_t kMaxFile = 4 * 1024 * 1024;
constexpr size_t kMaxGroups = 10'000;

std::string TextOf(const CompletionRequest& request) {
  std::string text;
  for (const auto& message : request.messages) text += message.content + "\n";
  return text;
}

Result<FinishReason> ParseFinish(const std::string& name) {
  if (name == "length") return FinishReason::kLength;
  if (name == "content_filter") return FinishReason::kContentFilter;
  return FinishReason::kStop;
}

void ReadMatch(const json& value, ObjectReader& outer, Recording& recording) {
  ObjectReader reader(value, outer.PathOf("match"));
  recording.schema = reader.String("schema");
  recording.contains = reader.Strings("contains");
  recording.lacks = reader.Strings("lacks");
  recording.occurrence = reader.Int("occurrence", 0, 1, 1'000'000);
  outer.Adopt(reader.Finish());
}

void ReadResponse(const json& value, ObjectReader& outer, Recording& recording) {
  ObjectReader reader(value, outer.PathOf("response"));
  const json* content = reader.Member("content");
  if (content == nullptr) {
    reader.Problem(reader.PathOf("content") + ": is required");
  } else {
    recording.response.content = content->is_string() ? content->get<std::string>() : DumpJson(*content);
  }
  recording.response.finish =
      *ParseFinish(reader.Choice("finish", "stop", {"stop", "length", "content_filter"}));
  recording.response.tokens_out = EstimateTokens(recording.response.content);
  if (const json* usage = reader.Object("usage")) {
    ObjectReader counts(*usage, reader.PathOf("usage"));
    recording.response.tokens_in = counts.Int("tokensIn", 0, 0, 1'000'000'000);
    recording.response.tokens_out = counts.Int("tokensOut", 0, 0, 1'000'000'000);
    reader.Adopt(counts.Finish());
  }
  outer.Adopt(reader.Finish());
}

void ReadFault(const json& value, ObjectReader& outer, Recording& recording) {
  ObjectReader reader(value, outer.PathOf("fault"));
  recording.fault.status = static_cast<int>(reader.Int("status", 0, 400, 599));
  const double retry_after = reader.Number("retryAfterSeconds", 0, 0, 3600);
  const double stall = reader.Number("stallSeconds", 0, 0, 3600);
  recording.fault.retry_after = std::chrono::milliseconds(static_cast<int64_t>(retry_after * 1000));
  recording.fault.stall = std::chrono::milliseconds(static_cast<int64_t>(stall * 1000));
  recording.fault.message = reader.String("message", "recorded fault");
  if (recording.fault.status == 0 && stall == 0) {
    reader.Problem(reader.PathOf("status") + ": is required, unless stallSeconds is given");
  }
  outer.Adopt(reader.Finish());
}

/// What people look for first: the line that tells this exchange from others.
std::string Landmark(const CompletionRequest& request) {
  for (auto message = request.messages.rbegin(); message != request.messages.rend(); ++message) {
    if (message->role != "user") continue;
    const size_t from = message->content.find_first_not_of(" \t\r\n");
    if (from == std::string::npos) continue;
    const std::string line = message->content.substr(from, message->content.find('\n', from) - from);
    return line.substr(0, 120);
  }
  return {};
}

}  // namespace

bool Recording::Fits(const CompletionRequest& request, const std::string& text) const {
  if (schema != "*" && schema != request.schema_name) return false;
  const auto in_text = [&text](const std::string& part) { return text.find(part) != std::string::npos; };
  return std::all_of(contains.begin(), contains.end(), in_text) &&
         std::none_of(lacks.begin(), lacks.end(), in_text);
}

std::string Recording::Key() const { return DumpJson({schema, contains, lacks}); }

Result<Recording> ParseRecording(const json& value, const std::string& source) {
  Recording recording;
  recording.source = source;
  ObjectReader reader(value, "");
  reader.Member("note");
  reader.Member("request");
  recording.request_digest = reader.String("requestDigest");
  const json* match = reader.Object("match");
  const json* response = reader.Object("response");
  const json* fault = reader.Object("fault");
  if (match == nullptr) reader.Problem("match: is required");
  if (match != nullptr) ReadMatch(*match, reader, recording);
  if (response != nullptr) ReadResponse(*response, reader, recording);
  if (fault != nullptr) ReadFault(*fault, reader, recording);
  if (response == nullptr && !recording.fault.IsError()) {
    reader.Problem("response: is required, unless fault.status is given");
  }
  if (response != nullptr && recording.fault.IsError())
    reader.Problem("response: cannot be given beside fault.status");
  const Status status = reader.Finish();
  if (!status) return FailIn(source, status.error());
  return recording;
}

Result<std::vector<Recording>> LoadRecordings(const std::filesystem::path& dir) {
  std::error_code failed;
  std::set<std::filesystem::path> files;
  for (auto entry = std::filesystem::recursive_directory_iterator(dir, failed);
       !failed && entry != std::filesystem::recursive_directory_iterator(); entry.increment(failed)) {
    // A mounted ConfigMap keeps its files twice, once in a folder of this name.
    if (entry->path().filename().string().starts_with(".."))
      entry.disable_recursion_pending();
    else if (entry->path().extension() == ".json")
      files.insert(entry->path());
    if (files.size() > kMaxFiles)
      return Fail(ErrorCode::kTooLarge, fmt::format("{}: too many recordings", dir.string()));
  }
  if (failed)
    return Fail(ErrorCode::kNotFound, fmt::format("recordings {}: {}", dir.string(), failed.message()));
  if (files.empty())
    return Fail(ErrorCode::kNotFound, fmt::format("recordings {}: no *.json file there", dir.string()));
  std::vector<Recording> recordings;
  for (const auto& file : files) {
    YBIS_ASSIGN(const std::string text, ReadFile(file, kMaxFile));
    YBIS_ASSIGN(const json value, ParseJson(text, file.string()));
    YBIS_ASSIGN(Recording recording, ParseRecording(value, file.string()));
    recordings.push_back(std::move(recording));
  }
  return recordings;
}

json MakeRecording(const CompletionRequest& request, const Completion& response, int64_t occurrence) {
  json messages = json::array();
  for (const auto& message : request.messages) {
    messages.push_back({{"role", message.role}, {"content", log::Redact(message.content)}});
  }
  json match = {{"schema", request.schema_name}, {"occurrence", occurrence}};
  const std::string landmark = Landmark(request);
  if (!landmark.empty()) match["contains"] = {log::Redact(landmark)};
  const char* finish = response.finish == FinishReason::kLength          ? "length"
                       : response.finish == FinishReason::kContentFilter ? "content_filter"
                                                                         : "stop";
  return {{"note", "recorded from " + response.model},
          {"match", match},
          {"requestDigest", CompletionDigest(request)},
          {"request", {{"messages", messages}}},
          {"response",
           {{"content", log::Redact(response.content)},
            {"finish", finish},
            {"usage", {{"tokensIn", response.tokens_in}, {"tokensOut", response.tokens_out}}}}}};
}

std::string CompletionDigest(const CompletionRequest& request) {
  json whole = {request.schema_name};
  for (const auto& message : request.messages) whole.push_back({message.role, message.content});
  return Digest(DumpJson(whole));
}

const Recording* RecordingSet::Choose(const CompletionRequest& request, const std::string& digest,
                                      Group& group) {
  const auto again = group.answered.find(digest);
  if (again != group.answered.end()) return again->second;
  const std::string text = TextOf(request);
  std::map<std::string, int64_t> counted;
  const Recording* chosen = nullptr;
  for (const Recording& recording : recordings_) {
    if (recording.request_digest == digest && !recording.request_digest.empty()) chosen = &recording;
  }
  const bool exact = chosen != nullptr;
  for (const Recording& recording : recordings_) {
    if (!recording.Fits(request, text)) continue;
    const std::string key = recording.Key();
    if (!counted.contains(key)) counted[key] = ++group.counts[key];
    const bool its_turn = recording.occurrence == 0 || recording.occurrence == counted[key];
    if (its_turn && chosen == nullptr && !exact) chosen = &recording;
  }
  if (chosen != nullptr && !chosen->fault.IsError() && chosen->fault.stall.count() == 0) {
    group.answered[digest] = chosen;
  }
  return chosen;
}

Result<Recording> RecordingSet::Find(const CompletionRequest& request) {
  const std::string digest = CompletionDigest(request);
  auto groups = groups_.Lock();
  if (groups->size() > kMaxGroups) groups->clear();
  const Recording* chosen = Choose(request, digest, (*groups)[request.group]);
  if (chosen == nullptr) return Nothing(request);
  Recording found = *chosen;
  if (found.response.tokens_in == 0) found.response.tokens_in = EstimateTokens(request);
  return found;
}

Unexpected RecordingSet::Nothing(const CompletionRequest& request) const {
  const std::string text = TextOf(request);
  std::string near;
  int shown = 0;
  for (const Recording& recording : recordings_) {
    if ((recording.schema != request.schema_name && recording.schema != "*") || shown++ == 8) continue;
    std::vector<std::string> why;
    for (const auto& part : recording.contains) {
      if (text.find(part) == std::string::npos) why.push_back(fmt::format("lacks '{}'", part.substr(0, 80)));
    }
    for (const auto& part : recording.lacks) {
      if (text.find(part) != std::string::npos) why.push_back(fmt::format("has '{}'", part.substr(0, 80)));
    }
    if (why.empty()) why.push_back(fmt::format("is for occurrence {}", recording.occurrence));
    near += fmt::format("; {}: {}", std::filesystem::path(recording.source).filename().string(),
                        fmt::join(why, ", "));
  }
  return Fail(ErrorCode::kInvalid,
              fmt::format("no recorded answer fits: asked for schema '{}', last message begins '{}'{}",
                          request.schema_name, Landmark(request),
                          near.empty() ? "; no recording has this schema" : near));
}

}  // namespace ybis::model
