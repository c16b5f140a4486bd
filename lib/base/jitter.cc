#include "base/jitter.h"

#include <random>

namespace ybis {

std::chrono::milliseconds Jittered(std::chrono::milliseconds wait) {
  thread_local std::minstd_rand random{std::random_device{}()};
  return std::chrono::milliseconds(
      std::uniform_int_distribution<int64_t>(wait.count() / 2, wait.count())(random));
}

}  // namespace ybis
