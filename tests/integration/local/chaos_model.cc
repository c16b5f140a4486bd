#include "tests/integration/local/chaos_model.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <stdexcept>

#include "base/json.h"
#include "model/openai_wire.h"

namespace ybis::testing {

using nlohmann::json;
using namespace std::chrono_literals;

namespace {

constexpr const char* kFile = "answer.txt";

json AnswerOf(const std::string& schema, const std::string& run_id) {
  if (schema == "spec") {
    return {{"title", "Note the run"},
            {"requirements", {fmt::format("{} holds the run's id.", kFile)}},
            {"acceptanceCriteria", {"The file is there."}},
            {"outOfScope", json::array()},
            {"assumptions", json::array()}};
  }
  if (schema == "plan") {
    return {{"summary", "Write the file."},
            {"steps", {"Write it."}},
            {"files", {{{"path", kFile}, {"action", "create"}, {"reason", "asked for"}}}}};
  }
  return {{"edits", {{{"op", "write"}, {"path", kFile}, {"content", run_id + "\n"}}}}};
}

}  // namespace

CountingModel::CountingModel() {
  http::Router router;
  router.Add(
      "POST", "/v1/chat/completions",
      [this](const http::Request& request, const std::stop_token& stop) { return Answer(request, stop); });
  http::ServerSettings settings;
  settings.listen = {{.address = "127.0.0.1"}};
  auto server = http::Server::Start(settings, std::move(router));
  if (!server) throw std::runtime_error(server.error().message);
  server_ = std::move(*server);
}

std::string CountingModel::Endpoint() const { return fmt::format("http://127.0.0.1:{}/v1", server_->Port()); }

std::map<std::string, std::vector<CountingModel::Paid>> CountingModel::Bill() { return *bill_.Lock(); }

http::Response CountingModel::Answer(const http::Request& request, const std::stop_token& stop) {
  const TimePoint asked = SystemClock().Now();
  const auto body = ParseJson(request.body, "body", {.max_bytes = 16 * 1024 * 1024, .max_depth = 64});
  if (!body) return http::JsonResponse({{"error", {{"message", body.error().message}}}}, 400);
  const auto question = model::ParseChatRequest(*body);
  if (!question) return http::JsonResponse({{"error", {{"message", question.error().message}}}}, 400);
  const std::string run_id(request.Header("x-ybis-run"));
  SystemClock().SleepFor(20ms, stop);  // so that there is a middle to be killed in
  (*bill_.Lock())[run_id + " " + question->schema_name].push_back({asked, SystemClock().Now()});
  return http::JsonResponse(model::ToChatResponse({.content = AnswerOf(question->schema_name, run_id).dump(),
                                                   .model = "counting",
                                                   .tokens_in = 10,
                                                   .tokens_out = 5}));
}

}  // namespace ybis::testing
