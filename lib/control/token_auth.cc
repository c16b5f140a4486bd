#include "control/token_auth.h"

#include <openssl/crypto.h>

#include <list>

#include "base/digest.h"
#include "base/log.h"
#include "base/log_secrets.h"

namespace ybis::control {
namespace {

constexpr size_t kMaxToken = 16 * 1024;
constexpr size_t kLocalTokenBytes = 32;

AuthVerdict Unauthenticated(std::string reason) {
  return {AuthVerdict::Kind::kUnauthenticated, {}, std::move(reason)};
}
AuthVerdict Forbidden(std::string reason) { return {AuthVerdict::Kind::kForbidden, {}, std::move(reason)}; }
AuthVerdict Allowed(std::string holder) { return {AuthVerdict::Kind::kAllowed, std::move(holder), {}}; }

/// Three parts of the URL alphabet, as every service-account token is: anything else need not trouble the API
/// server.
bool LooksLikeToken(std::string_view token) {
  if (token.size() > kMaxToken) return false;
  const bool clean = std::all_of(token.begin(), token.end(), [](unsigned char c) {
    return std::isalnum(c) || c == '-' || c == '_' || c == '.';
  });
  return clean && std::count(token.begin(), token.end(), '.') == 2;
}

}  // namespace

/// Verdicts by digest, the least recently used dropped first.
class PodTokenAuthenticator::Memory {
 public:
  explicit Memory(size_t max_entries) : max_entries_(max_entries) {}

  std::optional<AuthVerdict> Find(const std::string& key, TimePoint now) {
    auto state = state_.Lock();
    const auto it = state->index.find(key);
    if (it == state->index.end()) return std::nullopt;
    if (now >= it->second->until) {
      state->entries.erase(it->second);
      state->index.erase(it);
      return std::nullopt;
    }
    state->entries.splice(state->entries.begin(), state->entries, it->second);
    return it->second->verdict;
  }

  void Keep(const std::string& key, AuthVerdict verdict, TimePoint until) {
    auto state = state_.Lock();
    const auto old = state->index.find(key);
    if (old != state->index.end()) {
      state->entries.erase(old->second);
      state->index.erase(old);
    }
    state->entries.push_front({key, std::move(verdict), until});
    state->index[key] = state->entries.begin();
    if (state->entries.size() <= max_entries_) return;
    state->index.erase(state->entries.back().key);
    state->entries.pop_back();
  }

 private:
  struct Entry {
    std::string key;
    AuthVerdict verdict;
    TimePoint until;
  };
  struct State {
    std::list<Entry> entries;
    std::unordered_map<std::string, std::list<Entry>::iterator> index;
  };
  const size_t max_entries_;
  Sync<State> state_;
};

/// How many reviews that come to nothing each peer has left: a bucket that fills up again.
class PodTokenAuthenticator::Refusals {
 public:
  explicit Refusals(const PodTokenSettings& settings) : settings_(settings) {}

  /// Takes one, for a review whose outcome is not known yet; false when none is left.
  bool Take(const std::string& peer, TimePoint now) {
    auto buckets = buckets_.Lock();
    if (buckets->size() >= settings_.max_entries) {
      std::erase_if(*buckets,
                    [&](const auto& entry) { return Left(entry.second, now) >= settings_.max_refusals; });
    }
    Bucket& bucket = buckets->try_emplace(peer, Bucket{settings_.max_refusals, now}).first->second;
    bucket = {Left(bucket, now), now};
    if (bucket.left < 1) return false;
    bucket.left -= 1;
    return true;
  }

  void GiveBack(const std::string& peer) {
    auto buckets = buckets_.Lock();
    const auto bucket = buckets->find(peer);
    if (bucket != buckets->end()) bucket->second.left += 1;
  }

