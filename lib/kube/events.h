#pragma once
// events.k8s.io/v1 Events about our objects: what `kubectl describe` shows.
#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>

#include "base/clock.h"
#include "base/sync.h"
#include "kube/client.h"

namespace ybis::kube {

enum class EventType { kNormal, kWarning };

/// Records events; tests give a fake.
class EventSink {
 public:
  virtual ~EventSink() = default;
  /// Never blocks and never fails: events are lost rather than work held up. `object` is what it is about
  /// (needs apiVersion, kind and metadata); `reason` and `action` are CamelCase words; `note` is cut to 1024
  /// bytes.
  virtual void Record(const nlohmann::json& object, EventType type, std::string_view reason,
                      std::string_view action, std::string_view note) = 0;
};

struct EventSettings {
  std::string controller = "ybis.dev/operator";
  std::string instance;                       ///< this replica, e.g. the pod's name
  std::chrono::milliseconds window{300'000};  ///< the same event within it is not sent again
  size_t max_queued = 1000;
};

/// Sends events from a thread of its own. Thread-safe; the references must outlive it. On destruction what is
/// queued is given 2 s.
class EventRecorder final : public EventSink {
 public:
  EventRecorder(Writer& writer, Clock& clock, EventSettings settings);
  ~EventRecorder() override;

  void Record(const nlohmann::json& object, EventType type, std::string_view reason, std::string_view action,
              std::string_view note) override;

  /// Waits until all that was recorded has been sent or given up; false on timeout.
  bool Flush(std::chrono::milliseconds timeout);
  /// Events that were dropped (full queue, refused by the server).
  uint64_t Dropped() const { return dropped_.load(); }

 private:
  struct State {
    std::deque<std::shared_ptr<const nlohmann::json>> queue;
    std::map<std::string, TimePoint> seen;
    bool busy = false;
  };
  void Run(std::stop_token stop);
  bool SeenBefore(State& state, const std::string& fingerprint, TimePoint now);

  Writer& writer_;
  Clock& clock_;
  EventSettings settings_;
  std::atomic<uint64_t> dropped_{0};
  Sync<State> state_;
  std::jthread thread_;
};

/// The Event object for it; pure. `serial` makes the name unique.
nlohmann::json BuildEvent(const nlohmann::json& object, EventType type, std::string_view reason,
                          std::string_view action, std::string_view note, const EventSettings& settings,
                          TimePoint now, std::string_view serial);

}  // namespace ybis::kube
