#include "kube/retry.h"

#include <algorithm>
#include <random>

namespace ybis::kube {
namespace {

int64_t Random(int64_t low, int64_t high) {
  thread_local std::mt19937_64 generator{std::random_device{}()};
  return std::uniform_int_distribution<int64_t>(low, std::max(low, high))(generator);
}

}  // namespace

std::chrono::milliseconds JitteredBackoff(int attempt, std::chrono::milliseconds min,
                                          std::chrono::milliseconds max) {
  const auto base = std::min(max, min * (int64_t{1} << std::clamp(attempt, 0, 20)));
  return std::min(max, std::chrono::milliseconds(Random(base.count(), 2 * base.count())));
}

std::chrono::milliseconds RetryWait(int attempt, std::chrono::milliseconds asked) {
  if (asked.count() > 0) return asked + std::chrono::milliseconds(Random(0, asked.count() / 10));
  return JitteredBackoff(attempt, std::chrono::milliseconds(100), std::chrono::milliseconds(5'000));
}

std::chrono::seconds RandomBetween(std::chrono::seconds low, std::chrono::seconds high) {
  return std::chrono::seconds(Random(low.count(), high.count()));
}

}  // namespace ybis::kube
