#include "base/stop_signals.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <condition_variable>
#include <mutex>

namespace ybis {
namespace {

/// Waits until a stop is requested; false after 5 s.
bool Stopped(const std::stop_token& token) {
  std::mutex mutex;
  std::condition_variable_any wake;
  std::unique_lock lock(mutex);
  wake.wait_for(lock, token, std::chrono::seconds(5), [&] { return token.stop_requested(); });
  return token.stop_requested();
}

TEST(StopOnSignals, RequestsAStopForEitherSignal) {
  for (const int signal : {SIGTERM, SIGINT}) {
    const StopOnSignals signals;
    EXPECT_FALSE(signals.token().stop_requested());
    ::kill(::getpid(), signal);
    EXPECT_TRUE(Stopped(signals.token())) << signal;
  }
}

TEST(StopOnSignals, GoesOnAfterASecondSignalUnlessItIsToEnd) {
  const StopOnSignals signals;
  ::kill(::getpid(), SIGTERM);
  ASSERT_TRUE(Stopped(signals.token()));
  ::kill(::getpid(), SIGTERM);
  std::this_thread::sleep_for(std::chrono::milliseconds(250));
}

TEST(StopOnSignalsDeathTest, ASecondSignalEndsTheProcess) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_EXIT(
      {
        const StopOnSignals signals({.second_ends = true});
        ::kill(::getpid(), SIGTERM);
        Stopped(signals.token());
        ::kill(::getpid(), SIGTERM);
        std::this_thread::sleep_for(std::chrono::seconds(5));
      },
      ::testing::ExitedWithCode(128 + SIGTERM), "");
}

}  // namespace
}  // namespace ybis
