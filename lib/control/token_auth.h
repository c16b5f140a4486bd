#pragma once
// Who may speak for a run: in a cluster the pod of its Job, shown by a projected service-account token;
// locally the process that was handed the run's token.
#include <chrono>
#include <map>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "base/sync.h"
#include "kube/client.h"

namespace ybis::control {

/// The audience that runners' tokens are made for.
inline constexpr std::string_view kTokenAudience = "ybis";

/// Whether a token speaks for a run.
struct AuthVerdict {
  enum class Kind {
    kAllowed,
    kUnauthenticated,  ///< no, unknown, expired or revoked token: 401
    kForbidden,        ///< a good token of somebody else: 403
  };
  Kind kind = Kind::kUnauthenticated;
  std::string holder;  ///< kAllowed: who it is, the pod's UID or "local"
  std::string reason;  ///< not allowed: why, without the token
};

/// Errors mean that it could not be found out (kUnavailable); a refusal is a verdict. Thread-safe.
class RunAuthenticator {
 public:
  virtual ~RunAuthenticator() = default;
  /// `peer` is the address that the request came from.
  virtual Result<AuthVerdict> Authenticate(std::string_view token, const std::string& run_id,
                                           const std::string& peer, std::stop_token stop) = 0;
};

/// Whether a pod belongs to the Job of a run: label ybis.dev/run-id and the chain of owners. Answered from
/// the operator's cache, or by asking the API server when the cache has not seen the pod yet. Thread-safe.
class PodOwnership {
 public:
  virtual ~PodOwnership() = default;
  virtual Result<bool> PodRunsRun(const std::string& pod_namespace, const std::string& pod_name,
                                  const std::string& pod_uid, const std::string& run_id,
                                  std::stop_token stop) = 0;
};

struct PodTokenSettings {
  std::chrono::milliseconds allowed_for{60'000};  ///< how long an allowance is remembered
  std::chrono::milliseconds refused_for{5'000};
  size_t max_entries = 4096;
  double max_refusals = 64;        ///< reviews of one peer that came to nothing, in a burst
  double refusals_per_second = 4;  ///< and in the long run
};

/// The cluster's flavour: TokenReview for the audience `ybis`, the token's pod, the pod's run. Verdicts are
/// remembered by digest of token and run, for a short while and in bounded number; failures to find out are
/// not. Made-up tokens of one peer are reviewed at a bounded rate; past it they are kUnavailable.
/// Thread-safe.
class PodTokenAuthenticator final : public RunAuthenticator {
 public:
  PodTokenAuthenticator(kube::TokenReviewer& reviewer, PodOwnership& pods, Clock& clock,
                        PodTokenSettings settings = {});
  ~PodTokenAuthenticator() override;
  Result<AuthVerdict> Authenticate(std::string_view token, const std::string& run_id, const std::string& peer,
                                   std::stop_token stop) override;

 private:
  class Memory;
  class Refusals;
  Result<AuthVerdict> Review(std::string_view token, const std::string& run_id, std::stop_token stop);

  kube::TokenReviewer& reviewer_;
  PodOwnership& pods_;
  Clock& clock_;
  PodTokenSettings settings_;
  std::unique_ptr<Memory> memory_;
  std::unique_ptr<Refusals> refusals_;
};

/// The local flavour: one random token a run, handed to its process over a pipe; digests are compared, in
/// constant time. The token itself is kept for the log alone, which masks it as long as it holds.
/// Thread-safe.
class LocalTokens final : public RunAuthenticator {
 public:
  /// A new token for the run; an earlier one stops working. It is registered as a secret.
  std::string Issue(const std::string& run_id);
  /// The token stops working; the log forgets it.
  void Revoke(const std::string& run_id);
  Result<AuthVerdict> Authenticate(std::string_view token, const std::string& run_id, const std::string& peer,
                                   std::stop_token stop) override;

 private:
  struct Issued {
    std::string token;
    std::string digest;
  };
  Sync<std::map<std::string, Issued>> issued_;
};

}  // namespace ybis::control
