#pragma once
// Keeps a Cache true to the API server: list in pages, then watch; list again when the watch cannot go on.
#include <atomic>
#include <chrono>
#include <functional>
#include <stop_token>
#include <string>
#include <thread>

#include "base/clock.h"
#include "base/sync.h"
#include "kube/cache.h"
#include "kube/client.h"

namespace ybis::kube {

struct ReflectorSettings {
  Resource resource;
  std::string ns;  ///< "" = all namespaces
  std::string label_selector;
  std::string field_selector;
  int page_size = 500;
  std::chrono::seconds min_watch{300};  ///< a watch ends after a random time between these
  std::chrono::seconds max_watch{600};
  std::chrono::milliseconds min_backoff{800};
  std::chrono::milliseconds max_backoff{30'000};
};

/// One resource's list and watch, on a thread of its own between Start and Stop (or destruction). The
/// references must outlive it. The cache and the methods may be used from any thread.
class Reflector {
 public:
  /// Called on the reflector's thread after the cache has changed; the object is nullptr when it was deleted.
  /// Must be quick: enqueue the key and return.
  using OnChange = std::function<void(const Key& key, const Object& object)>;

  Reflector(Reader& reader, Watcher& watcher, Clock& clock, ReflectorSettings settings, OnChange on_change);
  ~Reflector();

  void Start();
  /// Ends the watch and joins the thread: some milliseconds, however silent the watch.
  void Stop();

  /// Whether the first list is in the cache.
  bool HasSynced() const { return synced_.load(); }
  /// Waits for it; false on timeout or stop.
  bool WaitForSync(std::chrono::milliseconds timeout, std::stop_token stop);

  Cache& Objects() { return cache_; }
  /// How many lists were made; for metrics and tests.
  uint64_t Lists() const { return lists_.load(); }
  /// The error that the last attempt ended with, or "" when all is well.
  std::string LastError();

 private:
  void Run(std::stop_token stop);
  Status ListAll(std::stop_token stop);
  Status WatchOnce(std::stop_token stop);
  Status Handle(const WatchEvent& event);
  void Recover(const Error& error, std::stop_token stop);

  Reader& reader_;
  Watcher& watcher_;
  Clock& clock_;
  ReflectorSettings settings_;
  OnChange on_change_;
  Cache cache_;
  std::string version_;  ///< to watch from; "" = list first. Reflector thread only
  int failures_ = 0;     ///< in a row. Reflector thread only
  std::atomic<bool> synced_{false};
  std::atomic<uint64_t> lists_{0};
  Sync<std::string> last_error_;
  std::jthread thread_;
};

}  // namespace ybis::kube
