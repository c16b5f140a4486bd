#include "store/listener.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <pqxx/pqxx>

#include "base/clock.h"
#include "base/log.h"
#include "base/unique_fd.h"
#include "store/connection.h"
#include "store/conninfo.h"

namespace ybis::store {
namespace {

/// Becomes readable when a stop is requested, so that poll() can wait for it too.
class StopDescriptor {
 public:
  explicit StopDescriptor(std::stop_token stop)
      : fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)), wake_(std::move(stop), Wake{fd_.get()}) {}
  int fd() const { return fd_.get(); }

 private:
  struct Wake {
    int fd;
    void operator()() const {
      const uint64_t one = 1;
      [[maybe_unused]] const auto written = ::write(fd, &one, sizeof(one));
    }
  };
  UniqueFd fd_;  // closed once no callback can write to it any more
  std::stop_callback<Wake> wake_;
};

class Receiver final : public pqxx::notification_receiver {
 public:
  Receiver(pqxx::connection_base& connection, const std::string& channel, const Listener::OnNotify& on_notify)
      : notification_receiver(connection, channel), on_notify_(on_notify) {}
  void operator()(const std::string& payload, int) override { on_notify_(channel(), payload); }

 private:
  const Listener::OnNotify& on_notify_;
};

/// The loop of a listener's thread.
class ListenLoop {
 public:
  ListenLoop(ListenerSettings settings, Listener::OnNotify on_notify, std::function<void()> on_connected)
      : settings_(std::move(settings)),
        on_notify_(std::move(on_notify)),
        on_connected_(std::move(on_connected)) {}

  void Run(std::stop_token stop) {
    const StopDescriptor stopped(stop);
    while (!stop.stop_requested()) {
      try {
        Listen(stopped.fd(), stop);
      } catch (const std::exception& error) {
        if (stop.stop_requested()) return;
        log::Warn("database notifications interrupted", {{"error", log::Redact(error.what())}});
      }
      if (!SystemClock().SleepFor(settings_.retry, stop)) return;
    }
  }

 private:
  /// Serves one connection until it breaks (throws) or a stop is requested.
  void Listen(int stop_fd, const std::stop_token& stop) {
    const auto conninfo = ConnectionString(settings_.url, settings_.connect_timeout, "ybis-listener");
    if (!conninfo) throw std::runtime_error(conninfo.error().message);
    pqxx::connection connection(*conninfo);
#include <pqxx/internal/ignore-deprecated-pre.hxx>
    connection.inhibit_reactivation(true);  // a silent reconnect would hide lost notifications
#include <pqxx/internal/ignore-deprecated-post.hxx>
    std::vector<std::unique_ptr<Receiver>> receivers;
    for (const std::string& channel : settings_.channels) {
      receivers.push_back(std::make_unique<Receiver>(connection, channel, on_notify_));
    }
    on_connected_();
    while (!stop.stop_requested()) {
      if (!WaitReadable(connection.sock(), stop_fd)) pqxx::nontransaction(connection).exec("SELECT 1");
      connection.get_notifs();
      if (!connection.is_open()) throw std::runtime_error("the server closed the connection");
    }
  }

  /// False after `probe` without a byte.
  bool WaitReadable(int socket, int stop_fd) const {
    pollfd entries[] = {{socket, POLLIN, 0}, {stop_fd, POLLIN, 0}};
    return ::poll(entries, 2, static_cast<int>(settings_.probe.count())) != 0;
  }

  ListenerSettings settings_;
  Listener::OnNotify on_notify_;
  std::function<void()> on_connected_;
};

}  // namespace

Listener::Listener(ListenerSettings settings, OnNotify on_notify, std::function<void()> on_connected)
    : thread_([loop = std::make_shared<ListenLoop>(std::move(settings), std::move(on_notify),
                                                   std::move(on_connected))](std::stop_token stop) {
        loop->Run(std::move(stop));
      }) {}

}  // namespace ybis::store
