#include "control/error_fingerprint.h"

#include <gtest/gtest.h>

namespace ybis::control {
namespace {

TEST(ErrorPattern, LeavesOutWhatDiffersFromRunToRun) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"runner ended: exit code 137", "runner ended: exit code <n>"},
      {"cannot read /tmp/run-12/file.txt: no such file", "cannot read <path>: no such file"},
      {"src/main.cc:12:5: error: 'x' was not declared", "<path>:<n>:<n>: error: 'x' was not declared"},
      {"run 1f2e3d4c-2 took 3.5s", "run <id> took <n>"},
      {"commit 0123456789abcdef0123456789abcdef01234567 is gone.", "commit <id> is gone."},
      {"pod hello-x7k2p vanished", "pod <id> vanished"},
      {"5f0c6a3e-1b5d-4a3e-9d53-0c2a1b3d4e5f", "<id>"},
      {"  many   spaces\n\tand lines ", "many spaces and lines"},
      {"deadbeef has no digit", "deadbeef has no digit"},
      {"the verifier's check `pytest -q` failed", "the verifier's check `pytest -q` failed"},
      {"", ""}};
  for (const auto& [message, pattern] : cases) EXPECT_EQ(ErrorPattern(message), pattern) << message;
}

TEST(ErrorPattern, IsShortAndWholeCharacters) {
  std::string message;
  for (int i = 0; i < 4000; ++i) message += "ä";
  const std::string pattern = ErrorPattern(message);
  EXPECT_LE(pattern.size(), 500u);
  EXPECT_EQ(pattern.size() % 2, 0u);
  EXPECT_LE(ErrorPattern(std::string(1 << 20, '!')).size(), 500u);
}

TEST(FingerprintOf, IsTheSameForTheSameCauseOnly) {
  const auto one = FingerprintOf("Infra", "LeaseExpired", "the runner went silent 3 times");
  EXPECT_EQ(one.digest, FingerprintOf("Infra", "LeaseExpired", "the runner went silent 12 times").digest);
  EXPECT_NE(one.digest, FingerprintOf("Agent", "LeaseExpired", "the runner went silent 3 times").digest);
  EXPECT_NE(one.digest, FingerprintOf("Infra", "Other", "the runner went silent 3 times").digest);
  EXPECT_NE(one.digest, FingerprintOf("Infra", "LeaseExpired", "the node went silent 3 times").digest);
}

}  // namespace
}  // namespace ybis::control
