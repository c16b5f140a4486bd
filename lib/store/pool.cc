#include <fmt/format.h>
#include <sys/socket.h>

#include <list>

#include "base/jitter.h"
#include "base/sync.h"
#include "store/connection.h"
#include "store/database.h"
#include "store/notify_batch.h"

namespace ybis::store {
namespace {

using Steady = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr int kSerializationAttempts = 20;

/// Every statement of ours is a point or range by index. A plan made while a table was small, and kept by the
/// prepared statement, must not become a scan of everything when it has grown.
std::string SessionSettings(const PoolSettings& settings) {
  return fmt::format(
      "SET TimeZone = 'UTC'; SET DateStyle = 'ISO'; SET standard_conforming_strings = on; SET bytea_output = "
      "'hex'; "
      "SET statement_timeout = {}; SET idle_in_transaction_session_timeout = 60000; SET enable_seqscan = "
      "off; "
      "SET jit = off; SET client_min_messages = warning",
      settings.statement_timeout.count());
}

/// A server that answers but refuses for good: waiting does not help.
bool IsFinal(const Error& error) {
  if (error.code != ErrorCode::kUnavailable) return true;
  const std::string& text = error.message;
  const auto has = [&](std::string_view part) { return text.find(part) != std::string::npos; };
  return has("password authentication failed") || has("no pg_hba.conf entry") || has("\" does not exist");
}

}  // namespace

struct Pool::Impl {
  struct State {
    std::vector<std::unique_ptr<Connection>> idle;
    int total = 0;
  };
  using BusyList = std::list<Connection*>;

  explicit Impl(PoolSettings given) : settings(std::move(given)) {
    if (settings.statement_timeout.count() > 0) {
      reaper = std::jthread([this](std::stop_token stop) { Reap(std::move(stop)); });
    }
  }

  Result<std::unique_ptr<Connection>> Acquire(Steady::time_point deadline, std::stop_token stop);
  Result<std::unique_ptr<Connection>> Connect(Steady::time_point deadline, std::stop_token stop);
  void Return(std::unique_ptr<Connection> connection);
  Outcome Attempt(Connection& connection, const Connection::Work& work, bool single, std::stop_token stop);
  Status Run(const Connection::Work& work, bool single, std::stop_token stop, InDoubt in_doubt);
  void Reap(std::stop_token stop);

