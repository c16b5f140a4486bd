#include "operator/runtime/rate_limiter.h"

#include <algorithm>
#include <cmath>

namespace ybis::op {

using std::chrono::duration;
using std::chrono::duration_cast;

SteadyDuration RateLimiter::Delay(const kube::Key& key, SteadyTime now) {
  const int failures = failures_[key]++;
  return std::max(Backoff(failures), TakeToken(now));
}

int RateLimiter::Failures(const kube::Key& key) const {
  const auto found = failures_.find(key);
  return found == failures_.end() ? 0 : found->second;
}

SteadyDuration RateLimiter::Backoff(int failures) const {
  // The doubling is capped before it is computed, so that no count of failures overflows.
  const double factor = std::exp2(std::min(failures, 40));
  const double wanted = static_cast<double>(settings_.base_delay.count()) * factor;
  return std::chrono::milliseconds(
      static_cast<int64_t>(std::min(wanted, static_cast<double>(settings_.max_delay.count()))));
}

SteadyDuration RateLimiter::TakeToken(SteadyTime now) {
  if (refilled_ != SteadyTime{}) {
    const double elapsed = duration<double>(now - refilled_).count();
    tokens_ = std::min(settings_.burst, tokens_ + elapsed * settings_.refill_per_second);
  }
  refilled_ = now;
  tokens_ -= 1;
  if (tokens_ >= 0) return {};
  return duration_cast<SteadyDuration>(duration<double>(-tokens_ / settings_.refill_per_second));
}

}  // namespace ybis::op
