// Configuration files, which an administrator's tooling may have garbled: taken whole or refused with file,
// line and key.
#include <sys/mman.h>
#include <unistd.h>

#include "control/config.h"
#include "tests/fuzz/input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const int file = memfd_create("config", 0);
  if (ftruncate(file, 0) != 0 || pwrite(file, data, size, 0) != static_cast<ssize_t>(size)) return 0;
  const auto config =
      ybis::control::LoadConfig({.profile = "dev", .file = "/proc/self/fd/" + std::to_string(file)});
  if (!config) {
    ybis::fuzz::Expect(!config.error().message.empty(), "a refusal says why");
    return 0;
  }
  ybis::fuzz::Expect(config->lease.heartbeat_seconds < config->lease.lease_seconds,
                     "a configuration makes sense");
  (void)ybis::control::EffectivePolicy(*config, {});
  return 0;
}
