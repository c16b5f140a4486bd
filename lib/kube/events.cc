#include "kube/events.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/digest.h"
#include "base/log.h"
#include "base/utf8.h"
#include "kube/deadline_stop.h"

namespace ybis::kube {
namespace {

using nlohmann::json;
constexpr size_t kMaxNote = 1024;
constexpr size_t kMaxWord = 128;
constexpr size_t kMaxObjectName = 200;  // leaves room for the serial in the event's name
constexpr size_t kMaxRemembered = 10'000;
constexpr std::chrono::milliseconds kSendLimit{10'000};
constexpr std::chrono::milliseconds kLastCall{2'000};

/// At most `limit` bytes, cut between characters.
std::string Cut(std::string_view text, size_t limit) { return std::string(CutAtCharacter(text, limit)); }

std::string Member(const json& object, const char* field) {
  const auto found = object.find(field);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::string NameFor(const std::string& object_name, std::string_view serial) {
  return fmt::format("{}.{}", Cut(object_name, kMaxObjectName), serial);
}

}  // namespace

json BuildEvent(const json& object, EventType type, std::string_view reason, std::string_view action,
                std::string_view note, const EventSettings& settings, TimePoint now,
                std::string_view serial) {
  const Key key = KeyOf(object);
  json regarding = {
      {"apiVersion", Member(object, "apiVersion")}, {"kind", Member(object, "kind")}, {"name", key.name}};
  if (!key.ns.empty()) regarding["namespace"] = key.ns;
  for (const char* field : {"uid", "resourceVersion"}) {
    if (const std::string value = MetaString(object, field); !value.empty()) regarding[field] = value;
  }
  return {
      {"apiVersion", kEvents.ApiVersion()},
      {"kind", kEvents.kind},
      {"metadata", {{"namespace", key.ns.empty() ? "default" : key.ns}, {"name", NameFor(key.name, serial)}}},
      {"eventTime", FormatRfc3339Micro(now)},
      {"type", type == EventType::kNormal ? "Normal" : "Warning"},
      {"reason", Cut(reason, kMaxWord)},
      {"action", Cut(action, kMaxWord)},
      {"note", Cut(note, kMaxNote)},
      {"regarding", std::move(regarding)},
      {"reportingController", settings.controller},
      {"reportingInstance",
       Cut(settings.instance.empty() ? settings.controller : settings.instance, kMaxWord)}};
}

EventRecorder::EventRecorder(Writer& writer, Clock& clock, EventSettings settings)
    : writer_(writer),
      clock_(clock),
      settings_(std::move(settings)),
      thread_([this](std::stop_token stop) { Run(stop); }) {}

EventRecorder::~EventRecorder() {
  Flush(kLastCall);
  thread_.request_stop();
}

bool EventRecorder::SeenBefore(State& state, const std::string& fingerprint, TimePoint now) {
  std::erase_if(state.seen, [&](const auto& entry) { return entry.second + settings_.window <= now; });
  if (state.seen.contains(fingerprint)) return true;
  if (state.seen.size() < kMaxRemembered) state.seen[fingerprint] = now;
  return false;
}

void EventRecorder::Record(const json& object, EventType type, std::string_view reason,
                           std::string_view action, std::string_view note) {
  const TimePoint now = clock_.Now();
  const std::string fingerprint =
      Sha256Hex(fmt::format("{}\n{}\n{}\n{}\n{}\n{}", KeyOf(object).ToString(), MetaString(object, "uid"),
                            static_cast<int>(type), reason, action, note));
  {
    auto state = state_.Lock();
    if (SeenBefore(*state, fingerprint, now)) return;
    if (state->queue.size() >= settings_.max_queued) {
      dropped_.fetch_add(1);
      return;
    }
    state->queue.push_back(std::make_shared<const json>(
        BuildEvent(object, type, reason, action, note, settings_, now, RandomHex(8))));
  }
  state_.NotifyAll();
}

bool EventRecorder::Flush(std::chrono::milliseconds timeout) {
  auto state = state_.Lock();
  return state_.WaitFor(state, std::stop_token(), timeout,
                        [](const State& s) { return s.queue.empty() && !s.busy; });
}

void EventRecorder::Run(std::stop_token stop) {
  while (true) {
    std::shared_ptr<const json> event;
    {
      auto state = state_.Lock();
      if (!state_.Wait(state, stop, [](const State& s) { return !s.queue.empty(); }) || stop.stop_requested())
        return;
      event = std::move(state->queue.front());
      state->queue.pop_front();
      state->busy = true;
    }
    const DeadlineStop bounded(stop, kSendLimit);
    const auto sent = writer_.Create(kEvents, *event, bounded.Token());
    // kExists is our own request that was sent twice.
    if (!sent && sent.error().code != ErrorCode::kExists) {
      dropped_.fetch_add(1);
      log::Warn("event was not recorded", {{"reason", (*event)["reason"]}, {"error", sent.error().message}});
    }
    state_.Lock()->busy = false;
    state_.NotifyAll();
  }
}

}  // namespace ybis::kube
