#include "runner/report/retry.h"

#include <algorithm>
#include <random>

namespace ybis::runner {

Duration Backoff::Next(Duration asked_for) {
  thread_local std::minstd_rand random{std::random_device{}()};
  const Duration::rep whole = next_.count();
  std::uniform_int_distribution<Duration::rep> jitter(whole / 2, whole);
  next_ = std::min(next_ * 2, settings_.longest_wait);
  return std::max(Duration(jitter(random)), asked_for);
}

}  // namespace ybis::runner
