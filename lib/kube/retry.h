#pragma once
// How long to wait before trying again.
#include <chrono>

namespace ybis::kube {

/// A random time between `base` and twice that, where base = min · 2^attempt, at most `max` (`attempt` from
/// 0).
std::chrono::milliseconds JitteredBackoff(int attempt, std::chrono::milliseconds min,
                                          std::chrono::milliseconds max);

/// The wait before repeating a request: what the server asked for (a little more, so that a herd spreads),
/// else 100 ms doubling.
std::chrono::milliseconds RetryWait(int attempt, std::chrono::milliseconds asked);

/// A whole number of seconds between both, at random.
std::chrono::seconds RandomBetween(std::chrono::seconds low, std::chrono::seconds high);

}  // namespace ybis::kube
