#include "model/throttle.h"

#include <cmath>

namespace ybis::model {

using std::chrono::milliseconds;

TokenBucket::TokenBucket(int64_t per_minute, Clock& clock)
    : per_ms_(static_cast<double>(per_minute) / 60'000.0),
      burst_(std::max(1.0, static_cast<double>(per_minute) / 10.0)),
      clock_(clock),
      state_(State{burst_, clock.Now()}) {}

milliseconds TokenBucket::Take() {
  if (per_ms_ <= 0) return milliseconds(0);
  auto state = state_.Lock();
  const TimePoint now = clock_.Now();
  const double passed = std::chrono::duration<double, std::milli>(now - state->updated).count();
  state->tokens = std::min(burst_, state->tokens + std::max(0.0, passed) * per_ms_);
  state->updated = now;
  // A debt is a place in the line: who comes later waits longer.
  state->tokens -= 1;
  if (state->tokens >= 0) return milliseconds(0);
  return milliseconds(static_cast<int64_t>(std::ceil(-state->tokens / per_ms_)));
}

void TokenBucket::GiveBack() {
  auto state = state_.Lock();
  state->tokens = std::min(burst_, state->tokens + 1);
}

std::optional<milliseconds> CircuitBreaker::Blocked() {
  auto state = state_.Lock();
  if (!state->open_until) return std::nullopt;
  const TimePoint now = clock_.Now();
  if (now < *state->open_until) return std::chrono::ceil<milliseconds>(*state->open_until - now);
  if (state->probing) return pause_;
  state->probing = true;
  return std::nullopt;
}

bool CircuitBreaker::Succeeded() {
  auto state = state_.Lock();
  const bool was_open = state->open_until.has_value();
  *state = State();
  return was_open;
}

bool CircuitBreaker::Failed() {
  auto state = state_.Lock();
  state->probing = false;
  const bool was_open = state->open_until.has_value();
  if (++state->failures < limit_) return false;
  state->open_until = clock_.Now() + pause_;
  return !was_open;
}

void CircuitBreaker::Skipped() { state_.Lock()->probing = false; }

}  // namespace ybis::model