 private:
  struct Bucket {
    double left = 0;
    TimePoint at;
  };
  double Left(const Bucket& bucket, TimePoint now) const {
    const double seconds = std::chrono::duration<double>(now - bucket.at).count();
    return std::min(settings_.max_refusals,
                    bucket.left + std::max(0.0, seconds) * settings_.refusals_per_second);
  }
  const PodTokenSettings settings_;
  Sync<std::map<std::string, Bucket>> buckets_;
};

PodTokenAuthenticator::PodTokenAuthenticator(kube::TokenReviewer& reviewer, PodOwnership& pods, Clock& clock,
                                             PodTokenSettings settings)
    : reviewer_(reviewer),
      pods_(pods),
      clock_(clock),
      settings_(settings),
      memory_(std::make_unique<Memory>(settings.max_entries)),
      refusals_(std::make_unique<Refusals>(settings)) {}

PodTokenAuthenticator::~PodTokenAuthenticator() = default;

Result<AuthVerdict> PodTokenAuthenticator::Authenticate(std::string_view token, const std::string& run_id,
                                                        const std::string& peer, std::stop_token stop) {
  if (token.empty()) return Unauthenticated("no bearer token was given");
  if (!LooksLikeToken(token)) return Unauthenticated("the bearer token is not a service account's");
  const std::string key = Sha256Hex(token) + "/" + run_id;
  if (auto known = memory_->Find(key, clock_.Now())) return *known;
  if (!refusals_->Take(peer, clock_.Now())) {
    return Fail(Error{ErrorCode::kUnavailable,
                      "too many tokens from this address were refused; try again later", true,
                      std::chrono::seconds(1)});
  }
  auto verdict = Review(token, run_id, stop);
  const bool allowed = verdict && verdict->kind == AuthVerdict::Kind::kAllowed;
  if (allowed || !verdict) refusals_->GiveBack(peer);
  if (!verdict) return verdict;
  memory_->Keep(key, *verdict, clock_.Now() + (allowed ? settings_.allowed_for : settings_.refused_for));
  return verdict;
}

Result<AuthVerdict> PodTokenAuthenticator::Review(std::string_view token, const std::string& run_id,
                                                  std::stop_token stop) {
  const std::string audience(kTokenAudience);
  auto identity = reviewer_.Review(token, {audience}, stop);
  if (!identity) {
    // Whatever kept us from asking is not the runner's fault: it may come again.
    return Fail(Error{ErrorCode::kUnavailable, "the token could not be reviewed: " + identity.error().message,
                      true, identity.error().retry_after});
  }
  if (!identity->authenticated) return Unauthenticated("the token is not valid: " + identity->error);
  if (std::find(identity->audiences.begin(), identity->audiences.end(), audience) ==
      identity->audiences.end()) {
    return Unauthenticated("the token is not for the audience ybis");
  }
  if (identity->pod_uid.empty() || identity->pod_name.empty() || identity->ns.empty()) {
    return Forbidden("the token is not bound to a pod");
  }
  YBIS_ASSIGN(const bool owns,
              pods_.PodRunsRun(identity->ns, identity->pod_name, identity->pod_uid, run_id, stop));
  if (owns) return Allowed(identity->pod_uid);
  return Forbidden(fmt::format("pod {}/{} does not run {}", identity->ns, identity->pod_name, run_id));
}

std::string LocalTokens::Issue(const std::string& run_id) {
  std::string token = RandomHex(kLocalTokenBytes);
  log::RegisterSecret(token);
  const Issued earlier = std::exchange((*issued_.Lock())[run_id], Issued{token, Sha256Hex(token)});
  log::ForgetSecret(earlier.token);
  return token;
}

void LocalTokens::Revoke(const std::string& run_id) {
  const auto revoked = issued_.Lock()->extract(run_id);
  if (!revoked.empty()) log::ForgetSecret(revoked.mapped().token);
}

Result<AuthVerdict> LocalTokens::Authenticate(std::string_view token, const std::string& run_id,
                                              const std::string&, std::stop_token) {
  if (token.empty()) return Unauthenticated("no bearer token was given");
  const std::string given = Sha256Hex(token);
  auto issued = issued_.Lock();
  const auto is_given = [&](const Issued& one) {
    return CRYPTO_memcmp(given.data(), one.digest.data(), given.size()) == 0;
  };
  const auto expected = issued->find(run_id);
  if (expected != issued->end() && is_given(expected->second)) {
    return Allowed("local");
  }
  for (const auto& [other, one] : *issued) {
    if (is_given(one)) return Forbidden(fmt::format("the token is not that of {}", run_id));
  }
  return Unauthenticated("the token is not known");
}

}  // namespace ybis::control
