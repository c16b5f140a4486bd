#pragma once
// What the runner's pods of a run say, from the API server.
#include <functional>
#include <stop_token>
#include <string>
#include <string_view>

#include "kube/client.h"

namespace ybis::cli {

/// The pods of one run, the newest attempt's last. Used from one thread; the client must outlive it.
class PodLogs {
 public:
  using Write = std::function<void(std::string_view)>;

  PodLogs(kube::KubeClient& client, std::string ns, std::string run_id)
      : client_(client), ns_(std::move(ns)), run_id_(std::move(run_id)) {}

  /// Copies the log of the newest pod; kNotFound when there is none (any more).
  Status Copy(const Write& write, std::stop_token stop);
  /// Copies the log of a pod that was not copied yet and goes on until its container ends. False when there
  /// is no such pod, or it has not started.
  Result<bool> Follow(const Write& write, std::stop_token stop);

 private:
  Result<std::string> NewestPod(std::stop_token stop);
  Status Stream(const std::string& pod, bool follow, const Write& write, std::stop_token stop);

  kube::KubeClient& client_;
  std::string ns_;
  std::string run_id_;
  std::string followed_;  ///< the last pod that Follow has copied to its end
};

}  // namespace ybis::cli
