#pragma once
// One leader among replicas, by a coordination.k8s.io Lease.
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <stop_token>
#include <string>

#include "base/clock.h"
#include "base/sync.h"
#include "kube/client.h"

namespace ybis::kube {

struct LeaderElectionSettings {
  std::string ns;
  std::string name;
  std::string identity;  ///< unique for each replica, e.g. pod name and a UUID
  std::chrono::milliseconds lease_duration{
      15'000};  ///< others wait this long after the last renewal they saw
  std::chrono::milliseconds renew_deadline{10'000};  ///< a leader that could not renew for this long gives up
  std::chrono::milliseconds retry_period{2'000};
  /// Elapsed time; never the wall clock, which other machines don't share and which may jump.
  std::function<std::chrono::steady_clock::time_point()> monotonic = [] {
    return std::chrono::steady_clock::now();
  };
};

/// All called on the thread that runs Run; must not block.
struct LeaderCallbacks {
  std::function<void()> on_started;  ///< we lead from now on
  std::function<void()> on_stopped;  ///< we don't any more: stop all writes at once
  std::function<void(const std::string& identity)> on_new_leader;
};

/// Stands for election until stopped. Another replica's lease is judged by how long we have seen it unchanged
/// on our own clock, so clocks may differ. References must outlive it.
class LeaderElector {
 public:
  LeaderElector(Reader& reader, Writer& writer, Clock& clock, LeaderElectionSettings settings,
                LeaderCallbacks callbacks);

  /// Blocks until `stop`: acquires, renews, and after a loss stands again. On stop a held lease is released,
  /// so that the next leader need not wait.
  void Run(std::stop_token stop);

  /// Whether we hold the lease and renewed it within the renew deadline. Any thread.
  bool IsLeader() const;
  /// Who holds the lease as last seen; "" = nobody. Any thread.
  std::string Leader();

 private:
  bool TryAcquireOrRenew(std::stop_token stop);
  bool CreateLease(std::stop_token stop);
  bool TakeLease(std::stop_token stop);
  bool HeldByOther() const;
  void Observe(const nlohmann::json& lease);
  bool Attempt(std::stop_token stop);
  void RenewUntilLost(std::stop_token stop);
  void Release();
  nlohmann::json NextSpec() const;
  void Lead(bool leading);

  Reader& reader_;
  Writer& writer_;
  Clock& clock_;
  LeaderElectionSettings settings_;
  LeaderCallbacks callbacks_;
  std::shared_ptr<const nlohmann::json> lease_;  ///< as last seen. Run's thread only, like the two below
  std::string record_;                           ///< its spec as text, to notice a change
  std::chrono::steady_clock::time_point observed_at_{};
  std::atomic<std::chrono::steady_clock::rep> renewed_at_{0};
  std::atomic<bool> leading_{false};
  Sync<std::string> leader_;
};

}  // namespace ybis::kube
