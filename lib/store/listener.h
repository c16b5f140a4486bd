#pragma once
// Hearing NOTIFY: one connection and one thread, made again whenever they break.
#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace ybis::store {

struct ListenerSettings {
  std::string url;
  std::vector<std::string> channels;
  std::chrono::milliseconds connect_timeout{5'000};
  std::chrono::milliseconds retry{500};     ///< between attempts to connect, with jitter
  std::chrono::milliseconds probe{30'000};  ///< silence after which the connection is tried
};

/// Calls back from its own thread. Notifications sent while it was not connected are lost, so `on_connected`
/// comes after every connect, the first one too: rescan there. Stops within milliseconds on destruction.
class Listener {
 public:
  using OnNotify = std::function<void(std::string_view channel, std::string_view payload)>;
  Listener(ListenerSettings settings, OnNotify on_notify, std::function<void()> on_connected);
  ~Listener() = default;

 private:
  std::jthread thread_;
};

}  // namespace ybis::store