  const PoolSettings settings;
  Sync<State> state;
  Sync<BusyList> busy;
  NotifyBatch notify;
  std::jthread reaper;
};

/// A takeable connection: an idle one that is alive, or room for a new one.
Result<std::unique_ptr<Connection>> Pool::Impl::Acquire(Steady::time_point deadline, std::stop_token stop) {
  {
    auto locked = state.Lock();
    const auto left = std::max(Steady::duration::zero(), deadline - Steady::now());
    const bool ready = state.WaitFor(locked, stop, left, [&](const State& value) {
      return !value.idle.empty() || value.total < settings.size;
    });
    if (stop.stop_requested()) return Fail(ErrorCode::kCancelled, "database: stopped while waiting");
    if (!ready) return Fail(ErrorCode::kUnavailable, "database: every connection of the pool is busy");
    while (!locked->idle.empty()) {
      auto connection = std::move(locked->idle.back());
      locked->idle.pop_back();
      if (connection->UsableWhenIdle()) return connection;
      --locked->total;
    }
    ++locked->total;
  }
  auto connection = Connect(deadline, std::move(stop));
  if (!connection) Return(nullptr);
  return connection;
}

/// Keeps trying while the server is starting or away.
Result<std::unique_ptr<Connection>> Pool::Impl::Connect(Steady::time_point deadline, std::stop_token stop) {
  for (milliseconds wait{10};; wait = std::min(wait * 2, milliseconds{250})) {
    auto connection = Connection::Open(settings.url, settings.connect_timeout, settings.application_name);
    if (connection) {
      const Status ready = (*connection)->Command(SessionSettings(settings));
      if (ready) return connection;
      connection = Fail(ready.error());
    }
    if (IsFinal(connection.error()) || Steady::now() + wait > deadline) return connection;
    if (settings.on_unreachable) settings.on_unreachable(stop);
    if (!SystemClock().SleepFor(Jittered(wait), stop)) {
      return Fail(ErrorCode::kCancelled, "database: stopped while connecting");
    }
  }
}

void Pool::Impl::Return(std::unique_ptr<Connection> connection) {
  {
    auto locked = state.Lock();
    if (connection && !connection->broken()) {
      locked->idle.push_back(std::move(connection));
    } else {
      --locked->total;
    }
  }
  state.NotifyOne();
}

/// Runs once. A stop request, or a server that overruns every time-out, ends it by cutting the connection.
Outcome Pool::Impl::Attempt(Connection& connection, const Connection::Work& work, bool single,
                            std::stop_token stop) {
  const int socket = connection.socket();
  BusyList entry;
  entry.push_back(&connection);
  const auto place = entry.begin();
  {
    auto locked = busy.Lock();
    locked->splice(locked->end(), entry);
  }
  Outcome outcome;
  {
    const std::stop_callback cut(stop, [socket] { ::shutdown(socket, SHUT_RDWR); });
    outcome = single ? connection.Single(work) : connection.InTransaction(work);
  }
  busy.Lock()->erase(place);
  return outcome;
}

Status Pool::Impl::Run(const Connection::Work& work, bool single, std::stop_token stop, InDoubt in_doubt) {
  const auto deadline = Steady::now() + settings.acquire_timeout;
  for (int attempt = 1;; ++attempt) {
    auto connection = Acquire(deadline, stop);
    if (!connection) return Fail(connection.error());
    Outcome outcome = Attempt(**connection, work, single, stop);
    const bool lost = (*connection)->broken();
    Return(std::move(*connection));
    if (outcome.status) return {};
    if (stop.stop_requested()) return Fail(ErrorCode::kCancelled, "database: stopped");
    if (outcome.effect == Effect::kInDoubt && in_doubt == InDoubt::kReport) {
      return FailIn("in doubt whether it was recorded; read the state again", outcome.status.error());
    }
    if (outcome.effect == Effect::kNone) return outcome.status;
    const bool out_of_time = Steady::now() > deadline || (!lost && attempt >= kSerializationAttempts);
    if (out_of_time) return outcome.status;
    if (!SystemClock().SleepFor(Jittered(milliseconds(std::min(200, 2 << std::min(attempt, 7)))), stop)) {
      return Fail(ErrorCode::kCancelled, "database: stopped");
    }
  }
}

void Pool::Impl::Reap(std::stop_token stop) {
  const milliseconds limit = settings.statement_timeout + settings.cut_grace;
  while (SystemClock().SleepFor(std::clamp(limit / 10, milliseconds{10}, milliseconds{500}), stop)) {
    auto locked = busy.Lock();
    for (const Connection* connection : *locked) {
      if (connection->Silence() > limit) ::shutdown(connection->socket(), SHUT_RDWR);
    }
  }
}

Pool::Pool(PoolSettings settings) : impl_(std::make_unique<Impl>(std::move(settings))) {}
Pool::~Pool() = default;

const PoolSettings& Pool::settings() const { return impl_->settings; }

Status Pool::Run(const std::function<Status(Transaction&)>& work, bool single, std::stop_token stop,
                 InDoubt in_doubt) {
  return impl_->Run(work, single, std::move(stop), in_doubt);
}

Result<Rows> Pool::Execute(std::string_view sql, const Params& params, std::stop_token stop,
                           InDoubt in_doubt) {
  return Single([&](Transaction& transaction) { return transaction.Exec(sql, params); }, std::move(stop),
                in_doubt);
}

Status Pool::Notify(const std::string& channel, const std::vector<std::string>& payloads,
                    std::stop_token stop) {
  NotifyBatch::Messages messages;
  for (const std::string& payload : payloads) messages.emplace(channel, payload);
  if (messages.empty()) return {};
  const auto send = [&](const NotifyBatch::Messages& all) -> Status {
    std::vector<std::string> channels, texts;
    for (const auto& [to, text] : all) {
      channels.push_back(to);
      texts.push_back(text);
    }
    YBIS_TRY(Execute(
        "SELECT pg_notify(channel, payload) FROM unnest($1::text[], $2::text[]) AS told (channel, payload)",
        {channels, texts}, stop, InDoubt::kRepeat));
    return {};
  };
  return impl_->notify.Tell(messages, send, stop);
}

}  // namespace ybis::store
